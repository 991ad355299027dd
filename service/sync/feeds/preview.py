"""A preview of a feed: its first items, and how each of its fields is interpreted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

from service.sync.feeds.fields import ItemReader
from service.sync.feeds.model import Column, FeedError, FeedFormat, FeedOptions, Item, Problem, Row
from service.sync.feeds.reader import Feed
from service.sync.feeds.values.attributes import as_text

_SAMPLES = 3
_SAMPLE_CHARS = 80
_MAX_COLUMNS = 200
_ROUNDED = re.compile(r"\d(\.\d+)?E\+\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Preview:
    """The first items and problems.

    - `encoding`, `delimiter`: as detected or configured, if the format has them.
    - `notes`: remarks on the feed as a whole.
    """

    format: FeedFormat
    items: tuple[Item, ...]
    problems: tuple[Problem, ...]
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""


def preview(raw: BinaryIO, size: int, options: FeedOptions, count: int = 20, base_url: str = "") -> Preview:
    """The first items and problems of a feed. `raw` may contain only its beginning.

    Raises FeedError if the beginning is not usable.
    """
    feed = Feed(raw, size, options)
    reader = ItemReader(options.mapping, base_url)
    seen = _Columns()
    first: list[Item | Problem] = []
    try:
        for row in feed.rows(reader):
            found = row if isinstance(row, Problem) else reader.item(row)
            if isinstance(row, Row):
                seen.take(row, found)
            first.append(found)  # items before an error are shown
            if len(first) == count:
                break
    except FeedError as error:
        if not first or error.reason != "FEED_TRUNCATED":
            raise
    items = tuple(i for i in first if isinstance(i, Item))
    return Preview(
        feed.format, items, tuple(p for p in first if isinstance(p, Problem)), tuple(seen.columns(reader, feed)),
        tuple(_notes(feed, items, seen)), feed.encoding.name, feed.delimiter,
    )  # fmt: skip


class _Columns:
    """Collects samples and counts of the fields in the first rows."""

    def __init__(self) -> None:
        self._samples: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self.kinds: dict[str, set[str]] = {}

    def take(self, row: Row, found: Item | Problem) -> None:
        """Adds a row and its result."""
        for name, value in row.fields.items():
            if name not in self._samples and len(self._samples) >= _MAX_COLUMNS:
                continue
            self._counts[name] += 1
            samples = self._samples.setdefault(name, [])
            text = _sample(value)
            if len(samples) < _SAMPLES and text not in samples:
                samples.append(text)
            self.kinds.setdefault(name, set()).add(_kind(value))
        if isinstance(found, Item):
            self._left_out.update(found.left_out)
            self._reasons.update(note.split(": ", 1) for note in found.notes if ": " in note)  # type: ignore[misc]

    def columns(self, reader: ItemReader, feed: Feed) -> Iterable[Column]:
        """All fields, with samples."""
        names = dict.fromkeys([*feed.fields, *self._samples])
        for column in reader.columns(names):
            name, target = column.name, column.attribute
            yield replace(
                column, name=feed.written(name), samples=tuple(self._samples.get(name, ())),
                count=self._counts[name], left_out=self._left_out[target] if target else 0,
                reason=column.reason or (self._reasons.get(target, "") if target and self._left_out[target] else ""),
            )  # fmt: skip


def _notes(feed: Feed, items: tuple[Item, ...], seen: _Columns) -> Iterable[str]:
    if feed.has_fallbacks:
        yield "bytes that are not UTF-8 are read as Windows-1252; set the source's encoding if it is another one"
    if any(_ROUNDED.fullmatch(i.item_id) for i in items):
        yield "ids look like numbers rounded by a spreadsheet; different items may have the same id"
    for name, count in Counter(feed.fields).items():
        if count > 1:
            yield f"{count} columns map to {name}; their values are merged"
    for name, kinds in seen.kinds.items():
        if len(kinds) > 1 and "number" in kinds:
            written = feed.written(name)
            yield f"{written} is a number in some items and text in others; add a mapping"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "list" if isinstance(value, list | dict) else "text"


def _sample(value: object) -> str:
    if isinstance(value, list):
        text = " | ".join(as_text(v) if not isinstance(v, dict) else str(v) for v in value[:_SAMPLES])
    else:
        text = str(value) if isinstance(value, dict) else as_text(value)
    return text if len(text) <= _SAMPLE_CHARS else text[:_SAMPLE_CHARS] + "..."
