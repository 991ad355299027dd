"""Lossless parsing of JSON objects: numbers that a float cannot represent keep their digits, repeated names become
lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from service.sync.feeds.values.attributes import WrittenFloat
from service.sync.feeds.values.names import FieldNames, is_identifier

_LOSSY = float(1 << 53)
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_VALUES = 100_000  # a value takes up to 40 times the memory of its text
_NOT_JSON = "is not JSON"


class NotAnObject(ValueError):
    """The text is not a JSON object. The message says why."""


def parse_object(text: str, names: FieldNames) -> dict[str, Any]:
    """Parses a JSON object, with names as written. Raises NotAnObject.

    orjson parses it. If that would lose information, `json` parses it again with every digit: numbers of 17 and more
    digits, decimals of an id, repeated names, NaN, lone surrogates.
    """
    if text.count(",") + text.count("[") > _MAX_VALUES:
        raise NotAnObject(f"has more than {_MAX_VALUES} values")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        found = _exactly(text, str(error))
    else:
        if type(found) is dict and _is_inexact(text, found, names):
            found = _exactly(text, _NOT_JSON)
    if not isinstance(found, dict):
        raise NotAnObject("is not a JSON object")
    return found


def fields_of(found: Mapping[str, Any], names: FieldNames) -> dict[str, object]:
    """An object's values by field. Null values are omitted. Names of the same field make a list."""
    fields: dict[str, object] = {}
    known = names.known
    for name, value in found.items():
        if value is None:
            continue
        field = known.get(name) or names.field(name)
        if field in fields:
            before = fields[field]
            fields[field] = [*_listed(before), *_listed(value)]
        else:
            fields[field] = value
    return fields


def _is_inexact(text: str, found: dict[str, Any], names: FieldNames) -> bool:
    try:
        return _names_in(found) < text.count('":') + text.count('" :') or _loses(found, names)
    except RecursionError:
        raise NotAnObject("is nested too deeply") from None


def _loses(found: Mapping[str, Any], names: FieldNames) -> bool:
    """Whether a number may have lost digits, or its spelling matters."""
    for name, value in found.items():
        if type(value) is float:
            if not -_LOSSY < value < _LOSSY or is_identifier(field := names.field(name)) or field in names.exact:
                return True
        elif type(value) is dict and _loses(value, names):
            return True
    return False


def _names_in(found: Mapping[str, Any]) -> int:
    count = len(found)
    for value in found.values():
        if type(value) is str:
            continue
        if type(value) is dict:
            count += _names_in(value)
        elif type(value) is list:
            count += sum(_names_in(v) for v in value if type(v) is dict)
    return count


def _exactly(text: str, message: str) -> object:
    try:
        found = json.loads(
            text, parse_float=_written, parse_constant=lambda _: None, object_pairs_hook=_with_repetitions, strict=False
        )
    except RecursionError:
        raise NotAnObject("is nested too deeply") from None
    except ValueError:
        raise NotAnObject(f"is not JSON: {message}") from None
    return _without_surrogates(found) if _LONE_SURROGATES.search(text) or "\\u" in text else found


def _written(digits: str) -> object:
    found = WrittenFloat(digits)
    return found if found - found == 0 else digits  # not finite


def _with_repetitions(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and value != found[name]:
            found[name] = [*_listed(found[name]), *_listed(value)]
        else:
            found[name] = value
    return found


def _without_surrogates(value: Any) -> Any:
    """Replaces lone surrogates by U+FFFD."""
    if isinstance(value, str):
        return _LONE_SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(v) for v in value]
    if isinstance(value, dict):
        return {_LONE_SURROGATES.sub("\ufffd", n): _without_surrogates(v) for n, v in value.items()}
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
