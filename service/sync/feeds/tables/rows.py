"""Tables with a header, as CSV or TSV: of Google, Meta, Shopify, or any other with a mapping."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple
from unicodedata import category

from service.sync.feeds.model import FeedError, Problem, Row
from service.sync.feeds.tables.lines import Cells, Dialect, TableLines, allow_long_cells
from service.sync.feeds.text import Line, TextLines
from service.sync.feeds.values.names import (
    PRICES,
    FieldNames,
    field_name,
    header_currency,
    is_standard,
    looks_like_an_item,
)

_DELIMITERS = "\t,;|~"
_LINES_BEFORE = 30  # maximum number of comments, notes and titles before a header
_LONGEST_HEADER = 1 << 18  # characters
_MAX_COLUMNS = 2000
_NOTHING = ("NULL", "\\N")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_COMMENT = re.compile(r'\s*"?\s*#')
_NOTE = re.compile(r"\W*(?:required|optional|recommended|conditional(?:ly)?|conditionally required)\b", re.IGNORECASE)


class Header(NamedTuple):
    """`names`: as written. `line`: its number."""

    line: int
    names: tuple[str, ...]
    delimiter: str
    all_quoted: bool


class Table:
    """A header and the rows below it."""

    def __init__(self, lines: TextLines, wanted_delimiter: str, own: frozenset[str], names: FieldNames) -> None:
        """`own`: fields that the mapping names. Raises FeedError (FEED_NOT_RECOGNISED)."""
        allow_long_cells()
        first: list[Line] = []
        size = 0
        while len(first) <= _LINES_BEFORE and size < _LONGEST_HEADER and (line := next(lines, None)) is not None:
            first.append(line)
            size += len(line.text)
        header = find_header(first, wanted_delimiter, own)
        if header is None or len(header.names) > _MAX_COLUMNS:
            raise FeedError("FEED_NOT_RECOGNISED", "the first line is not a header with several columns")
        self.delimiter = header.delimiter
        self.fields = tuple(names.field(n) for n in header.names)
        self._currencies = {
            i: code
            for i, name in enumerate(header.names)
            if (code := header_currency(name)) and (self.fields[i] in PRICES or self.fields[i] in own)
        }
        self._repeated = frozenset(f for f, count in Counter(self.fields).items() if count > 1)
        self._plain = not self._repeated and not self._currencies and all(self.fields)
        ahead = deque(line for line in first if line.number > header.line)
        dialect = Dialect(header.delimiter, len(self.fields), header.all_quoted)
        self._kept: tuple[tuple[int, str], ...] = ()
        self._lines = TableLines(lines, ahead, dialect)
        self._first = header.line + 1

    def keep(self, fields: AbstractSet[str]) -> None:
        """Restricts rows to these fields, which is faster for tables with many others."""
        self._kept = tuple((n, f) for n, f in enumerate(self.fields) if f in fields)

    def rows(self) -> Iterator[Row | Problem]:
        """The rows below the header. Raises FeedError; FEED_TRUNCATED if the last row is incomplete."""
        for found in self._lines:
            if isinstance(found, Problem):
                yield found
                continue
            line, cells, last = found
            row = self._row(found)
            if last and len(cells) < len(self.fields):
                raise FeedError("FEED_TRUNCATED", f"the feed ends within the row at line {line}")
            if row is not None:
                yield row

    def values(self, fields: tuple[str, ...]) -> Iterator[str]:
        """For each row, the first of these fields that has a value; empty if none has. Raises FeedError."""
        places = [n for n, field in enumerate(self.fields) if field in fields]
        for found in self._lines:
            if isinstance(found, Cells) and len(places) == 1:
                yield found.cells[places[0]].strip() if places[0] < len(found.cells) else ""
            elif isinstance(found, Cells):
                yield next((v for p in places if p < len(found.cells) and (v := found.cells[p].strip())), "")

    def _row(self, found: Cells) -> Row | Problem | None:
        line, cells, _ = found
        if "NULL" in cells or "\\N" in cells:  # NULL as databases export it
            cells = ["" if c in _NOTHING else c for c in cells]
        if len(cells) > len(self.fields) and any(cells[len(self.fields) :]):
            return Problem(line, f"the row has {len(cells)} cells below {len(self.fields)} columns")
        if line == self._first and _is_column_help(cells):
            return None
        if self._plain and self._kept and len(cells) >= len(self.fields):
            return Row(line, {f: v for n, f in self._kept if (v := cells[n].strip())})
        if self._plain:
            return Row(line, {f: v for f, c in zip(self.fields, cells, strict=False) if (v := c.strip())})
        return Row(line, self._merged(cells))

    def _merged(self, cells: list[str]) -> dict[str, object]:
        """Values of columns with the same name become a list."""
        fields: dict[str, object] = {}
        for number, (field, cell) in enumerate(zip(self.fields, cells, strict=False)):
            value = cell.strip()
            if not value or not field:
                continue
            if number in self._currencies and not any(c.isalpha() or category(c) == "Sc" for c in value):
                value = f"{value} {self._currencies[number]}"
            if field in self._repeated:
                fields.setdefault(field, []).append(value)  # type: ignore[attr-defined]
            else:
                fields[field] = value
        return fields


def find_header(lines: Sequence[Line], delimiter: str = "", own: frozenset[str] = frozenset()) -> Header | None:
    """Finds the header in the first lines of a feed.

    It is the first line whose names look like those of an item, else the first line that is neither empty nor a
    comment. Returns None if that line has fewer than two columns.
    """
    fallback: Header | None = None
    for line in _whole_rows(lines):
        separator = _SEPARATOR_LINE.fullmatch(line.text.strip())
        if separator:
            delimiter = delimiter or separator[1]
        elif line.text.strip():
            header = _header(line, delimiter, own)
            fields = [field_name(n) for n in header.names]
            is_comment = _COMMENT.match(line.text) is not None
            if len(fields) > 1 and looks_like_an_item(set(fields), own):
                known = sum(is_standard(f) or f in own for f in fields)
                if not is_comment or 2 * known > len(fields):
                    return header
            if fallback is None and not is_comment:
                fallback = header
    return fallback if fallback is not None and len(fallback.names) > 1 else None


def _whole_rows(lines: Sequence[Line]) -> Iterator[Line]:
    """Lines, joined while a quote is open. A row has the number of its last line."""
    pending = ""
    for line in lines:
        pending += line.text
        if pending.count('"') % 2 == 0 or len(pending) > _LONGEST_HEADER:
            yield Line(line.number, pending, line.too_long)
            pending = ""


def _header(line: Line, delimiter: str, own: frozenset[str]) -> Header:
    """Uses the delimiter that yields the most known columns, else the most columns."""
    text = line.text[:_LONGEST_HEADER].rstrip("\r\n")

    def score(candidate: str) -> tuple[int, int]:
        cells = _cells(text, candidate)
        known = sum(is_standard(f) or f in own for f in map(field_name, cells)) if len(cells) > 1 else 0
        return known, len(cells)

    found = delimiter or max(_DELIMITERS, key=score)
    names = tuple(c.strip() for c in _cells(text, found))
    quoted = all(c.strip()[:1] == '"' for c in text.split(found) if c.strip())
    return Header(line.number, names, found, quoted)


def _is_column_help(cells: list[str]) -> bool:
    """Whether a row below the header explains the columns to people."""
    said = [c for c in cells if c.strip()]
    notes = sum(bool(_NOTE.match(c) or c.lstrip().startswith("#")) for c in said)
    return len(said) > 1 and notes * 2 >= len(said)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
