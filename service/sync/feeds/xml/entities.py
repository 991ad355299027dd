"""HTML's names of characters (`&nbsp;`, `&eacute;`) in XML, whose own five shops often do not keep to.

They are declared as if every feed had a document type with them, so that expat reads them in text and attributes alike.
None names another one: nothing can grow by them. A name that HTML does not know stays as it is written.
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
# A document that stands alone may not use them; what it says of itself is of no use here.
_STANDALONE = re.compile(r"(<\?xml\b[^>]{0,200}?)\sstandalone\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')")


def declare_entities(parser: XMLParserType) -> None:
    """Lets a parser know HTML's entities, before it reads anything. They take the place of the document type that a
    feed names, which is never loaded."""

    def declared(context: str, *_: object) -> int:
        parser.ExternalEntityParserCreate(context).Parse(_declarations(), True)
        return 1

    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)
    parser.UseForeignDTD(True)
    parser.ExternalEntityRefHandler = declared


def standing_not_alone(text: str) -> str:
    """The beginning of a document, without `standalone` in its declaration."""
    found = _STANDALONE.match(text)
    return f"{found[1]}{text[found.end() :]}" if found else text


@lru_cache(maxsize=1)
def _declarations() -> str:
    names = {n[:-1]: c for n, c in html.entities.html5.items() if n.endswith(";") and n[:-1] not in _OF_XML}
    return "".join(
        f'<!ENTITY {name} "{"".join(_ESCAPED_TWICE.get(c, f"&#{ord(c)};") for c in chars)}">'
        for name, chars in names.items()
    )
