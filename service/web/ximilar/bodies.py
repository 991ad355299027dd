"""The body of a request as an object of JSON, and the values in it that are neither records nor filters."""

from __future__ import annotations

import math
from typing import Any

from service.errors import Reason, ServiceError
from service.web.proto_json.parsing import parse_text
from service.web.ximilar.records import invalid

_MOST_DEPTH = 32


def read_object(raw: bytes) -> dict[str, Any]:
    """Parses a body; an empty one has no fields. Raises ServiceError (ARGUMENT_INVALID), which does not quote it."""
    given = parse_text(raw) if raw.strip() else {}
    if type(given) is not dict:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the body must be an object of JSON")
    _check_depth(given)
    return given


def integer(value: Any, name: str, default: int, low: int, high: int) -> int:
    """An integer, or the default for null. Raises ServiceError (ARGUMENT_INVALID)."""
    if value is None:
        return default
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise invalid(name, f"must be an integer within {low}..{high}")
    return value


def number(value: Any, name: str, low: float, high: float) -> float | None:
    """A number, or None for null. Raises ServiceError (ARGUMENT_INVALID)."""
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise invalid(name, f"must be a number within {low:g}..{high:g}")
    return float(value)


def from_query(text: str, name: str, default: int, low: int, high: int) -> int:
    """An integer of the query string; empty means the default. Raises ServiceError (ARGUMENT_INVALID)."""
    if not text:
        return default
    valid = text.isascii() and text.isdigit() and len(text) <= 18
    return integer(int(text) if valid else text, name, default, low, high)


def _check_depth(given: dict[str, Any]) -> None:
    level: list[Any] = [given]
    for _ in range(_MOST_DEPTH):
        inner: list[Any] = []
        for value in level:
            members = value.values() if type(value) is dict else value
            inner += [member for member in members if type(member) in (dict, list)]
        if not inner:
            return
        level = inner
    raise ServiceError(Reason.ARGUMENT_INVALID, f"the body nests deeper than {_MOST_DEPTH}")
