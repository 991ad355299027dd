"""A tenant's audit log in `audit.db`, encrypted under the tenant's data key. It can only be added to."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from index.crypto import derive_key
from index.errors import StoreUnavailable
from index.sqlite import DatabaseError, connect, migrate
from service.audit.chain import Details, Entry, Head, Signer, genesis
from service.tenancy.database import now_ms

_MIGRATIONS = (
    """
    CREATE TABLE entries (number INTEGER PRIMARY KEY, told TEXT NOT NULL, digest TEXT NOT NULL);
    CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER, digest TEXT, time_ms INTEGER,
      signature TEXT)
    """,
)
# A statement with semicolons of its own, which the migrations above cannot hold.
_GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS no_{kind.lower()} BEFORE {kind} ON entries"
    " BEGIN SELECT RAISE(ABORT, 'an audit log can only be added to'); END"
    for kind in ("UPDATE", "DELETE")
)


class AuditLog:
    """Any number of threads, and several processes, may add at once."""

    def __init__(self, path: Path, tenant_uid: str, data_key: bytes, signer: Signer) -> None:
        """Opens, or makes, the log. Raises WrongKey or StoreUnavailable."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uid, self._signer = tenant_uid, signer
        self._database = connect(path, derive_key(data_key, "audit log"))
        migrate(self._database, _MIGRATIONS, "the audit log")
        for guard in _GUARDS:
            self._database.execute(guard)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the log."""
        with self._lock:
            self._database.close()

    def add(self, actor: str, action: str, details: Details) -> Entry:
        """Adds an entry, signs the new head, and returns once both are on disk. Raises StoreUnavailable."""
        try:
            with self._lock:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    entry = self._add(actor, action, details)
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
                return entry
        except DatabaseError as error:
            raise StoreUnavailable(f"the audit log: {error}") from error

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[Entry, str]]:
        """A page of entries whose numbers are above `after`, with their stored digests."""
        query = "SELECT told, digest FROM entries WHERE number > ? ORDER BY number LIMIT ?"
        with self._lock:
            rows = self._database.execute(query, (after, limit)).fetchall()
        return [(Entry(**json.loads(told)), digest) for told, digest in rows]

    def head(self) -> Head | None:
        """The signed head; None where the log is empty."""
        with self._lock:
            row = self._database.execute("SELECT number, digest, time_ms, signature FROM head").fetchone()
        return None if row is None else Head(self._uid, *row)

    def _add(self, actor: str, action: str, details: Details) -> Entry:
        row = self._database.execute("SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = row or (0, genesis(self._uid))
        entry = Entry(number + 1, now_ms(), actor, action, dict(details), previous)
        digest = entry.digest
        told = json.dumps(entry.told(), sort_keys=True, ensure_ascii=False)
        self._database.execute("INSERT INTO entries VALUES (?, ?, ?)", (entry.number, told, digest))
        head = Head(self._uid, entry.number, digest, entry.time_ms)
        self._database.execute(
            "INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?)",
            (head.number, head.digest, head.time_ms, self._signer.sign(head.told())),
        )
        return entry
