"""How a row is sealed: AES-256-GCM under a key of the collection, with the row's key and version as associated data."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index.storage.crypto import derive_key, keyed_digest
from index.types.errors import StoreDamaged

Value = str | int | float | bytes | None
_KEY_BYTES = 16
_NONCE_BYTES = 12
_LENGTH = struct.Struct("<I")


class Image(NamedTuple):
    """A row as it is stored. table: its table; values: by column. Of a deleted row only the row id is left, or nothing
    where the table has none."""

    table: str
    values: Mapping[str, Value]


class Seal:
    """Of one collection, or another database."""

    def __init__(self, id: bytes, key: bytes) -> None:
        """id: what PostgreSQL knows it by, 16 bytes. key: its own is derived from this, 32 bytes."""
        self.id = id
        key = derive_key(key, f"shared rows of {self.id.hex()}")
        self._names, self._cipher = derive_key(key, "row keys"), AESGCM(key)

    def row_key(self, table: str, key: Sequence[Value]) -> bytes:
        """What PostgreSQL knows a row by: 16 bytes. key: the values of its primary key."""
        return keyed_digest(self._names, table.encode(), orjson.dumps(list(key)))[:_KEY_BYTES]

    def seal(self, row_key: bytes, version: int, image: Image) -> bytes:
        """The sealed row."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _packed(image), self._associated(row_key, version))

    def open(self, row_key: bytes, version: int, sealed: bytes) -> Image:
        """The row. Raises StoreDamaged where it is not what was sealed under this key, row key and version."""
        associated = self._associated(row_key, version)
        try:
            return _unpacked(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated))
        except InvalidTag as error:
            raise StoreDamaged("a row in PostgreSQL does not authenticate") from error

    def _associated(self, row_key: bytes, version: int) -> bytes:
        return self.id + row_key + struct.pack("<q", version)


def _packed(image: Image) -> bytes:
    """The length of a header, the header as JSON, and all bytes values, whose lengths the header has, in order."""
    blobs = [v for v in image.values.values() if isinstance(v, bytes)]
    header = orjson.dumps([image.table, {n: [len(v)] if isinstance(v, bytes) else v for n, v in image.values.items()}])
    return b"".join((_LENGTH.pack(len(header)), header, *blobs))


def _unpacked(packed: bytes) -> Image:
    (length,) = _LENGTH.unpack_from(packed)
    at = _LENGTH.size + length
    table, stored = orjson.loads(packed[_LENGTH.size : at])
    values: dict[str, Value] = {}
    for name, value in stored.items():
        if isinstance(value, list):
            values[name] = packed[at : at + value[0]]
            at += value[0]
        else:
            values[name] = value
    return Image(table, values)
