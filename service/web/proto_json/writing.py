"""Converts messages to values that orjson writes, with a function for each message type, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from service.web.proto_json.scalars import Convert, key_writer_of, writer_of
from service.web.proto_json.well_known import is_well_known, map_entry

Write = Callable[[Message], Any]


class Writers:
    """Compiled functions by message type. `defaults`: write fields that hold their default and cannot be absent, as
    `always_print_fields_with_no_presence` of json_format does. `special`: for message types with a form of their own,
    by full name; each takes the compiled function of the canonical form, and returns its own."""

    def __init__(self, *, defaults: bool, special: Mapping[str, Callable[[Write], Write]]) -> None:
        self._defaults, self._special = defaults, special
        self._made: dict[str, Write] = {}

    def of(self, descriptor: Descriptor) -> Write:
        """Returns the function that converts messages of this type."""
        made = self._made.get(descriptor.full_name)
        if made is None:
            made = self._made[descriptor.full_name] = self._compile(descriptor)
        return made

    def _compile(self, descriptor: Descriptor) -> Write:
        if is_well_known(descriptor):
            return self._with_json_format
        # A type may contain itself: what is found meanwhile looks for the compiled function when it is called.
        self._made[descriptor.full_name] = lambda message: self._made[descriptor.full_name](message)
        write = _message_writer({f.number: (f.json_name, self._field(f)) for f in descriptor.fields})
        if self._defaults:
            write = _with_blanks(write, {f.json_name: self._blank(f) for f in descriptor.fields if not f.has_presence})
        special = self._special.get(descriptor.full_name)
        return special(write) if special else write

    def _field(self, field: FieldDescriptor) -> Convert | None:
        if entry := map_entry(field):
            return _map_writer(key_writer_of(entry[0]), self._single(entry[1]))
        single = self._single(field)
        return _list_writer(single) if field.is_repeated else single

    def _single(self, field: FieldDescriptor) -> Convert | None:
        return writer_of(field) if field.message_type is None else self.of(field.message_type)

    def _blank(self, field: FieldDescriptor) -> Any:
        if map_entry(field):
            return {}
        if field.is_repeated:
            return []
        write = writer_of(field)
        return write(field.default_value) if write else field.default_value

    def _with_json_format(self, message: Message) -> Any:
        return json_format.MessageToDict(message, always_print_fields_with_no_presence=self._defaults)


def _message_writer(table: dict[int, tuple[str, Convert | None]]) -> Write:
    def write(message: Message) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, value in message.ListFields():
            name, convert = table[field.number]
            found[name] = value if convert is None else convert(value)
        return found

    return write


def _with_blanks(write: Write, blanks: dict[str, Any]) -> Write:
    return lambda message: {**blanks, **write(message)}


def _list_writer(convert: Convert | None) -> Convert:
    if convert is None:
        return list
    return lambda values: [convert(value) for value in values]


def _map_writer(key: Convert | None, convert: Convert | None) -> Convert:
    if key is None and convert is None:
        return dict
    if convert is None:
        return lambda values: {key(k): v for k, v in values.items()}  # type: ignore[misc]
    if key is None:
        return lambda values: {k: convert(v) for k, v in values.items()}
    return lambda values: {key(k): convert(v) for k, v in values.items()}
