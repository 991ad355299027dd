"""Single values of proto3 JSON: checks and conversions for each type of a field.

A reader takes what orjson parsed and returns what protobuf takes. It raises ValueError, whose text says what the value
must be and does not contain it.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

Convert = Callable[[Any], Any]
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MOST = 3.4028234663852886e38
_FLOAT32 = struct.Struct("<f")
_STANDARD = str.maketrans("-_", "+/")
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_AS_TEXT = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def writer_of(field: FieldDescriptor) -> Convert | None:
    """Returns the function from a scalar value to JSON; None: the value is JSON already."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum_writer(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _base64
    if kind in _AS_TEXT:
        return str
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return shortest_float
    return _double if kind == FieldDescriptor.CPPTYPE_DOUBLE else None


def reader_of(field: FieldDescriptor) -> Convert:
    """Returns the function from JSON to a scalar value. It raises ValueError."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum_reader(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return read_base64
    if kind in _INTEGERS:
        return _integer_reader(*_INTEGERS[kind])
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return _read_float
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return _read_double
    return _read_bool if kind == FieldDescriptor.CPPTYPE_BOOL else _read_text


def key_reader_of(field: FieldDescriptor) -> Convert:
    """Returns the function from a key of a JSON object to a key of a map. It raises ValueError."""
    return _read_bool_key if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else reader_of(field)


def key_writer_of(field: FieldDescriptor) -> Convert | None:
    """Returns the function from a key of a map to a key of a JSON object; None: the key is a string already."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda value: "true" if value else "false"
    return None if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else str


def shortest_float(value: float) -> float | str:
    """Returns the float with the fewest digits that rounds to the same float32; a string if it is not finite."""
    if not math.isfinite(value):
        return _named(value)
    raw = _FLOAT32.pack(value)
    for digits in (6, 7, 8, 9):
        rounded = float(f"{value:.{digits}g}")
        if abs(rounded) <= _FLOAT_MOST and _FLOAT32.pack(rounded) == raw:
            return rounded
    return value  # the largest float, which fewer digits round to a larger number that nobody reads


def read_base64(value: Any) -> bytes:
    """Decodes base64 in the standard or the URL alphabet, with or without padding. Raises ValueError."""
    if type(value) is not str:
        raise ValueError("must be a string in base64")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:  # another alphabet, or no padding
        pass
    text = value.rstrip("=").translate(_STANDARD)
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise ValueError("must be base64") from None


def _base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _double(value: float) -> float | str:
    return value if math.isfinite(value) else _named(value)


def _named(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _enum_writer(enum: EnumDescriptor | None) -> Convert:
    assert enum is not None
    if enum.full_name == "google.protobuf.NullValue":
        return lambda value: None
    names = {number: value.name for number, value in enum.values_by_number.items()}
    return lambda value: names.get(value, value)


def _enum_reader(enum: EnumDescriptor | None) -> Convert:
    assert enum is not None
    name = enum.name
    numbers = {value.name: value.number for value in enum.values}
    whole = _integer_reader(*_INTEGERS[FieldDescriptor.CPPTYPE_INT32])

    def read(value: Any) -> int:
        if value is None and enum.full_name == "google.protobuf.NullValue":
            return 0
        if type(value) is str and (number := numbers.get(value)) is not None:
            return number
        try:
            return int(whole(value))
        except ValueError:
            raise ValueError(f"must be a name or number of {name}") from None

    return read


def _integer_reader(low: int, high: int) -> Convert:
    def read(value: Any) -> int:
        number = value if type(value) is int else _whole(value)
        if not low <= number <= high:
            raise ValueError(f"must be within {low} and {high}")
        return number

    return read


def _whole(value: Any) -> int:
    if type(value) is str:
        if _INTEGER.fullmatch(value):
            return int(value)
        value = float(value) if _NUMBER.fullmatch(value) else None
    if type(value) is float and value.is_integer():
        return int(value)
    raise ValueError("must be an integer")


def _read_double(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str:
        if value in _NAMED:
            return _NAMED[value]
        if _NUMBER.fullmatch(value) and math.isfinite(number := float(value)):
            return number
    raise ValueError("must be a number")


def _read_float(value: Any) -> float:
    number = _read_double(value)
    if abs(number) > _FLOAT_MOST and math.isfinite(number):
        raise ValueError("must be a number of 32 bits")
    return number


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


def _read_bool_key(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must have the keys true and false")
    return value == "true"  # type: ignore[no-any-return]


def _read_text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("must be a string")
    return value
