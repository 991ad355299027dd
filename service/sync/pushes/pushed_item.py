"""Reads a pushed item as the feed of its source would be read: as a feed of one item, under the same mapping."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from service.errors import Reason, ServiceError
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem
from service.sync.source_model import Source

MAX_ITEM_BYTES = 256 << 10
FIELD = "item_json"
_TABLES = (FeedFormat.TABLE, FeedFormat.SHOPIFY_CSV)
_LIST_SEPARATOR = "|"


def read_item(readers: FeedReaders, source: Source, item_json: str) -> Item:
    """The item of a JSON object with the fields of the source's feed. For threads.

    For a Shopify CSV the object may be a list: the rows of one product. Raises ServiceError (ARGUMENT_INVALID) that
    says what is wrong with the item.
    """
    kind = format_of(source)
    content, options = _as_feed(_parsed(item_json), kind, source.config.options)
    try:
        _, items = readers.read_feed(io.BytesIO(content), len(content), options, source.config.url)
        with closing(cast(Any, items)):
            found = list(items)
    except FeedError as error:
        raise _invalid(f"the item cannot be read: {error}") from None
    if len(found) != 1:
        raise _invalid(f"this is not one item: {len(found)} were found")
    (item,) = found
    if isinstance(item, Problem):
        named = f"item {item.item_id!r}: " if item.item_id else ""
        raise _invalid(f"{named}{item.message}")
    return item._replace(line=0)


def format_of(source: Source) -> FeedFormat:
    """The format of a source's feed: as configured, else as the last run found it, else JSON lines.

    Raises ServiceError (ARGUMENT_INVALID) for a folder, whose pictures are files.
    """
    config = source.config
    kind = config.options.format or FeedFormat(source.state.format or FeedFormat.JSONL)
    if kind is FeedFormat.FOLDER:
        raise ServiceError(
            Reason.ARGUMENT_INVALID, "the source is a folder, which takes no items; add the file and start a run",
            field="source",
        )  # fmt: skip
    return kind


def _parsed(item_json: str) -> list[dict[str, Any]]:
    """The object, or the objects of a list. Raises ServiceError."""
    if len(item_json.encode("utf-8", "surrogatepass")) > MAX_ITEM_BYTES:
        raise _invalid(f"the item is larger than {MAX_ITEM_BYTES >> 10} KiB")
    try:
        found = json.loads(item_json)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
        raise _invalid(f"the item is not valid JSON: {why}") from None
    try:
        _bytes(found)
    except UnicodeEncodeError:
        raise _invalid("the item contains half a surrogate pair, which is not valid Unicode") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise _invalid("the item must be a JSON object with the fields of the feed")
    return rows


def _as_feed(rows: list[dict[str, Any]], kind: FeedFormat, options: FeedOptions) -> tuple[bytes, FeedOptions]:
    """A feed of these rows alone, and the options to read it."""
    if len(rows) > 1 and kind is not FeedFormat.SHOPIFY_CSV:
        raise _invalid(f"this is not one item: a list of {len(rows)}")
    if kind in _TABLES:
        options = replace(options, format=kind, encoding="utf-8", delimiter=",")
        return _table(rows), options
    if kind is FeedFormat.SHOPIFY_JSON:
        return _bytes({"products": rows}), replace(options, format=kind, encoding="utf-8", delimiter="")
    if kind is FeedFormat.XML:  # whose values are all texts
        rows = [{name: _text_or_list(value) for name, value in row.items() if value is not None} for row in rows]
    return _bytes(rows[0]) + b"\n", replace(options, format=FeedFormat.JSONL, encoding="utf-8", delimiter="")


def _table(rows: list[dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if isinstance(value, list):
        return _LIST_SEPARATOR.join(_text(v) for v in value)
    return _text(value)


def _text_or_list(value: object) -> object:
    if isinstance(value, list):
        return [_text_or_list(v) for v in value]
    return value if isinstance(value, Mapping) else _text(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _invalid(message: str) -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, message, field=FIELD)
