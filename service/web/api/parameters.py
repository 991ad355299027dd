"""The query string of a request as JSON, by the types of the fields that it names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from service.errors import Reason, ServiceError

_MOST = 200


def read_query(text: str) -> list[tuple[str, str]]:
    """Returns the names and values in a query string. Raises ServiceError (ARGUMENT_INVALID)."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except ValueError:
        message = f"the query string is not UTF-8, or has more than {_MOST} parameters"
        raise ServiceError(Reason.ARGUMENT_INVALID, message) from None


def as_json(pairs: Iterable[tuple[str, str]], descriptor: Descriptor) -> dict[str, Any]:
    """Returns the parameters as a JSON object for a message type.

    A dot leads into a message or a map, and a repeated parameter adds to a list. Unknown names are kept, and the codec
    refuses them. Raises ServiceError (ARGUMENT_INVALID).
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        _put(found, name.split("."), value, descriptor, name)
    return found


def knows(descriptor: Descriptor, name: str) -> bool:
    """Whether a parameter names a field of the type."""
    return _field(descriptor, name.partition(".")[0]) is not None


def _put(target: dict[str, Any], parts: list[str], value: str, descriptor: Any, name: str) -> None:
    first, rest = parts[0], parts[1:]
    field = _field(descriptor, first)
    entry = field.message_type if field is not None else None
    if field is not None and entry is not None and rest and (entry.GetOptions().map_entry or not field.is_repeated):
        inner = target.setdefault(field.json_name, {})
        if entry.GetOptions().map_entry:
            _once(inner, ".".join(rest), value, name)
        else:
            _put(inner, rest, value, entry, name)
    elif field is not None and field.is_repeated and not rest and entry is None:
        target.setdefault(field.json_name, []).append(_typed(field, value))
    else:
        key = ".".join(parts) if rest or field is None else field.json_name
        _once(target, key, value if field is None else _typed(field, value), name)


def _once(target: dict[str, Any], key: str, value: Any, name: str) -> None:
    if key in target:
        raise ServiceError(Reason.ARGUMENT_INVALID, f"{name[:80]} is given twice", field=name[:80])
    target[key] = value


def _typed(field: FieldDescriptor, value: str) -> Any:
    """Returns the JSON value of a parameter. Protobuf's JSON reads numbers from strings, but not true and false."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and value in ("true", "false"):
        return value == "true"
    return value


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    if name in descriptor.fields_by_name:
        return descriptor.fields_by_name[name]
    return next((f for f in descriptor.fields if f.json_name == name), None)
