"""Attributes of records, and parameters of saved searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterimage.client.checks import checked_attributes
from afterimage.client.values import AttributeValue
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import types_pb2 as types_pb


def fill_attributes(target: Any, attributes: Mapping[str, AttributeValue]) -> None:
    for name, value in checked_attributes(attributes).items():
        if isinstance(value, bool):
            target[name].bool_value = value
        elif isinstance(value, str):
            target[name].string_value = value
        elif isinstance(value, float):
            target[name].number_value = value
        else:
            target[name].list_value.values.extend(value)
            target[name].list_value.SetInParent()


def fill_parameters(target: Any, parameters: Mapping[str, AttributeValue]) -> None:
    """Writes the parameters of a saved search into a message's map. Raises InvalidArgument."""
    fill_attributes(target, parameters)


def attribute_value(field: str, value: AttributeValue) -> types_pb.AttributeValue:
    """Returns the message of one value. Raises InvalidArgument."""
    holder = records_pb.RecordInput()
    fill_attributes(holder.attributes, {field: value})
    return holder.attributes[field]


def to_attributes(source: Mapping[str, types_pb.AttributeValue]) -> dict[str, AttributeValue]:
    values = ((name, to_value(value)) for name, value in source.items())
    return {name: value for name, value in values if value is not None}


def to_value(message: types_pb.AttributeValue) -> AttributeValue | None:
    """Returns the value of an attribute; None if the message has none."""
    kind = message.WhichOneof("kind")
    if kind is None:
        return None
    value: AttributeValue = tuple(message.list_value.values) if kind == "list_value" else getattr(message, kind)
    return value


def to_attribute_value(message: types_pb.AttributeValue) -> AttributeValue:
    """Returns a value."""
    return to_attributes({"value": message})["value"]
