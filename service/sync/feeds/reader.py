"""A feed as a stream of items: compression, format and fields together."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from service.sync.feeds import shopify_csv
from service.sync.feeds.fields import ItemReader
from service.sync.feeds.inflate import inflated
from service.sync.feeds.json_feeds import jsonl_rows, shopify_rows
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem, Row
from service.sync.feeds.tables import header_of, table_rows
from service.sync.feeds.text import encoding_of
from service.sync.feeds.xml_feeds import xml_rows

_HEAD = 1 << 16
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_PRODUCTS = re.compile(r'\s*\{\s*"products"\s*:\s*\[')


@dataclass(frozen=True)
class Preview:
    """What a feed looks like at its beginning."""

    format: FeedFormat
    items: tuple[Item, ...]
    problems: tuple[Problem, ...]


def read_feed(raw: BinaryIO, size: int, options: FeedOptions) -> tuple[FeedFormat, Iterator[Item | Problem]]:
    """The format of a feed and its items. `raw` can seek and has so many bytes; the items raise FeedError where the
    feed goes wrong. Raises FeedError (FEED_EMPTY, FEED_NOT_RECOGNISED, ...)."""
    stream = inflated(raw, size)
    head = stream.peek(_HEAD)[:_HEAD]
    if not head.strip():
        raise FeedError("FEED_EMPTY", "the feed is empty")
    found = options.format or detected(head, options)
    reader = ItemReader(options.mapping)
    rows = _rows(stream, found, options)
    return found, (r if isinstance(r, Problem) else reader.item(r) for r in rows)


def preview(raw: BinaryIO, size: int, options: FeedOptions, count: int = 20) -> Preview:
    """The first items and problems of a feed, of which only the beginning need be there. Raises FeedError where it does
    not even begin well."""
    found, items = read_feed(raw, size, options)
    first: list[Item | Problem] = []
    try:
        for item in islice(items, count):
            first.append(item)  # what there is before an error counts
    except FeedError as error:
        if not first or error.reason != "FEED_TRUNCATED":
            raise
    return Preview(
        found, tuple(i for i in first if isinstance(i, Item)), tuple(p for p in first if isinstance(p, Problem))
    )


def detected(head: bytes, options: FeedOptions) -> FeedFormat:
    """The format of a feed that begins so. Raises FeedError (FEED_NOT_RECOGNISED)."""
    text = head.decode(encoding_of(head, options.encoding), "replace").lstrip("\ufeff")
    if _HTML.match(text):
        raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
    start = text.lstrip()[:1]
    if start == "<":
        return FeedFormat.XML
    if start == "[" or _PRODUCTS.match(text):
        return FeedFormat.SHOPIFY_JSON
    if start == "{":
        return FeedFormat.JSONL
    columns, _ = header_of(text.lstrip().splitlines()[0], options.delimiter)
    if shopify_csv.is_shopify_header(columns):
        return FeedFormat.SHOPIFY_CSV
    if len(columns) > 1:
        return FeedFormat.TABLE
    raise FeedError("FEED_NOT_RECOGNISED", "this is neither XML, nor JSON, nor a table with a header")


def _rows(stream: io.BufferedReader, found: FeedFormat, options: FeedOptions) -> Iterator[Row | Problem]:
    if found is FeedFormat.XML:
        return xml_rows(stream)
    if found is FeedFormat.JSONL:
        return jsonl_rows(stream, encoding=options.encoding)
    if found is FeedFormat.SHOPIFY_JSON:
        return shopify_rows(stream)
    rows = table_rows(stream, encoding=options.encoding, delimiter=options.delimiter)
    return shopify_csv.products(rows) if found is FeedFormat.SHOPIFY_CSV else rows
