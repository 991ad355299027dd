"""Feeds that are tables: CSV and TSV with a header, of Google, Meta, Shopify or of one's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from service.sync.feeds.model import FeedError, Problem, Row
from service.sync.feeds.text import TextLines, encoding_of

_DELIMITERS = "\t,;|~"


def header_of(line: str, delimiter: str = "") -> tuple[list[str], str]:
    """The column names of a header, in lower case, and its delimiter: the one that makes the most columns."""
    found = delimiter or max(_DELIMITERS, key=lambda d: len(_cells(line, d)))
    return [c.strip().lower().removeprefix("g:") for c in _cells(line, found)], found


def table_rows(stream: io.BufferedReader, *, encoding: str = "", delimiter: str = "") -> Iterator[Row | Problem]:
    """The rows below the header. Raises FeedError; FEED_TRUNCATED where the last row is not whole."""
    lines = TextLines(stream, encoding_of(stream.peek(1 << 20), encoding))
    first = next((line for line in lines if line.strip()), "")
    columns, found = header_of(first, delimiter)
    if len(columns) < 2:
        raise FeedError("FEED_NOT_RECOGNISED", "the first line is no header of a table with several columns")
    reader = csv.reader(lines, delimiter=found, strict=True)
    pending: Row | Problem | None = None
    for row in _rows(reader, lines, columns):
        if pending is not None:
            yield pending
        pending = row
    if isinstance(pending, Problem) and not lines.ended:
        raise FeedError("FEED_TRUNCATED", f"the feed ends within the row at line {pending.line}")
    if pending is not None:
        yield pending


def _rows(reader: Iterator[list[str]], lines: TextLines, columns: list[str]) -> Iterator[Row | Problem]:
    while True:
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise FeedError("FEED_TRUNCATED", f"the feed ends within the quotes opened at line {line}") from None
            yield Problem(line, f"the row does not parse: {error}")
            continue
        if not any(cells):
            continue
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            yield Problem(line, f"the row has {len(cells)} cells below {len(columns)} columns")
        elif len(cells) < len(columns) and not lines.ended:
            yield Problem(line, f"the row has only {len(cells)} of {len(columns)} cells")
        else:
            yield Row(line, {c: v.strip() for c, v in zip(columns, cells, strict=False) if v})


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
