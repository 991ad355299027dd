"""Filters with parameters: `brand != $brand`. A parameter stands where a value does.

A value is written as a literal, so it is a value whatever its characters are, and never a part of the filter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from index.types.errors import FilterSyntaxError, InvalidInput
from index.vectors.filters.syntax import parse_filter

ParameterValue = str | float | bool
_NAME = re.compile(r"\$([a-z][a-z0-9_]{0,63})")
# Strings and words of grammar.lark: what is inside a string, or within a word, is no parameter.
_PIECE = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s()"'=<>!:,*+\-][^\s()"'=<>!:,*]*\*?""", re.DOTALL)


def check_filter(text: str) -> None:
    """Raises FilterSyntaxError unless the text is a filter."""
    parse_filter(text)


def filter_parameters(text: str) -> frozenset[str]:
    """Names of the parameters of a filter. Raises FilterSyntaxError for one that has no name."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return ""

    _replaced(text, note)
    return frozenset(found)


def fill_filter(text: str, values: Mapping[str, ParameterValue]) -> str:
    """The filter with values instead of its parameters. Raises InvalidInput for a parameter without a value."""

    def literal_of(name: str) -> str:
        if name not in values:
            raise InvalidInput(f"parameters.{name}", f"the saved search needs a value of the parameter {name!r}")
        return literal(values[name])

    return _replaced(text, literal_of)


def literal(value: ParameterValue) -> str:
    """A value as the filter language writes it. Raises InvalidInput for a number that is not finite."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + re.sub(r'([\\"*])', r"\\\1", value) + '"'
    if not math.isfinite(value):
        raise InvalidInput("parameters", f"{value} is not a finite number")
    return repr(float(value))


def _replaced(text: str, value_of: Callable[[str], str]) -> str:
    def piece(match: re.Match[str]) -> str:
        if not match[0].startswith("$"):
            return match[0]
        found = _NAME.fullmatch(match[0])
        if found is None:
            shown = match[0][:40]
            raise FilterSyntaxError(f"{shown!r} is no parameter; put a text with $ into quotes", match.start() + 1)
        return value_of(found[1])

    return _PIECE.sub(piece, text)
