"""Idempotency keys: what is kept of a call with a key, in `audit.db`, beside the intents and outcomes of changes.

A row is claimed in the transaction of the intent, before anything is changed, and concluded in the transaction of the
outcome. So at any moment, a crash included, the row agrees with the log.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from index.storage import Connection, derive_key

KEPT_MS = 86_400_000
MAX_KEYS = 10_000  # of a tenant
MAX_ANSWER_BYTES = 262_144  # a larger answer is read again instead of kept
MAX_ANSWERS_BYTES = 16 << 20  # of a tenant
_NONCE_BYTES = 12


class State(StrEnum):
    """What is known of the call.

    OPEN: it is being made, or its outcome is not written yet. DONE: its answer is kept. FOUND: it was made, its answer
    is to be read again. UNKNOWN: nobody can say whether it was made.
    """

    OPEN = "open"
    DONE = "done"
    FOUND = "found"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Claim:
    """A call with a key. key, request: keyed digests, which say nothing without the tenant's data key. seal: seals what
    the call returned."""

    key: bytes
    request: bytes
    seal: Callable[[Any], bytes]


@dataclass(frozen=True)
class Earlier:
    """An earlier call with the same key. same: whether it had the same request. number, time_ms: of its intent."""

    same: bool
    state: State
    number: int
    time_ms: int
    answer: bytes


class KeySeal:
    """Digests of keys and requests, and sealed answers, of one tenant."""

    def __init__(self, data_key: bytes) -> None:
        self._digest = derive_key(data_key, "idempotency keys")
        self._cipher = AESGCM(derive_key(data_key, "idempotency answers"))

    def claim(self, key: str, method: str, request: bytes, serialize: Callable[[Any], bytes]) -> Claim:
        """The claim of a call. request: the message, serialized the same way each time."""
        return Claim(
            self._mac(b"key", key.encode()), self._mac(b"request", method.encode() + b"\0" + request),
            lambda answer: self._sealed(serialize(answer)),
        )  # fmt: skip

    def open(self, sealed: bytes) -> bytes:
        """What was sealed. Raises InvalidTag."""
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)

    def _sealed(self, answer: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, answer, None)

    def _mac(self, what: bytes, content: bytes) -> bytes:
        return hmac.new(self._digest, what + b"\0" + content, hashlib.sha256).digest()


def earlier(connection: Connection, claim: Claim, now_ms: int) -> Earlier | None:
    """The call that has the key; None if there is none, or if it is more than a day old and has ended."""
    row = connection.execute(
        "SELECT request, state, number, time_ms, answer FROM idempotency_keys WHERE key = ?", (claim.key,)
    ).fetchone()
    if row is None or (row[1] != State.OPEN and row[3] < now_ms - KEPT_MS):
        return None
    return Earlier(hmac.compare_digest(row[0], claim.request), State(row[1]), row[2], row[3], row[4])


def is_full(connection: Connection, now_ms: int) -> bool:
    """Whether the tenant has used too many keys today."""
    query = "SELECT count(*) FROM idempotency_keys"
    if connection.execute(query).fetchone()[0] >= MAX_KEYS:
        prune(connection, now_ms)
    return bool(connection.execute(query).fetchone()[0] >= MAX_KEYS)


def take(connection: Connection, claim: Claim, number: int, now_ms: int) -> None:
    """Notes that the act with this number has the key."""
    connection.execute(
        "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?, x'')",
        (claim.key, claim.request, State.OPEN, number, now_ms),
    )


def conclude(connection: Connection, number: int, outcome: str, answer: bytes) -> None:
    """Notes the outcome of the act with this number, as the log has it. A call that changed nothing gives its key
    back. answer: sealed; empty: it is to be read again."""
    if outcome in ("refused", "nothing", "found not done"):
        connection.execute("DELETE FROM idempotency_keys WHERE number = ?", (number,))
        return
    (kept,) = connection.execute("SELECT coalesce(sum(length(answer)), 0) FROM idempotency_keys").fetchone()
    if len(answer) > MAX_ANSWER_BYTES or kept + len(answer) > MAX_ANSWERS_BYTES:
        answer = b""
    state = State.UNKNOWN if outcome == "unknown" else State.DONE if answer else State.FOUND
    connection.execute("UPDATE idempotency_keys SET state = ?, answer = ? WHERE number = ?", (state, answer, number))


def prune(connection: Connection, now_ms: int) -> int:
    """Drops what is more than a day old, but for calls that have not ended. Returns how many."""
    query = "DELETE FROM idempotency_keys WHERE time_ms < ? AND state <> ?"
    return int(connection.execute(query, (now_ms - KEPT_MS, State.OPEN)).rowcount)
