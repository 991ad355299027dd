"""Message types whose JSON is not an object of their fields. json_format itself converts them: they are rare here."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_NAMES = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value", "BoolValue", "BytesValue",
        "DoubleValue", "FloatValue", "Int32Value", "Int64Value", "StringValue", "UInt32Value", "UInt64Value",
    )
)  # fmt: skip
_NULLABLE = ("google.protobuf.Value", "google.protobuf.NullValue")


def is_well_known(descriptor: Descriptor) -> bool:
    """Whether the type has a JSON form of its own."""
    return descriptor.full_name in _NAMES


def map_entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Key and value of a field that is a map; None for other fields."""
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    return entry.fields_by_name["key"], entry.fields_by_name["value"]


def takes_null(field: FieldDescriptor) -> bool:
    """Whether null is a value of the field; elsewhere it means that the field is absent."""
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in _NULLABLE
