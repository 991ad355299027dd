"""The order of a list, and the tokens of its pages. A token is bound to a list by the `context` of that."""

from __future__ import annotations

import base64
import json
import struct
import zlib

from index import Order, Position, parse_order
from service.engine.faults import translated_errors
from service.errors import ServiceError
from service.handlers.conversion.values import invalid

_POSITION = struct.Struct("<QI")
_CHECK = struct.Struct("<I")
_LARGEST = 2**62


def to_order(text: str) -> Order | None:
    """Returns the order of a request; None for an empty text. Raises ServiceError (ARGUMENT_INVALID)."""
    with translated_errors():
        return parse_order(text)


def to_token(position: int, context: str) -> str:
    """Returns a page token for a position."""
    return base64.urlsafe_b64encode(_POSITION.pack(position, zlib.crc32(context.encode()))).decode()


def from_token(token: str, context: str) -> int:
    """Returns the position of a page token; 0 for an empty one.

    Raises ServiceError (ARGUMENT_INVALID) if the token belongs to another list.
    """
    if not token:
        return 0
    try:
        position, check = _POSITION.unpack(base64.urlsafe_b64decode(token))
    except (ValueError, struct.error):
        raise _foreign() from None
    if check != zlib.crc32(context.encode()) or position > _LARGEST:
        raise _another_list()
    return int(position)


def to_order_token(position: Position, context: str) -> str:
    """Returns a page token for a position in the order of an attribute."""
    content = json.dumps(position, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_CHECK.pack(zlib.crc32(context.encode())) + content).decode()


def from_order_token(token: str, context: str) -> Position | None:
    """Returns the position of a page token; None for an empty one.

    Raises ServiceError (ARGUMENT_INVALID) if the token belongs to another list.
    """
    if not token:
        return None
    try:
        content = base64.urlsafe_b64decode(token)
        (check,) = _CHECK.unpack(content[: _CHECK.size])
        if check != zlib.crc32(context.encode()):
            raise _another_list()
        value, row_id = json.loads(content[_CHECK.size :])
    except (ValueError, TypeError, struct.error):
        raise _foreign() from None
    if not isinstance(value, str | int | float | None) or type(row_id) is not int or not 0 <= row_id <= _LARGEST:
        raise _foreign()
    return Position(value, row_id)


def _foreign() -> ServiceError:
    return invalid("page_token", "the page token was not created by this server")


def _another_list() -> ServiceError:
    message = "the page token belongs to another list; the filter and the order must be the same on every page"
    return invalid("page_token", message)
