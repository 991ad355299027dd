"""Google Merchant feeds in XML: RSS 2.0 and Atom, one item at a time.

expat is used directly: any document type is refused, so that there are no entities to expand, and nothing but the item
that is being read is kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from xml.parsers import expat

from service.sync.feeds.model import FeedError, Row

_ITEMS = frozenset({"item", "entry"})
_ROOTS = frozenset({"rss", "feed", "rdf", "channel", "products"})
_BLOCK = 1 << 16
_MAX_FIELD = 1 << 16
_MAX_DEPTH = 32


def xml_rows(stream: io.BufferedReader) -> Iterator[Row]:
    """The items of a feed. Raises FeedError; FEED_TRUNCATED where the document does not end."""
    reader = _Reader()
    while block := stream.read(_BLOCK):
        yield from reader.feed(block, last=False)
    yield from reader.feed(b"", last=True)


class _Reader:
    def __init__(self) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = self._text, self._doctype
        self._parser = parser
        self._path: list[str] = []
        self._fields: dict[str, object] | None = None
        self._item_depth = self._line = 0
        self._parts: list[str] = []
        self._size = 0
        self._rows: list[Row] = []

    def feed(self, block: bytes, *, last: bool) -> list[Row]:
        """The items that end within this block."""
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            if last:
                raise FeedError(
                    "FEED_TRUNCATED", f"the feed ends within the document, at line {error.lineno}"
                ) from None
            message = f"line {error.lineno}: {expat.ErrorString(error.code)}"
            raise FeedError("FEED_DAMAGED", message) from None
        rows, self._rows = self._rows, []
        return rows

    def _doctype(self, name: str, *_: object) -> None:
        if name.lower() == "html":
            raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
        raise FeedError("FEED_DAMAGED", "the feed declares a document type, which is refused")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2].lower()
        if not self._path and name not in _ROOTS:
            what = "a web page" if name == "html" else f"a document of <{name[:40]}>"
            raise FeedError("FEED_NOT_RECOGNISED", f"this is {what}, not a feed in RSS or Atom")
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self._parser.CurrentLineNumber}: elements are nested too deeply")
        if self._fields is None and name in _ITEMS:
            self._fields, self._item_depth, self._line = {}, len(self._path), self._parser.CurrentLineNumber
        elif self._fields is not None and name == "link" and "href" in attributes:
            self._add("link", attributes["href"])
        self._parts, self._size = [], 0

    def _end(self, _: str) -> None:
        name = self._path.pop()
        if self._fields is None:
            return
        if len(self._path) + 1 == self._item_depth:
            self._rows.append(Row(self._line, self._fields))
            self._fields = None
        elif len(self._path) == self._item_depth:
            self._add(name, "".join(self._parts).strip())
        self._parts, self._size = [], 0

    def _text(self, text: str) -> None:
        if self._fields is not None and self._size < _MAX_FIELD:
            self._parts.append(text)
            self._size += len(text)

    def _add(self, name: str, value: str) -> None:
        assert self._fields is not None
        if not value:
            return
        before = self._fields.get(name)
        if before is None:
            self._fields[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            self._fields[name] = [before, value]
