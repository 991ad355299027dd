"""Checks values before they are sent. Raises InvalidArgument with what is allowed.

The server checks more: lengths, names, pictures. These checks find what would be lost or misread before it arrives.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterimage.client.errors import invalid

MAX_INTEGER = 2**53  # numbers are stored as float64, which tells larger ones no longer apart
_ALLOWED = "a string, a number, true or false, or a list of strings"
_SHOWN = 40


def checked_attributes(attributes: object) -> dict[str, Any]:
    """Returns attributes with values of str, float, bool or list of str. Raises InvalidArgument with the attribute's
    name."""
    if not isinstance(attributes, Mapping):
        raise invalid("attributes", f"attributes is {_kind(attributes)}; pass a mapping of names to values")
    return {_name(name): _value(f"attributes.{name}", value) for name, value in attributes.items()}


def checked_text(field: str, value: object) -> str:
    """Returns the text. Raises InvalidArgument for anything else."""
    if not isinstance(value, str):
        remedy = f"pass {str(value)!r}" if isinstance(value, int) and not isinstance(value, bool) else "pass a string"
        raise invalid(field, f"{field} is {_kind(value)}; {remedy}")
    return _unicode(field, value)


def checked_texts(field: str, values: object) -> list[str]:
    """Returns a list of texts. Raises InvalidArgument, also for one text: its characters would become texts."""
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        remedy = f"pass a list, such as [{_short(values)}]" if isinstance(values, str) else "pass a list of strings"
        raise invalid(field, f"{field} is {_kind(values)}; {remedy}")
    return [checked_text(f"{field}[{place}]", value) for place, value in enumerate(values)]


def checked_image(value: object, field: str = "image") -> bytes:
    """Returns the bytes of a picture: of `value` itself, of the file at a path, or of an open file. Raises
    InvalidArgument for a text, a file that cannot be read, or anything else.

    A text is never taken for a path: a shop may pass on what a visitor typed.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return _content_at(value, field)
    if hasattr(value, "read"):
        return _content(value, field)
    if isinstance(value, str):
        raise invalid(field, f"{field} is text, {_short(value)}; {_instead_of_text(value, field)}")
    raise invalid(field, f"{field} is {_kind(value)}; pass the bytes of a picture file, or its Path")


def is_url(value: object) -> bool:
    """Returns whether `value` is the text of an http or https URL."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _content_at(path: os.PathLike[str], field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise invalid(field, f"{field}: {_short(str(path))} cannot be read: {reason}") from None


def _content(file: Any, field: str) -> bytes:
    try:
        content = file.read()
    except UnicodeDecodeError:
        raise invalid(field, f"{field} is a file that is read as text; open it in binary mode, 'rb'") from None
    except (OSError, ValueError) as error:  # ValueError: a closed file
        raise invalid(field, f"{field} cannot be read: {error}") from None
    if not isinstance(content, bytes):
        raise invalid(field, f"{field} is a file that is read as text; open it in binary mode, 'rb'")
    if not content:
        raise invalid(field, f"{field} is a file at its end; seek(0) before it is passed again")
    return content


def _instead_of_text(text: str, field: str) -> str:
    if is_url(text):
        return "pass url=..., or the picture's bytes"
    more = ", Term(record_id=...) or an http URL" if field == "query" else ""
    return f"pass the picture's bytes, or Path({text!r}){more}"


def checked_sources(given: Mapping[str, object], optional: bool = True) -> str:
    """Returns the name of the source that is set; empty: none. Raises InvalidArgument if several are set."""
    named = [name for name, value in given.items() if value is not None and not _is_empty(value)]
    if len(named) > 1 or not (named or optional):
        said = f"{' and '.join(named)} are given" if named else "none is given"
        raise invalid(named[1] if named else next(iter(given)), f"pass exactly one of {', '.join(given)}; {said}")
    return named[0] if named else ""


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not value


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise invalid("attributes", f"the name of an attribute is {_kind(name)}, {name!r}; names are strings")
    return _unicode("attributes", name)


def _value(field: str, value: Any) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _unicode(field, value)
    if isinstance(value, numbers.Real):
        return _number(field, value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _strings(field, sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)
    if value is None:
        raise invalid(field, f"{field} is None; omit the attribute, or remove it with remove_attributes")
    if isinstance(value, Mapping):
        names = " and ".join(f"{field.removeprefix('attributes.')}_{n}" for n in list(value)[:2])
        flat = f", such as {names}" if names else ""
        remedy = f"attributes are flat: pass one attribute for each member{flat}"
        raise invalid(field, f"{field} is a nested object ({_kind(value)}); {remedy}")
    raise invalid(field, f"{field} is {_kind(value)}; pass {_ALLOWED}")


def _number(field: str, value: numbers.Real) -> float:
    if isinstance(value, numbers.Integral) and abs(int(value)) > MAX_INTEGER:
        shown = _short(str(value)) if abs(int(value)) < 10**100 else "an integer of more than 100 digits"
        raise invalid(field, f"{field} is {shown}, beyond 2**53, and would lose digits; pass it as a string")
    number = float(value)
    if not math.isfinite(number):
        raise invalid(field, f"{field} is {number}, not a finite number; omit the attribute")
    return number


def _strings(field: str, values: Any) -> list[str]:
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise invalid(field, f"{field}[{place}] is {_kind(value)}; a list must contain only strings")
        _unicode(f"{field}[{place}]", value)
    return list(values)


def _unicode(field: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(field, f"{field} is not valid Unicode: it contains half of a surrogate pair") from None
    return value


def _kind(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
