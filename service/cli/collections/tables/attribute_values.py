"""Converts cells of tables, JSON values and Parquet values to ids and attributes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

AttributeValue = str | float | bool | tuple[str, ...]
# No leading zero, no exponent (12E4 is an article number), and few enough digits that none is lost.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)?(\.\d+)?", re.ASCII)
_MOST_DIGITS = 15
_CODES = frozenset(
    {"asin", "barcode", "ean", "gtin", "isbn", "mpn", "phone", "postcode", "sku", "upc", "zip", "zip_code"}
)  # text even where all of them happen to look like numbers
_GREATEST_EXACT = 1 << 53


def column_kind(name: str, cells: Sequence[str]) -> str:
    """The kind of a CSV column: list, boolean, number or text.

    A column is of numbers only if every cell is a plain number and its name is not that of a code.
    """
    filled = [c for c in cells if c]
    if name.endswith("[]"):
        return "list"
    if filled and all(c in ("true", "false") for c in filled):
        return "boolean"
    code = name in _CODES or name.endswith(("_id", "_code", "_sku"))
    return "number" if filled and not code and all(map(_is_number, filled)) else "text"


def cell_value(kind: str, cell: str) -> AttributeValue:
    """The value of a cell in a column of this kind."""
    if kind == "list":
        return tuple(v for v in cell.split("|") if v)
    if kind == "boolean":
        return cell == "true"
    return float(cell) if kind == "number" else cell


def id_text(value: object) -> str:
    """An id as written; empty for None. Raises ValueError."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _GREATEST_EXACT:
        return str(int(value))
    if isinstance(value, bool | list | dict | tuple) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"is {_named(value)}, not an id")
    text = _text(value)
    return text if text is not None else str(value)


def attributes_of(values: Mapping[str, object]) -> dict[str, AttributeValue]:
    """The attributes of typed values, without None and NaN. Raises ValueError that names the field."""
    found: dict[str, AttributeValue] = {}
    for name, value in values.items():
        try:
            made = _attribute(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
        if made is not None:
            found[name] = made
    return found


def _attribute(value: object) -> AttributeValue | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, list | tuple):
        return tuple(_member(v) for v in value if v is not None)
    text = _text(value)
    if text is None:
        raise ValueError(f"is {_named(value)}; an attribute must be text, a number, a boolean or a list of text")
    return text or None


def _number(value: int | float | Decimal) -> float | str:
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    digits = len(value.as_tuple().digits) if isinstance(value, Decimal) else 0
    if digits > _MOST_DIGITS or (isinstance(value, int) and abs(value) > _GREATEST_EXACT):
        return str(value)  # as a number it would lose digits
    return float(value)


def _member(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if isinstance(value, int | float | Decimal) else _text(value)
    if text is None:
        raise ValueError(f"contains {_named(value)}; a list must contain only text")
    return text


def _text(value: object) -> str | None:
    """Text from text, bytes or a time; None for anything else. Raises ValueError."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return value


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) and 0 < sum(c.isdigit() for c in cell) <= _MOST_DIGITS


def _named(value: object) -> str:
    names = {dict: "a struct", list: "a list", tuple: "a list", bool: "a boolean", float: "not a finite number"}
    return names.get(type(value), f"a {type(value).__name__}")
