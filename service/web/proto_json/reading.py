"""Fills messages from parsed JSON, with a function for each message type that is compiled on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from service.web.proto_json.parsing import NAME
from service.web.proto_json.scalars import Convert, key_reader_of, reader_of
from service.web.proto_json.well_known import is_well_known, map_entry, takes_null

Fill = Callable[[Message, Any], None]  # puts JSON into an empty message


class JsonError(Exception):
    """JSON that does not fit the message type. `str()` quotes no value.

    - `path`: parts of the field's path, the innermost first.
    - `unknown`: the field does not exist.
    """

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.path: list[str] = []
        self.unknown = unknown

    @property
    def field(self) -> str:
        """The path of the field, such as `records[3].region.left`; empty: the whole message."""
        return "".join(reversed(self.path)).removeprefix(".")


class Readers:
    """Compiles and keeps the functions for each message type.

    `special`: functions for message types with a form of their own, by full name. Each takes the compiled function of
    the canonical form and returns its own.
    """

    def __init__(self, *, special: Mapping[str, Callable[[Fill], Fill]]) -> None:
        self._special = special
        self._made: dict[str, Fill] = {}

    def of(self, descriptor: Descriptor) -> Fill:
        """Returns the function that fills messages of this type. It raises JsonError."""
        made = self._made.get(descriptor.full_name)
        if made is None:
            made = self._made[descriptor.full_name] = self._compile(descriptor)
        return made

    def _compile(self, descriptor: Descriptor) -> Fill:
        if is_well_known(descriptor):
            return _well_known_reader(descriptor.full_name)
        # A type may contain itself: what is found meanwhile looks for the compiled function when it is called.
        self._made[descriptor.full_name] = lambda message, given: self._made[descriptor.full_name](message, given)
        table: dict[str, tuple[Fill, frozenset[str], frozenset[str]]] = {}
        for field in descriptor.fields:
            fill, spellings = self._field(field), frozenset((field.json_name, field.name))
            table |= {name: (fill, spellings - {name}, _oneof_names(field)) for name in spellings}
        fill = _message_reader(descriptor.name, table)
        special = self._special.get(descriptor.full_name)
        return special(fill) if special else fill

    def _field(self, field: FieldDescriptor) -> Fill:
        if entry := map_entry(field):
            key, value = entry
            single = self._of_type(value)
            return _map_reader(field.name, key_reader_of(key), single, reader_of(value) if single is None else None)
        single = self._of_type(field)
        if field.is_repeated:
            if single is None:
                return _scalar_list_reader(field, reader_of(field))
            return _message_list_reader(field, single)
        if single is None:
            return _scalar_reader(field, reader_of(field))
        return _submessage_reader(field, single)

    def _of_type(self, field: FieldDescriptor) -> Fill | None:
        return None if field.message_type is None else self.of(field.message_type)


def _oneof_names(field: FieldDescriptor) -> frozenset[str]:
    """Returns the names of the other members of a field's oneof."""
    if field.containing_oneof is None:
        return frozenset()
    others = [f for f in field.containing_oneof.fields if f.number != field.number]
    return frozenset(name for f in others for name in (f.json_name, f.name))


def _message_reader(type_name: str, table: dict[str, tuple[Fill, frozenset[str], frozenset[str]]]) -> Fill:
    def fill(message: Message, given: Any) -> None:
        if type(given) is not dict:
            raise JsonError("must be an object")
        for name, value in given.items():
            known = table.get(name)
            if known is None:
                raise _unknown(type_name, name)
            fill_field, spellings, rivals = known
            try:
                if spellings and not spellings.isdisjoint(given):
                    raise JsonError("is given twice")
                if rivals and value is not None and any(given.get(rival) is not None for rival in rivals):
                    raise JsonError("excludes another field that is given too")
                fill_field(message, value)
            except JsonError as error:
                error.path.append(f".{name}")
                raise
            except ValueError as error:
                raise _located(error, f".{name}") from None

    return fill


def _unknown(type_name: str, name: str) -> JsonError:
    if NAME.fullmatch(name):
        error = JsonError(f"{type_name} has no field {name}", unknown=True)
        error.path.append(f".{name}")
        return error
    return JsonError(f"{type_name} has an unknown field", unknown=True)


def _located(error: ValueError, part: str) -> JsonError:
    located = JsonError(str(error))
    located.path.append(part)
    return located


def _scalar_reader(field: FieldDescriptor, convert: Convert) -> Fill:
    name, nullable = field.name, takes_null(field)

    def fill(message: Message, value: Any) -> None:
        if value is not None:
            setattr(message, name, convert(value))
        elif nullable:
            setattr(message, name, 0)

    return fill


def _submessage_reader(field: FieldDescriptor, single: Fill) -> Fill:
    name, nullable = field.name, takes_null(field)

    def fill(message: Message, value: Any) -> None:
        if value is not None or nullable:
            inner = getattr(message, name)
            inner.SetInParent()
            single(inner, value)

    return fill


def _listed(value: Any) -> list[Any]:
    if type(value) is not list:
        raise JsonError("must be a list")
    return value


def _scalar_list_reader(field: FieldDescriptor, convert: Convert) -> Fill:
    name = field.name

    def fill(message: Message, value: Any) -> None:
        if value is None:
            return
        values = getattr(message, name)
        for index, item in enumerate(_listed(value)):
            try:
                values.append(convert(item))
            except ValueError as error:
                raise _located(error, f"[{index}]") from None

    return fill


def _message_list_reader(field: FieldDescriptor, single: Fill) -> Fill:
    name, nullable = field.name, takes_null(field)

    def fill(message: Message, value: Any) -> None:
        if value is None:
            return
        messages = getattr(message, name)
        for index, item in enumerate(_listed(value)):
            try:
                if item is None and not nullable:
                    raise JsonError("must not be null")
                single(messages.add(), item)
            except JsonError as error:
                error.path.append(f"[{index}]")
                raise

    return fill


def _map_reader(name: str, read_key: Convert, single: Fill | None, convert: Convert | None) -> Fill:
    def fill(message: Message, value: Any) -> None:
        if value is None:
            return
        if type(value) is not dict:
            raise JsonError("must be an object")
        values = getattr(message, name)
        for key, item in value.items():
            found = read_key(key)
            try:
                if single is None:
                    assert convert is not None
                    values[found] = convert(item)
                else:
                    single(values[found], item)
            except JsonError as error:
                error.path.append(_key_part(key))
                raise
            except ValueError as error:
                raise _located(error, _key_part(key)) from None

    return fill


def _key_part(key: str) -> str:
    """A key of a map in the path of a field: keys that are no names may be values."""
    return f".{key}" if NAME.fullmatch(key) else "[…]"


def _well_known_reader(type_name: str) -> Fill:
    def fill(message: Message, value: Any) -> None:
        try:
            json_format.ParseDict(value, message)
        except (json_format.Error, ValueError, TypeError, AttributeError, KeyError):
            raise JsonError(f"must be a {type_name.rpartition('.')[2]}, as proto3 JSON writes it") from None

    return fill
