"""Reads a feed as a stream of items: decompression, encoding, format and fields."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from service.sync.feeds.encodings import encoding_of
from service.sync.feeds.error_answers import refuse_error_answers
from service.sync.feeds.fields import ItemReader
from service.sync.feeds.formats import READERS, Beginning, Rows, recognised
from service.sync.feeds.inflate import inflated
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem
from service.sync.feeds.other_files import refuse_other_files
from service.sync.feeds.tables.rows import Table
from service.sync.feeds.text import TextLines, text_blocks
from service.sync.feeds.values.names import FieldNames

HEAD = 1 << 16


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
        self.format = options.format or recognised(Beginning(text, options.delimiter, own))

    def written(self, field: str) -> str:
        """The name of a field as the feed has it."""
        return self.names.written.get(field, field)

    def rows(self, reader: ItemReader) -> Rows:
        """The rows from the start. Declares the columns to `reader`. Raises FeedError."""
        found = READERS.get(self.format)
        if found is None:
            raise FeedError("FEED_NOT_RECOGNISED", f"a feed cannot be {self.format}")
        return found.rows(self, reader)

    # ---- as `formats.Content`

    def declare(self, fields: tuple[str, ...]) -> None:
        """Notes the columns of a table."""
        self.fields = fields

    def table(self, reader: ItemReader) -> Table:
        """The text as a table, its delimiter found. Raises FeedError where it has no header."""
        table = Table(self.lines(), self._options.delimiter, reader.own, self.names)
        self.delimiter = table.delimiter
        return table

    def lines(self) -> TextLines:
        """The text line by line."""
        return TextLines(self._stream(), self.encoding)

    def blocks(self) -> Iterator[str]:
        """The text in blocks."""
        return text_blocks(self._stream(), self.encoding)

    def _stream(self) -> io.BufferedReader:
        return inflated(self._raw, self._size)
