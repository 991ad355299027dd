"""JSON schemas of messages, in the plain form that friendly paths speak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from service.web.proto_json import attributes
from service.web.proto_json.well_known import map_entry

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: ("int32", -(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: ("int32", 0, 2**32 - 1),
}
_LONG = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,18}$"}
_TIMES = {"google.protobuf.Timestamp": "date-time"}
_ATTRIBUTE = {
    "description": "A string, a number, true, false, or a list of strings.",
    "anyOf": [
        {"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "array", "items": {"type": "string"}},
    ],
}  # fmt: skip


class Schemas:
    """Collects the schemas that are referred to. `comments`: by full name.

    A response has all fields that cannot be absent, a request may leave out any. So a message type that both contain
    has two schemas: its own name is that of responses, and requests have `NameInput`.
    """

    def __init__(self, comments: Mapping[str, str], responses: Iterable[Any]) -> None:
        self._comments = comments
        self._made: dict[str, dict[str, Any]] = {}
        self._answered: set[str] = set()
        for descriptor in responses:
            self._add_answered(descriptor)

    def reference(self, descriptor: Any, *, answer: bool = False) -> dict[str, Any]:
        """A reference to the schema of a message type, which is made. `answer`: in a response."""
        if descriptor.full_name == attributes.TYPE:
            return _ATTRIBUTE
        if descriptor.full_name in _TIMES:
            return {"type": "string", "format": _TIMES[descriptor.full_name]}
        name = _component(descriptor)
        if not answer and descriptor.full_name in self._answered:
            name += "Input"
        if name not in self._made:
            self._made[name] = {}  # a type may contain itself
            self._made[name] = self.without(descriptor, (), answer=answer)
        return {"$ref": f"#/components/schemas/{name}"}

    def without(self, descriptor: Any, names: Iterable[str], *, answer: bool = False) -> dict[str, Any]:
        """The schema of a message type, without some of its fields."""
        left_out = set(names)
        fields = [f for f in descriptor.fields if f.name not in left_out]
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
        if text := self._described(descriptor, fields):
            schema["description"] = text
        if answer and (required := [f.json_name for f in fields if not f.has_presence]):
            schema["required"] = required
        schema["properties"] = {f.json_name: self._with_comment(f, self._field(f, answer)) for f in fields}
        return schema

    def parameters(self, descriptor: Any, left_out: Iterable[str]) -> list[dict[str, Any]]:
        """The fields of a message type that a query string can hold by their name alone."""
        names = set(left_out)
        fields = [f for f in descriptor.fields if f.name not in names and f.message_type is None]
        return [
            {
                "name": f.json_name, "in": "query", "required": False, "schema": self._field(f, False),
                "description": self._comments.get(f.full_name, ""),
            }
            for f in fields
        ]  # fmt: skip

    def components(self) -> dict[str, Any]:
        """All schemas that were referred to."""
        return dict(sorted(self._made.items()))

    def _described(self, descriptor: Descriptor, fields: Iterable[FieldDescriptor]) -> str:
        """The comment of a type, and which of its fields exclude each other."""
        left = {f.name for f in fields}
        lines = [self._comments.get(descriptor.full_name, "")]
        for oneof in descriptor.oneofs:
            members = [f.json_name for f in oneof.fields if f.name in left]
            if len(members) > 1:
                lines.append(f"At most one of {', '.join(members)}.")
        return " ".join(filter(None, lines))

    def _with_comment(self, field: FieldDescriptor, schema: dict[str, Any]) -> dict[str, Any]:
        text = self._comments.get(field.full_name, "")
        return {**schema, "description": text} if text else schema

    def _add_answered(self, descriptor: Any) -> None:
        if descriptor.full_name not in self._answered:
            self._answered.add(descriptor.full_name)
            for field in descriptor.fields:
                if field.message_type is not None:
                    self._add_answered(field.message_type)

    def _field(self, field: FieldDescriptor, answer: bool) -> dict[str, Any]:
        if entry := map_entry(field):
            return {"type": "object", "additionalProperties": self._single(entry[1], answer)}
        single = self._single(field, answer)
        return {"type": "array", "items": single} if field.is_repeated else single

    def _single(self, field: FieldDescriptor, answer: bool) -> dict[str, Any]:
        if field.message_type is not None:
            return self.reference(field.message_type, answer=answer)
        kind = field.cpp_type
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if kind in _INTEGERS:
            name, low, high = _INTEGERS[kind]
            return {"type": "integer", "format": name, "minimum": low, "maximum": high}
        if kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
            return dict(_LONG)
        if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
            return {"type": "number", "format": "float" if kind == FieldDescriptor.CPPTYPE_FLOAT else "double"}
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return {"type": "boolean"}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "format": "byte", "contentEncoding": "base64"}
        return {"type": "string"}

    def _enum(self, enum: Any) -> dict[str, Any]:
        name = _component(enum)
        if name not in self._made:
            lines = [
                f"- `{v.name}`: {text}" for v in enum.values if (text := self._comments.get(_value_name(enum, v), ""))
            ]
            text = "\n".join(filter(None, [self._comments.get(enum.full_name, ""), *lines]))
            self._made[name] = {"type": "string", "enum": [value.name for value in enum.values], "description": text}
        return {"$ref": f"#/components/schemas/{name}"}


def _value_name(enum: Any, value: Any) -> str:
    """As the comments name it."""
    return f"{enum.full_name}.{value.name}"


def _component(descriptor: Any) -> str:
    return str(descriptor.full_name.removeprefix("afterimage.v1."))
