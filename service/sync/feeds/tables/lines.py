"""Splits lines of a table into cells. A row with unbalanced quotes fails alone, and never affects later rows.

Python's csv module parses rows with quotes. This module decides which lines belong to a row. A row is continued on
further lines only if it then has as many cells as the header. Otherwise reading continues with the line after its
first.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError, Problem
from service.sync.feeds.text import Line, TextLines

_BUDGET = 64 << 20  # characters that may be scanned in vain before only short rows are tried
_SHORT = 1 << 14


class _Variant(NamedTuple):
    """Alternative quoting styles."""

    blank_before: bool = False
    escape: str | None = None
    doubled: bool = True


_WITH_BLANKS = (_Variant(blank_before=True),)
_ESCAPED = (_Variant(escape="\\", doubled=False), _Variant(escape="\\"))


class Dialect(NamedTuple):
    """`columns`: their number. `all_quoted`: whether every name in the header is quoted."""

    delimiter: str
    columns: int
    all_quoted: bool = False


class Cells(NamedTuple):
    """A row. `last`: it is the feed's last one, and its line does not end with a line break."""

    line: int
    cells: list[str]
    last: bool = False


class TableLines:
    """The rows below the header. Raises FeedError (FEED_TRUNCATED) if the feed ends inside quotes."""

    def __init__(self, lines: TextLines, ahead: deque[Line], dialect: Dialect) -> None:
        """`ahead`: lines that were already read."""
        self._lines, self._ahead, self._dialect = lines, ahead, dialect
        self._budget = _BUDGET

    def __iter__(self) -> Iterator[Cells | Problem]:
        delimiter, tabs = self._dialect.delimiter, self._dialect.delimiter == "\t"
        while (line := self._next()) is not None:
            if line.too_long:
                yield Problem(line.number, f"the line is longer than {MAX_ITEM_CHARS} characters")
                continue
            text = line.text.rstrip("\r\n")
            if '"' not in text:
                found: list[str] | str = text.split(delimiter)
            else:
                found = self._tab_cells(line, text) if tabs else self._quoted_cells(line, text)
                if isinstance(found, list) and '="' in text:  # ="..." marks digits as text for spreadsheets
                    found = [c[2:-1] if c.startswith('="') and c.endswith('"') else c for c in found]
            last = not self._ahead and not self._lines.ended
            if isinstance(found, str) and last:
                raise FeedError("FEED_TRUNCATED", f"the feed ends within the row at line {line.number}")
            if isinstance(found, str):
                yield Problem(line.number, found)
            elif any(found):
                yield Cells(line.number, found, last)

    def _next(self) -> Line | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _quoted_cells(self, line: Line, text: str) -> list[str] | str:
        """The cells of a row with quotes, or an error message."""
        columns = self._dialect.columns
        found = self._parsed(text)
        if isinstance(found, list) and len(found) == columns:
            return found
        variants = _ESCAPED if '\\"' in text else _WITH_BLANKS if f'{self._dialect.delimiter} "' in text else ()
        for variant in variants:
            other = self._parsed(text, variant)
            if isinstance(other, list) and len(other) == columns:
                return other
        if isinstance(found, str) and "unexpected end" in found:
            return self._over_several_lines(line) or "the row has an unclosed quote, or is too long"
        return found if isinstance(found, list) else f"the row cannot be parsed: {found}"

    def _over_several_lines(self, line: Line, *, or_text: bool = False) -> list[str] | None:
        """The cells of a row that continues on the next lines; None if it does not, and those lines must be read
        again.

        `or_text`: quotes may also be literal text.
        """
        limit = MAX_ITEM_CHARS if self._budget > 0 else _SHORT
        taken, size, is_open = [line], len(line.text), True
        while is_open and size < limit and (more := self._next()) is not None:
            taken.append(more)
            size += len(more.text)
            if more.too_long:
                break
            is_open = more.text.count('"') % 2 == 0
        whole = "".join(t.text for t in taken).rstrip("\r\n")
        found = self._parsed(whole) if not is_open and not taken[-1].too_long else ""
        rows_inside = any(self._is_row(t) for t in taken[1:])
        if isinstance(found, list):
            fits = len(found) == self._dialect.columns
            if fits or (len(found) > 1 and not rows_inside and not or_text):
                return found
        at_the_end = is_open and not self._ahead and size < limit
        if at_the_end and not rows_inside and not or_text:
            raise FeedError("FEED_TRUNCATED", f"the feed ends within the quotes opened at line {line.number}")
        if size >= MAX_ITEM_CHARS and not rows_inside:
            self._skip_cell()
            return None
        self._budget -= size
        self._ahead.extendleft(reversed(taken[1:]))
        return None

    def _skip_cell(self) -> None:
        """Skips the lines of a cell that is too long, to its closing quote or to the next complete row."""
        while (line := self._next()) is not None:
            if not line.too_long and self._is_row(line):
                self._ahead.appendleft(line)
                return
            if line.text.count('"') % 2:
                return

    def _is_row(self, line: Line) -> bool:
        text = line.text.rstrip("\r\n")
        found = self._parsed(text) if '"' in text else text.split(self._dialect.delimiter)
        return isinstance(found, list) and len(found) == self._dialect.columns

    def _tab_cells(self, line: Line, text: str) -> list[str]:
        """In tab-separated tables quotes are literal text, unless a cell is quoted as spreadsheets do it."""
        cells = text.split("\t")
        open_at_end = cells[-1].startswith('"') and not (len(cells[-1]) > 1 and cells[-1].endswith('"'))
        if len(cells) != self._dialect.columns or open_at_end:
            found = self._parsed(text)
            if isinstance(found, list) and len(found) == self._dialect.columns:
                return found
            if isinstance(found, str) and "unexpected end" in found and len(cells) <= self._dialect.columns:
                over_lines = self._over_several_lines(line, or_text=True)
                if over_lines is not None:
                    return over_lines
        return [self._without_quotes(c) if c[:1] == '"' else c for c in cells]

    def _without_quotes(self, cell: str) -> str:
        inner = cell[1:-1]
        if len(cell) < 2 or cell[-1] != '"' or '"' in inner.replace('""', ""):
            return cell
        needed_them = '""' in inner or "," in inner or "\t" in inner
        return inner.replace('""', '"') if needed_them or self._dialect.all_quoted else cell

    def _parsed(self, text: str, variant: _Variant = _Variant()) -> list[str] | str:
        """The cells, or the error message of csv."""
        reader = csv.reader(
            (text,), delimiter=self._dialect.delimiter, strict=True, escapechar=variant.escape,
            doublequote=variant.doubled, skipinitialspace=variant.blank_before,
        )  # fmt: skip
        try:
            return next(reader, [])
        except csv.Error as error:
            return str(error)


def allow_long_cells() -> None:
    """Raises csv's field size limit, which is 131,072 characters for the whole process."""
    if csv.field_size_limit() < MAX_ITEM_CHARS:
        csv.field_size_limit(MAX_ITEM_CHARS)
