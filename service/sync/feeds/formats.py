"""The formats of feeds: how each is recognised, and what reads it. A new format is one module that reads it, one value
of FeedFormat and one entry in READERS."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from service.sync.feeds.fields import ItemReader
from service.sync.feeds.json.documents import find_items
from service.sync.feeds.json.items import document_rows, json_format, jsonl_rows
from service.sync.feeds.model import FeedError, FeedFormat, Problem, Row
from service.sync.feeds.tables import shopify
from service.sync.feeds.tables.rows import Table, find_header
from service.sync.feeds.text import Line, TextLines
from service.sync.feeds.values.names import FieldNames
from service.sync.feeds.xml.rows import xml_rows

Rows = Iterator[Row | Problem]
_CONTROLS = re.compile("[\0-\x08\x0e-\x1f]")
_LOOKED_AT, _TEXT_TO_CONTROLS = 4096, 20  # text has at most one control character in twenty


class Content(Protocol):
    """A feed's content, which can be read from its start more than once."""

    names: FieldNames

    def blocks(self) -> Iterator[str]:
        """The text in blocks."""

    def lines(self) -> TextLines:
        """The text line by line."""

    def table(self, reader: ItemReader) -> Table:
        """The text as a table, its delimiter found. Raises FeedError where it has no header."""

    def declare(self, fields: tuple[str, ...]) -> None:
        """Notes the columns of a table."""


@dataclass(frozen=True)
class Beginning:
    """The first 64 KiB of a feed, decoded. delimiter: of a table, as the caller states it; own: fields of the caller's
    mapping."""

    text: str
    delimiter: str
    own: frozenset[str]

    @cached_property
    def first(self) -> str:
        """The first character that is no space."""
        return self.text.lstrip()[:1]

    @cached_property
    def json(self) -> FeedFormat | None:
        """The format, where it is one of JSON. Raises FeedError."""
        return json_format(self.text.lstrip(), self.own) if self.first in ("[", "{") else None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The fields of a table's header; empty where there is none."""
        lines = [Line(n, line) for n, line in enumerate(io.StringIO(self.text, newline=""), 1)]
        header = find_header(lines[:30], self.delimiter, self.own)
        names = FieldNames()
        return tuple(names.field(n) for n in header.names) if header is not None else ()


@dataclass(frozen=True)
class FeedReader:
    """recognises: whether a feed that begins so is of the format; the first reader that says so has it. rows: the rows
    from the start. Both raise FeedError."""

    recognises: Callable[[Beginning], bool]
    rows: Callable[[Content, ItemReader], Rows]


def _document(content: Content, reader: ItemReader, *, shopify: bool) -> Rows:
    shape = find_items(content.blocks(), reader.own)
    if shape is None:
        raise FeedError("FEED_NOT_RECOGNISED", "this JSON has no list of products")
    return document_rows(content.blocks(), shape.path, content.names, shopify=shopify)


def _table_rows(content: Content, reader: ItemReader) -> Rows:
    table = content.table(reader)
    content.declare(table.fields)
    reader.declare(table.fields)
    return table.rows()


READERS: Mapping[FeedFormat, FeedReader] = {
    FeedFormat.XML: FeedReader(
        lambda begins: begins.first == "<",
        lambda content, reader: xml_rows(content.blocks(), content.names, reader.own),
    ),
    FeedFormat.JSONL: FeedReader(
        lambda begins: begins.json is FeedFormat.JSONL,
        lambda content, reader: jsonl_rows(content.lines(), content.names),
    ),
    FeedFormat.JSON: FeedReader(
        lambda begins: begins.json is FeedFormat.JSON,
        lambda content, reader: _document(content, reader, shopify=False),
    ),
    FeedFormat.SHOPIFY_JSON: FeedReader(
        lambda begins: begins.json is FeedFormat.SHOPIFY_JSON,
        lambda content, reader: _document(content, reader, shopify=True),
    ),
    FeedFormat.SHOPIFY_CSV: FeedReader(
        lambda begins: shopify.is_shopify_header(begins.columns),
        lambda content, reader: shopify.products(lambda: content.table(reader), reader.own),
    ),
    FeedFormat.TABLE: FeedReader(lambda begins: bool(begins.columns), _table_rows),
}


def recognised(begins: Beginning) -> FeedFormat:
    """The format of a feed that begins so. Raises FeedError (FEED_NOT_RECOGNISED)."""
    looked_at = begins.text[:_LOOKED_AT]
    if len(_CONTROLS.findall(looked_at)) * _TEXT_TO_CONTROLS > len(looked_at):
        raise FeedError("FEED_NOT_RECOGNISED", "this is a binary file, not a feed; a feed is XML, CSV or JSON")
    for kind, reader in READERS.items():
        if reader.recognises(begins):
            return kind
    raise FeedError("FEED_NOT_RECOGNISED", "this is neither XML, nor JSON, nor a table with a header")
