"""Rules for ids and attributes, and how attributes are stored: canonical JSON, so that equal attributes are equal text.

A value is a string, a number (float), a boolean or a list of strings (a tuple here). There is no null: an attribute
that is not set has no entry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import orjson

from index.types.errors import InvalidInput
from index.types.record import Attributes, AttributeValue, Region

MAX_ID_BYTES = 256
MAX_ATTRIBUTES = 64
MAX_STRING_BYTES = 1024
MAX_LIST_VALUES = 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = frozenset({"record_id", "product_id"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_id(field: str, value: str, *, empty_allowed: bool = False) -> None:
    """Raises InvalidInput unless `value` is an id: 1 to 256 bytes of UTF-8 without control characters."""
    if value.isascii() and value.isprintable() and 0 < len(value) <= MAX_ID_BYTES:
        return
    if not value:
        if empty_allowed:
            return
        raise InvalidInput(field, f"{field} is empty")
    if _CONTROL.search(value):
        raise InvalidInput(field, f"{field} contains a control character")
    if len(value.encode()) > MAX_ID_BYTES:
        raise InvalidInput(field, f"{field} is longer than {MAX_ID_BYTES} bytes")


def check_attribute_name(name: str) -> None:
    """Raises InvalidInput unless `name` may name an attribute."""
    if _may_name(name):
        return
    if name in _RESERVED:
        raise InvalidInput("attributes", f"{name} is a field of every record and cannot name an attribute")
    raise InvalidInput("attributes", f"attribute name {name[:80]!r} does not match [a-z][a-z0-9_]{{0,63}}")


@lru_cache(maxsize=4096)
def _may_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def check_attributes(attributes: Attributes) -> None:
    """Raises InvalidInput unless all names and values keep to the rules."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidInput("attributes", f"{len(attributes)} attributes are more than {MAX_ATTRIBUTES}")
    for name, value in attributes.items():
        check_attribute_name(name)
        if type(value) is str and len(value) <= MAX_STRING_BYTES and value.isascii():
            continue
        if type(value) is not float or not math.isfinite(value):
            _check_value(f"attributes.{name}", value)


def _check_value(field: str, value: AttributeValue) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise InvalidInput(field, f"{field} is not a finite number")
        return
    for text in value if isinstance(value, tuple) else (value,):
        if not isinstance(text, str):
            allowed = "a string, a number, true or false, or a tuple of strings"
            raise InvalidInput(field, f"{field} has a value of type {type(text).__name__}; it must be {allowed}")
    if isinstance(value, tuple) and len(value) > MAX_LIST_VALUES:
        raise InvalidInput(field, f"{field} has {len(value)} values, more than {MAX_LIST_VALUES}")
    for text in value if isinstance(value, tuple) else (value,):
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidInput(field, f"{field} is not valid Unicode") from None
        if size > MAX_STRING_BYTES:
            raise InvalidInput(field, f"{field} is longer than {MAX_STRING_BYTES} bytes")


def check_region(region: Region | None) -> None:
    """Raises InvalidInput unless the region lies within 0..1 and has an area."""
    if region is None:
        return
    for name in ("left", "top", "right", "bottom"):
        value = getattr(region, name)
        if not 0.0 <= value <= 1.0:  # false for NaN too
            raise InvalidInput(f"region.{name}", f"region.{name} is {value:g}, not within 0..1")
    if region.left >= region.right:
        raise InvalidInput("region.right", "region.right must be larger than region.left")
    if region.top >= region.bottom:
        raise InvalidInput("region.bottom", "region.bottom must be larger than region.top")


def canonical(attributes: Attributes) -> dict[str, AttributeValue]:
    """Checked attributes as they are stored: numbers are floats, and -0.0 is 0.0."""
    return {n: float(v) + 0.0 if type(v) is float or type(v) is int else v for n, v in attributes.items()}


def attributes_to_json(attributes: Attributes) -> str:
    """The JSON of checked attributes: sorted names, no blanks, numbers as floats. Equal attributes give equal text."""
    return canonical_to_json(canonical(attributes))


def canonical_to_json(attributes: Attributes) -> str:
    """As `attributes_to_json`, of what `canonical` gave."""
    return orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS).decode()


def attributes_from_json(text: str | bytes) -> Mapping[str, AttributeValue]:
    """The attributes that `attributes_to_json` wrote."""
    found: dict[str, AttributeValue] = orjson.loads(text)
    for name, value in found.items():
        if isinstance(value, list):
            found[name] = tuple(value)
    return found
