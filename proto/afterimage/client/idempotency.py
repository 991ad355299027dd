"""Idempotency keys: the server makes a call that creates or starts something once for each key."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from afterimage.client.errors import invalid

HEADER = "idempotency-key"
_KEY = re.compile(r"[!#-~]{1,240}")


@dataclass
class _Given:
    key: str
    used: int = 0


_given: ContextVar[_Given | None] = ContextVar("afterimage_idempotency_key", default=None)


@contextlib.contextmanager
def idempotency_key(key: str) -> Iterator[None]:
    """Gives calls within the block a key of the caller's, so that a program that is started again makes them once.

        with idempotency_key("order-17"):
            client.create_collection("shoes")

    The first call that creates or starts something has this key, further ones `key-2`, `key-3`, ... Without this, each
    such call has a random key, which protects its retries. The server keeps keys for a day. Raises InvalidArgument.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise invalid("idempotency_key", "an idempotency key has 1 to 240 printable ASCII characters without spaces")
    token = _given.set(_Given(key))
    try:
        yield
    finally:
        _given.reset(token)


def new_key() -> str:
    """Returns the key of the next call."""
    given = _given.get()
    if given is None:
        return uuid.uuid4().hex
    given.used += 1
    return given.key if given.used == 1 else f"{given.key}-{given.used}"
