"""Output of commands: tables for people, JSON for scripts, and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_RECORDS_FAILED = 3
    WAITS_FOR_APPROVAL = 4


@dataclass(frozen=True)
class Check:
    """The result of one check. `state` is ok, warning or failed; `detail` contains the remedy."""

    name: str
    state: str
    detail: str


class CommandError(Exception):
    """Ends a command with an error. `reason` is a stable identifier for scripts."""

    def __init__(self, message: str, *, reason: str = "FAILED", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


def print_json(value: object) -> None:
    """One JSON value on one line."""
    print(json.dumps(value, ensure_ascii=False, default=_plain))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> None:
    """A table, or a word if there are no rows."""
    if not rows:
        print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values, one pair per line."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        print(f"{name:<{width}}  {_text(value)}")


def console(*, stderr: bool = False) -> Console:
    """A console that does not wrap lines unless it is a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200, highlight=False, markup=False)


def end_failed(error: CommandError, *, as_json: bool) -> NoReturn:
    """Ends a command whose result is a failure and was already printed. Scripts get only the exit code."""
    if as_json:
        raise typer.Exit(error.code)
    raise error


def print_hints(hints: Sequence[str]) -> None:
    """Prints warnings about a filter to stderr."""
    for hint in hints:
        print(f"hint: {hint}", file=sys.stderr)


def format_attributes(attributes: Mapping[str, Any]) -> str:
    """Attributes on one line."""
    return ", ".join(f"{name}={_text(value)}" for name, value in sorted(attributes.items()))


def format_value(value: object) -> str:
    """The value of an attribute; empty if there is none."""
    return "" if value is None else _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, list | tuple | frozenset | set):
        return "|".join(str(v) for v in value)
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)
