"""Secrets that sign pushes over HTTP, encrypted inside the encrypted ledger of their tenant."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import TypeAdapter

from index.storage import Connection, DatabaseLock, derive_key

FORMER_MS = 86_400_000  # how long a secret is valid after its rotation
MIGRATION = "CREATE TABLE push_secrets (source_id TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID"
_NONCE_BYTES, _SECRET_BYTES = 12, 32


@dataclass(frozen=True)
class PushSecrets:
    """The secret of a source, and the one before; empty: none. `former_until_ms`: milliseconds since 1970."""

    current: str
    former: str = ""
    former_until_ms: int = 0

    def valid(self, now_ms: int) -> tuple[str, ...]:
        """The secrets that are valid at a time."""
        former = (self.former,) if self.former and now_ms < self.former_until_ms else ()
        return (self.current, *former)


_ADAPTER = TypeAdapter(PushSecrets)


class PushSecretBook:
    """The secrets of one tenant. Thread-safe."""

    def __init__(self, database: Connection, lock: DatabaseLock, data_key: bytes) -> None:
        self._database, self._lock = database, lock
        self._cipher = AESGCM(derive_key(data_key, "push secrets"))

    def of(self, source_id: str) -> PushSecrets | None:
        """The secrets of a source; None: it has none. Raises InvalidTag if they are damaged."""
        with self._lock:
            row = self._database.execute("SELECT sealed FROM push_secrets WHERE source_id = ?", (source_id,)).fetchone()
        if row is None:
            return None
        sealed = bytes(row[0])
        return _ADAPTER.validate_json(
            self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], source_id.encode())
        )

    def rotate(self, source_id: str, now_ms: int) -> PushSecrets:
        """Makes a secret. The one before stays valid for a day."""
        before = self.of(source_id)
        made = PushSecrets(
            base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode().rstrip("="),
            before.current if before else "", now_ms + FORMER_MS if before else 0,
        )  # fmt: skip
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, _ADAPTER.dump_json(made), source_id.encode())
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO push_secrets VALUES (?, ?)", (source_id, sealed))
        return made
