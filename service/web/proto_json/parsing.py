"""JSON text to Python values, with orjson. A name that an object has twice is refused, as by `json_format`."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from service.errors import Reason, ServiceError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ESCAPED_COLON = b"\\u003"  # the beginning of one
_LONG_BYTES = 1 << 15


def parse_text(raw: bytes) -> Any:
    """Returns the value of a JSON text. Raises ServiceError (ARGUMENT_INVALID), which quotes no value."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        line = f"line {error.lineno}, " if b"\n" in raw.strip() else ""
        message = f"the body is not valid JSON: {line}column {error.colno}"
        raise ServiceError(Reason.ARGUMENT_INVALID, message) from None
    if _may_repeat_names(raw, found):
        _refuse_repeated_names(raw)
    return found


def _may_repeat_names(raw: bytes, found: Any) -> bool:
    """Whether an object may have had a name twice, of which orjson keeps the last.

    Each name has a colon, and colons in values are in both texts. So the parsed value, written again, has as many
    colons as the text, unless something was dropped.
    """
    if b"\\" in raw and _ESCAPED_COLON in raw:
        return True
    try:
        return _colons(raw) != _colons(orjson.dumps(found))
    except orjson.JSONEncodeError:
        raise _too_deep() from None


def _colons(text: bytes) -> int:
    if len(text) < _LONG_BYTES:
        return text.count(b":")
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(":")))  # bytes.count takes six times as long


def _refuse_repeated_names(raw: bytes) -> None:
    # Numbers stay text, because Python refuses to convert very long ones.
    try:
        json.loads(raw, object_pairs_hook=_check_names, parse_int=str, parse_float=str)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, "the body is nested too deeply")


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            known = name if NAME.fullmatch(name) else ""  # other names may be data of the caller
            message = f"{known or 'a name'} is given twice in one object"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field=known)
        seen.add(name)
