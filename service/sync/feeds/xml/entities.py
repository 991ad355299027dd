"""Supports HTML's named characters (`&nbsp;`, `&eacute;`) in XML, which many shops use.

They are declared to expat as an external document type, so that they work in text and attributes. None refers to
another one, so they cannot expand exponentially. Unknown names stay as written.
"""

from __future__ import annotations

import html.entities
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from pyexpat import XMLParserType

_OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})
_ESCAPED_TWICE = {"&": "&#38;#38;", "<": "&#38;#60;"}
# Standalone documents may not use them. The declaration is irrelevant here.
_STANDALONE = re.compile(r"(<\?xml\b[^>]{0,200}?)\sstandalone\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')")


def declare_entities(parser: XMLParserType) -> None:
    """Declares HTML's entities to a parser before it reads anything.

    They replace the document type that a feed names, which is never loaded.
    """

    def declared(context: str, *_: object) -> int:
        parser.ExternalEntityParserCreate(context).Parse(_declarations(), True)
        return 1

    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)
    parser.UseForeignDTD(True)
    parser.ExternalEntityRefHandler = declared


def without_standalone(text: str) -> str:
    """Removes `standalone` from the XML declaration at the beginning of a document."""
    found = _STANDALONE.match(text)
    return f"{found[1]}{text[found.end() :]}" if found else text


@lru_cache(maxsize=1)
def _declarations() -> str:
    names = {n[:-1]: c for n, c in html.entities.html5.items() if n.endswith(";") and n[:-1] not in _OF_XML}
    return "".join(
        f'<!ENTITY {name} "{"".join(_ESCAPED_TWICE.get(c, f"&#{ord(c)};") for c in chars)}">'
        for name, chars in names.items()
    )
