"""Labelled pairs in a CSV file, and what they say about thresholds: as a table, as JSON, and as a plot in SVG."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from service.cli.output import CommandError, print_table

_COLUMNS = ("first", "second", "same")
_YES, _NO = ("1", "true", "yes", "same"), ("0", "false", "no", "different")
_WIDE, _HIGH, _EDGE = 560, 340, 48


class Pair(NamedTuple):
    """A line: two record ids or picture files, and whether they are the same product."""

    first: str
    second: str
    same: bool


class Threshold(Protocol):
    """A limit of distance, and what it does to labelled pairs."""

    @property
    def max_distance(self) -> float: ...
    @property
    def score(self) -> float: ...
    @property
    def precision(self) -> float: ...
    @property
    def recall(self) -> float: ...


def read_pairs(path: Path) -> list[Pair]:
    """Reads the columns `first`, `second` and `same` (1 or 0, true or false, yes or no). Raises CommandError
    (FILE_INVALID), naming the line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise CommandError(f"{path}: needs the columns {', '.join(_COLUMNS)}", reason="FILE_INVALID")
            return [_pair(path, number, row) for number, row in enumerate(reader, 2)]
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", reason="FILE_INVALID") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path}: not a CSV file in UTF-8: {error}", reason="FILE_INVALID") from None


def _pair(path: Path, number: int, row: dict[str, Any]) -> Pair:
    first, second, same = (str(row[c] or "").strip() for c in _COLUMNS)
    if not first or not second:
        raise CommandError(f"{path}, line {number}: first and second must not be empty", reason="FILE_INVALID")
    if same.lower() not in _YES + _NO:
        message = f"{path}, line {number}: same is {same[:40]!r}; write 1 for the same product, 0 for another"
        raise CommandError(message, reason="FILE_INVALID")
    return Pair(first, second, same.lower() in _YES)


def print_thresholds(rows: Sequence[Threshold], best: Threshold) -> None:
    """Prints a line for each threshold; the best one is marked."""
    shown = [
        (f"{r.max_distance:.4f}", f"{r.score:.2f}", f"{r.precision:.3f}", f"{r.recall:.3f}", _bar(r.precision),
         _bar(r.recall), "best" if r.max_distance == best.max_distance else "")
        for r in rows
    ]  # fmt: skip
    print_table(["max distance", "score", "precision", "recall", "precision", "recall", ""], shown)


def write_plot(target: Path, rows: Sequence[Threshold], best: Threshold) -> None:
    """Writes an SVG of precision and recall by distance. Raises CommandError."""
    low, high = rows[0].max_distance, max(rows[-1].max_distance, rows[0].max_distance + 1e-6)

    def place(row: Threshold, value: float) -> str:
        x = _EDGE + (row.max_distance - low) / (high - low) * (_WIDE - 2 * _EDGE)
        return f"{x:.1f},{_HIGH - _EDGE - value * (_HIGH - 2 * _EDGE):.1f}"

    lines = [
        f'<polyline fill="none" stroke="{ink}" stroke-width="2" points="{points}"/>'
        for ink, points in (
            ("#1f6feb", " ".join(place(r, r.precision) for r in rows)),
            ("#d29922", " ".join(place(r, r.recall) for r in rows)),
        )
    ]
    x = place(best, 0).split(",")[0]
    top, bottom, right = _EDGE, _HIGH - _EDGE, _WIDE - _EDGE
    text = 'font-family="sans-serif" font-size="12"'
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}">',
        f'<rect width="{_WIDE}" height="{_HIGH}" fill="white"/>',
        f'<path d="M{_EDGE} {top}V{bottom}H{right}" fill="none" stroke="#57606a"/>',
        f'<path d="M{x} {top}V{bottom}" stroke="#57606a" stroke-dasharray="4 4"/>',
        *lines,
        f'<text x="{x}" y="{top - 8}" text-anchor="middle" {text}>best: {best.max_distance:.3f}</text>',
        f'<text x="{_EDGE}" y="{bottom + 18}" {text}>{low:.3f}</text>',
        f'<text x="{right}" y="{bottom + 18}" text-anchor="end" {text}>{high:.3f}</text>',
        f'<text x="{_WIDE / 2}" y="{_HIGH - 8}" text-anchor="middle" {text}>maximum distance</text>',
        f'<text x="{_EDGE - 6}" y="{bottom}" text-anchor="end" {text}>0</text>',
        f'<text x="{_EDGE - 6}" y="{top + 8}" text-anchor="end" {text}>1</text>',
        f'<text x="{right}" y="{top - 26}" text-anchor="end" fill="#1f6feb" {text}>precision</text>',
        f'<text x="{right - 70}" y="{top - 26}" text-anchor="end" fill="#d29922" {text}>recall</text>',
        "</svg>",
    ]
    try:
        target.write_text("\n".join(body) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--plot {target}: {error.strerror}") from None


def _bar(share: float) -> str:
    return "█" * round(share * 10)
