"""Attributes as plain JSON: `{"color": "red", "price": 39.5}` instead of `{"color": {"stringValue": "red"}}`."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from afterimage.v1.types_pb2 import AttributeValue
from service.web.proto_json.reading import Fill, JsonError
from service.web.proto_json.writing import Write

TYPE = AttributeValue.DESCRIPTOR.full_name


def write_plain(canonical: Write) -> Write:
    """Writes a text, a number, true or false, or a list of texts."""

    def write(message: Any) -> Any:
        kind = message.WhichOneof("kind")
        if kind is None:
            return None
        if kind == "list_value":
            return list(message.list_value.values)
        return canonical(message)[_JSON_NAMES[kind]]

    return write


def read_plain(canonical: Fill) -> Fill:
    """Reads the plain form and, from an object, the canonical one."""

    def fill(message: Message, value: Any) -> None:
        if type(value) is dict:
            canonical(message, value)
        elif type(value) is list:
            canonical(message, {"listValue": {"values": value}})
        elif type(value) is int and not _is_exact(value):
            raise JsonError("is an integer beyond 2**53 that would lose digits; pass it as a string")
        elif name := _BY_TYPE.get(type(value)):
            canonical(message, {name: value})
        else:
            raise JsonError("must be a string, a number, true, false or a list of strings")

    return fill


def _is_exact(value: int) -> bool:
    """Returns whether float64, as which numbers are stored, holds the integer. One that is too large is left to the
    canonical form, which refuses it."""
    return abs(value) <= 2**53 or abs(value) >= 2**1023 or int(float(value)) == value


_BY_TYPE: dict[type, str] = {str: "stringValue", bool: "boolValue", int: "numberValue", float: "numberValue"}
_JSON_NAMES = {"string_value": "stringValue", "bool_value": "boolValue", "number_value": "numberValue"}
