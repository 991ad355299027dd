"""Reads a feed as a stream of items: decompression, encoding, format and fields."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from service.sync.feeds.encodings import encoding_of
from service.sync.feeds.error_answers import refuse_error_answers
from service.sync.feeds.fields import ItemReader
from service.sync.feeds.inflate import inflated
from service.sync.feeds.json.documents import find_items
from service.sync.feeds.json.items import document_rows, json_format, jsonl_rows
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem, Row
from service.sync.feeds.other_files import refuse_other_files
from service.sync.feeds.tables import shopify
from service.sync.feeds.tables.rows import Table, find_header
from service.sync.feeds.text import Line, TextLines, text_blocks
from service.sync.feeds.values.names import FieldNames
from service.sync.feeds.xml.rows import xml_rows

HEAD = 1 << 16
_CONTROLS = re.compile("[\0-\x08\x0e-\x1f]")
_LOOKED_AT, _TEXT_TO_CONTROLS = 4096, 20  # text has at most one control character in twenty
_TABLES = (FeedFormat.TABLE, FeedFormat.SHOPIFY_CSV)
_DOCUMENTS = (FeedFormat.JSON, FeedFormat.SHOPIFY_JSON)
Rows = Iterator[Row | Problem]


def read_feed(
    raw: BinaryIO, size: int, options: FeedOptions, base_url: str = ""
) -> tuple[FeedFormat, Iterator[Item | Problem]]:
    """The format of a feed and its items.

    `raw` must be seekable and have `size` bytes. `base_url` is the URL of the feed, to resolve relative links. Raises
    FeedError (FEED_EMPTY, FEED_NOT_RECOGNISED, ...); iterating the items may raise it too.
    """
    feed = Feed(raw, size, options)
    reader = ItemReader(options.mapping, base_url)
    rows = feed.rows(reader)
    return feed.format, (r if isinstance(r, Problem) else reader.item(r) for r in rows)


class Feed:
    """A feed that can be read from its start repeatedly. Raises FeedError if the beginning is not usable."""

    def __init__(self, raw: BinaryIO, size: int, options: FeedOptions) -> None:
        self._raw, self._size, self._options = raw, size, options
        self.names = FieldNames()
        self.delimiter = ""
        self.fields: tuple[str, ...] = ()  # of a table, once its rows are read
        head = self._stream().peek(HEAD)[:HEAD]
        if not head.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
            raise FeedError("FEED_EMPTY", "the feed is empty")
        refuse_other_files(head)
        self.encoding = encoding_of(head, options.encoding)
        text = head[self.encoding.mark :].decode(self.encoding.name, "replace").removeprefix("\ufeff")
        self.has_fallbacks = self.encoding.name == "utf-8" and "\ufffd" in text[:-1]
        own = self.names.exact = ItemReader(options.mapping).own
        refuse_error_answers(text, own)
        self.format = options.format or _detected(text, options, own)

    def rows(self, reader: ItemReader) -> Rows:
        """The rows from the start. Declares the columns to `reader`. Raises FeedError."""
        if self.format is FeedFormat.XML:
            return xml_rows(self._blocks(), self.names, reader.own)
        if self.format is FeedFormat.JSONL:
            return jsonl_rows(self._lines(), self.names)
        if self.format in _DOCUMENTS:
            return self._document(reader)
        if self.format not in _TABLES:
            raise FeedError("FEED_NOT_RECOGNISED", f"a feed cannot be {self.format}")
        table = self._table(reader)
        if self.format is FeedFormat.TABLE:
            self.fields = table.fields
            reader.declare(table.fields)
            return table.rows()
        return shopify.products(lambda: self._table(reader), reader.own)

    def _document(self, reader: ItemReader) -> Rows:
        shape = find_items(self._blocks(), reader.own)
        if shape is None:
            raise FeedError("FEED_NOT_RECOGNISED", "this JSON has no list of products")
        shopify = self.format is FeedFormat.SHOPIFY_JSON
        return document_rows(self._blocks(), shape.path, self.names, shopify=shopify)

    def _table(self, reader: ItemReader) -> Table:
        table = Table(self._lines(), self._options.delimiter, reader.own, self.names)
        self.delimiter = table.delimiter
        return table

    def _stream(self) -> io.BufferedReader:
        return inflated(self._raw, self._size)

    def _lines(self) -> TextLines:
        return TextLines(self._stream(), self.encoding)

    def _blocks(self) -> Iterator[str]:
        return text_blocks(self._stream(), self.encoding)


def _detected(text: str, options: FeedOptions, own: frozenset[str]) -> FeedFormat:
    """The format of a feed that begins with `text`. Raises FeedError (FEED_NOT_RECOGNISED)."""
    if len(_CONTROLS.findall(text[:_LOOKED_AT])) * _TEXT_TO_CONTROLS > len(text[:_LOOKED_AT]):
        raise FeedError("FEED_NOT_RECOGNISED", "this is a binary file, not a feed; a feed is XML, CSV or JSON")
    start = text.lstrip()[:1]
    if start == "<":
        return FeedFormat.XML
    if start in ("[", "{"):
        return json_format(text.lstrip(), own)
    lines = [Line(n, line) for n, line in enumerate(io.StringIO(text, newline=""), 1)]
    header = find_header(lines[:30], options.delimiter, own)
    if header is None:
        raise FeedError("FEED_NOT_RECOGNISED", "this is neither XML, nor JSON, nor a table with a header")
    names = FieldNames()
    is_shopify = shopify.is_shopify_header(tuple(names.field(n) for n in header.names))
    return FeedFormat.SHOPIFY_CSV if is_shopify else FeedFormat.TABLE
