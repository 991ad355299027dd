"""`registry.db`: who the tenants are and what they may do, encrypted under the master key.

Several processes may use it at once: the server, and the commands of an operator beside it. A change made by one is
seen by the others at their next call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index.errors import AfterimageIndexError
from index.sqlite import checkpoint, connect, migrate
from service.tenancy.masterkey import MasterKey

_MIGRATIONS = (
    """
    CREATE TABLE tenants (
      uid TEXT PRIMARY KEY,
      name TEXT UNIQUE,
      wrapped_key BLOB,
      created_ms INTEGER NOT NULL,
      deleted_ms INTEGER
    );
    CREATE TABLE api_keys (
      key_id TEXT PRIMARY KEY,
      tenant_uid TEXT NOT NULL REFERENCES tenants (uid),
      digest BLOB NOT NULL,
      scopes TEXT NOT NULL,
      created_ms INTEGER NOT NULL,
      revoked_ms INTEGER
    )
    """,
    """
    ALTER TABLE tenants ADD COLUMN fetch_hosts TEXT
    """,
    """
    ALTER TABLE tenants ADD COLUMN max_records INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tenants ADD COLUMN max_bytes INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE tenants ADD COLUMN max_requests_per_s REAL NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE tenants ADD COLUMN max_collections INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tenants ADD COLUMN max_pictures_per_day INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tenants ADD COLUMN max_runs INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE api_keys ADD COLUMN expires_ms INTEGER;
    ALTER TABLE api_keys ADD COLUMN max_requests_per_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE api_keys ADD COLUMN used_ms INTEGER
    """,
    """
    CREATE TABLE secrets (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL)
    """,
    """
    CREATE TABLE access_requests (
      request_id TEXT PRIMARY KEY,
      tenant_uid TEXT NOT NULL REFERENCES tenants (uid),
      reason TEXT NOT NULL,
      scopes TEXT NOT NULL,
      minutes INTEGER NOT NULL,
      state TEXT NOT NULL,
      requested_ms INTEGER NOT NULL,
      decided_ms INTEGER NOT NULL,
      key_id TEXT NOT NULL
    );
    ALTER TABLE api_keys ADD COLUMN access_id TEXT NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE tenants ADD COLUMN region TEXT NOT NULL DEFAULT ''
    """,
    """
    CREATE TABLE identities (identity TEXT PRIMARY KEY, key_id TEXT NOT NULL) WITHOUT ROWID
    """,
    """
    ALTER TABLE tenants ADD COLUMN listed INTEGER NOT NULL DEFAULT 0
    """,
)


class TenancyError(AfterimageIndexError):
    """A tenant or key that does not exist, exists already, or has a name that is not allowed."""


class RegistryDatabase:
    """Any number of threads may call any method at once."""

    def __init__(self, path: Path, master_key: MasterKey) -> None:
        """Opens, or makes, the database. Raises WrongKey where the master key is another one."""
        self._connection = connect(path, master_key.derive("tenant registry"))
        migrate(self._connection, _MIGRATIONS, "the tenant registry")
        self._lock = threading.RLock()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return list(self._connection.execute(query, tuple(values)).fetchall())

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of a query."""
        return next(iter(self.rows(query, values)), None)

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Makes one change; returns how many rows it was about."""
        with self._lock:
            return int(self._connection.execute(statement, tuple(values)).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes within it, or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def version(self) -> tuple[int, int]:
        """Changes whenever this or another process has changed something."""
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()[0], self._connection.total_changes

    def checkpoint(self) -> None:
        """Nothing that was deleted stays beside the database."""
        with self._lock:
            checkpoint(self._connection)

    def close(self) -> None:
        """Closes it."""
        with self._lock:
            self._connection.close()


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
