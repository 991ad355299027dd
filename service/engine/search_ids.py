"""Search ids: the vector of a query, sealed for the caller, who sends it back instead of the picture.

The server keeps nothing of a session. An id is the vector under a key of the tenant, with the time when it ends, bound
to the encoder. In base64url: flags (1 byte), end (4 bytes, seconds since 1970), nonce (12 bytes), AES-256-GCM of the
vector (little-endian float32), tag. Flags and end are authenticated. Each day has a key of its own, so that no key
seals so many ids that a nonce could come twice.
"""

from __future__ import annotations

import base64
import os
import struct
from typing import NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index import Collection, Vector
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms

LIFETIME_S = 3600
_HEAD = struct.Struct("<BI")
_NONCE_BYTES, _DAY_S = 12, 86_400
_COMPOSED, _BY_DISTANCE = 1, 2
_FIELD = "query.search_id"


class SealedQuery(NamedTuple):
    """What a search id holds.

    - `vector`: float32, L2-normalised.
    - `composed`: it is the sum of several.
    - `by_distance`: it is unlike the vectors of pictures, so that nothing learnt of these applies.
    """

    vector: Vector
    composed: bool = False
    by_distance: bool = False


def to_search_id(collection: Collection, query: SealedQuery) -> str:
    """The id of a query."""
    ends = now_ms() // 1000 + LIFETIME_S
    flags = (_COMPOSED if query.composed else 0) | (_BY_DISTANCE if query.by_distance else 0)
    head, nonce, vector = _HEAD.pack(flags, ends), os.urandom(_NONCE_BYTES), query.vector
    sealed = _cipher(collection, ends).encrypt(nonce, vector.astype("<f4").tobytes(), _bound(collection, head))
    return base64.urlsafe_b64encode(head + nonce + sealed).decode()


def from_search_id(collection: Collection, search_id: str) -> SealedQuery:
    """The query of an id. Raises ServiceError (ARGUMENT_INVALID) if the id has expired, was changed, or is of another
    tenant or encoder."""
    try:
        content = base64.b64decode(search_id, altchars=b"-_", validate=True)
        head, nonce = content[: _HEAD.size], content[_HEAD.size : _HEAD.size + _NONCE_BYTES]
        flags, ends = _HEAD.unpack(head)
        sealed = content[_HEAD.size + _NONCE_BYTES :]
        plain = _cipher(collection, ends).decrypt(nonce, sealed, _bound(collection, head))
    except (ValueError, struct.error, InvalidTag):
        message = "this is no search id of the tenant for an encoder like this collection's"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field=_FIELD) from None
    if now_ms() // 1000 >= ends:
        message = "the search id has expired; send the query itself again"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field=_FIELD)
    vector = np.frombuffer(plain, "<f4").astype(np.float32)
    return SealedQuery(vector, bool(flags & _COMPOSED), bool(flags & _BY_DISTANCE))


def _cipher(collection: Collection, ends: int) -> AESGCM:
    return AESGCM(collection.derived_key(f"search ids of day {ends // _DAY_S}"))


def _bound(collection: Collection, head: bytes) -> bytes:
    spec = collection.spec
    return head + spec.encoder_fingerprint.encode()
