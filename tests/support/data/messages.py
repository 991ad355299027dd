"""Arbitrary messages of any protobuf type, and a type with every kind of field."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = (
    "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "bytes", "uint32",
    "sfixed32", "sfixed64", "sint32", "sint64",
)  # fmt: skip
_KEYS = tuple(name for name in _SCALARS if name not in ("double", "float", "bytes"))
_WELL_KNOWN = (
    "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "BoolValue", "BytesValue", "DoubleValue",
    "FloatValue", "Int32Value", "Int64Value", "StringValue", "UInt32Value", "UInt64Value",
)  # fmt: skip
_FILES = (timestamp_pb2, duration_pb2, field_mask_pb2, struct_pb2, wrappers_pb2)


LARGEST_FLOAT = float.fromhex("0x1.fffffep+127")  # of 32 bits


@functools.cache
def everything() -> type[Message]:
    """A message type with fields of every kind: single, optional, repeated, in a oneof, and as a map."""
    file = descriptor_pb2.FileDescriptorProto(name="everything.proto", package="everything", syntax="proto3")
    file.dependency.extend(module.DESCRIPTOR.name for module in _FILES)
    enum = file.enum_type.add(name="Colour")
    for number, name in ((0, "COLOUR_UNSPECIFIED"), (1, "RED"), (-7, "BLUE")):
        enum.value.add(name=name, number=number)
    message = file.message_type.add(name="Everything")
    numbers = iter(range(1, 400))
    kinds: list[tuple[str, str | None]] = [(name, None) for name in _SCALARS]
    kinds += [("enum", ".everything.Colour"), ("enum", ".google.protobuf.NullValue")]
    kinds += [("message", ".everything.Everything")]
    kinds += [("message", f".google.protobuf.{name}") for name in _WELL_KNOWN]
    message.oneof_decl.add(name="one")
    for kind, of in kinds:
        base = f"{kind}_{of.rpartition('.')[2].lower()}" if of else f"{kind}_field"
        # json_format writes a list or a map of NullValue, and does not read what it wrote.
        for prefix in ("a", "one") if base == "enum_nullvalue" else ("a", "many", "one"):
            _add(message, f"{prefix}_{base}", kind, of, next(numbers), prefix)
    for name in _SCALARS:
        number = next(numbers)
        field = _add(message, f"maybe_{name}", name, None, number, "a")
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_maybe_{name}")
    for key in _KEYS:
        _add_map(message, f"by_{key}", key, "int32", None, next(numbers))
    for kind, of in kinds:
        base = of.rpartition(".")[2].lower() if of else kind
        if base == "nullvalue":
            continue
        _add_map(message, f"map_{base}", "string", kind, of, next(numbers))
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("everything.Everything"))


def _add(message: Any, name: str, kind: str, of: str | None, number: int, prefix: str) -> Any:
    label = _FIELD.LABEL_REPEATED if prefix == "many" else _FIELD.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label, type=_FIELD.Type.Value(f"TYPE_{kind.upper()}"))
    if of:
        field.type_name = of
    if prefix == "one":
        field.oneof_index = 0
    return field


def _add_map(message: Any, name: str, key: str, kind: str, of: str | None, number: int) -> None:
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _add(entry, "key", key, None, 1, "a")
    _add(entry, "value", kind, of, 2, "a")
    _add(message, name, "message", f".everything.Everything.{entry_name}", number, "many")


def arbitrary(descriptor: Any, depth: int = 2) -> st.SearchStrategy[Message]:
    """Messages of a type, with some of its fields set."""
    made = GetMessageClass(descriptor)
    if descriptor.full_name.startswith("google.protobuf."):
        return _well_known(descriptor, made)
    fields = [f for f in descriptor.fields if depth or f.message_type is None]
    if not fields:
        return st.just(made())

    @st.composite
    def filled(draw: Draw) -> Message:
        message = made()
        for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique_by=lambda f: f.number)):
            _fill(message, field, draw, depth)
        return message

    return filled()


def _fill(message: Any, field: Any, draw: Draw, depth: int) -> None:
    entry = field.message_type if field.message_type and field.message_type.GetOptions().map_entry else None
    if entry is not None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(draw(st.integers(0, 2))):
            found = draw(scalars(key))
            if value.message_type is None:
                getattr(message, field.name)[found] = draw(scalars(value))
            else:
                getattr(message, field.name)[found].CopyFrom(draw(arbitrary(value.message_type, depth - 1)))
    elif field.message_type is not None:
        single = arbitrary(field.message_type, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(single, max_size=2)))
        else:
            getattr(message, field.name).CopyFrom(draw(single))
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=3)))
    else:
        setattr(message, field.name, draw(scalars(field)))


def scalars(field: Any) -> st.SearchStrategy[Any]:
    """Values of a field that is no message."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=9)
    ranges = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1), FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1), FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }  # fmt: skip
    if kind in ranges:
        return st.integers(*ranges[kind])
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        # json_format writes the largest float as 3.4028235e+38, which is larger, and does not read it.
        return st.floats(width=32).filter(lambda value: abs(value) != LARGEST_FLOAT)
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return st.floats()
    return st.booleans() if kind == FieldDescriptor.CPPTYPE_BOOL else st.text(max_size=6)


_SECONDS = {"Timestamp": (-62135596800, 253402300799), "Duration": (-315576000000, 315576000000)}
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def _well_known(descriptor: Any, made: type[Message]) -> st.SearchStrategy[Message]:
    name = descriptor.name
    if name == "Timestamp":
        parts = st.tuples(st.integers(*_SECONDS[name]), st.integers(0, 999_999_999))
        return parts.map(lambda p: made(seconds=p[0], nanos=p[1]))
    if name == "Duration":
        parts = st.tuples(st.integers(*_SECONDS[name]), st.integers(0, 999_999_999))
        return parts.map(lambda p: made(seconds=p[0], nanos=p[1] if p[0] >= 0 else -p[1]))
    if name == "FieldMask":
        words = st.from_regex(r"[a-z]{1,4}(_[a-z]{1,3})?(\.[a-z]{1,4})?", fullmatch=True)
        return st.lists(words, max_size=3).map(lambda paths: made(paths=paths))
    if name in ("Struct", "Value", "ListValue"):
        given = {
            "Struct": st.dictionaries(st.text(max_size=3), _JSON, max_size=2),
            "ListValue": st.lists(_JSON, max_size=2),
        }
        return given.get(name, _JSON).map(lambda value: json_format.Parse(json.dumps(value), made()))
    return scalars(descriptor.fields_by_name["value"]).map(lambda value: made(value=value))
