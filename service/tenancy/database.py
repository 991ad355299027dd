"""`registry.db`: the tenants and their permissions, encrypted under the master key.

Several processes may use it concurrently: the server, and commands of an operator. Each sees the changes of the others
at its next call: a commit rewrites the header of the WAL index, which all of them map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index import AfterimageIndexError, DatabaseSharing, ErasingServers, WrongKey, number_of, raise_number
from index.storage import DatabaseLock, WalHeader, checkpoint, connect, file_errors, migrate
from service.tenancy.companions import check_there, copy_of, write_copy
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry_writer import RegistryWriter, shared_by

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
    """
    ALTER TABLE tenants ADD COLUMN reads_told_every_minutes INTEGER NOT NULL DEFAULT 0
    """,
)


class TenancyError(AfterimageIndexError):
    """A tenant or key does not exist, already exists, or has an invalid name."""


class RegistryDatabase:
    """All methods are thread-safe."""

    def __init__(self, path: Path, master_key: MasterKey, sharing: DatabaseSharing | None = None) -> None:
        """Opens the database, or creates it in a new data directory. `sharing`: with the other servers, if there are.

        Raises WrongKey if the master key does not match, DataFault if the file is missing or damaged, and
        StoreUnavailable if it is shared, and the other servers' database cannot be reached or is another.
        """
        check_there(path)
        self._path, self._key = path, master_key.derive("tenant registry")
        self._lock, self._changed = DatabaseLock(path), False
        try:
            with file_errors(path):
                self._connection = connect(path, self._key)
                migrate(self._connection, _MIGRATIONS, str(path))
                self._header = WalHeader(path)
        except WrongKey:
            raise WrongKey(
                f"{path} cannot be opened with this master key: one of the two is damaged, or belongs to "
                "another server; restore the right one, or run `afterimage doctor --repair`, which uses "
                "a copy of the registry"
            ) from None
        self._seen, self._stamp = self._header.read(), 0
        try:
            self._writer = RegistryWriter(path, self._key, self._connection, self._lock, shared_by(master_key, sharing))
        except BaseException:
            self._connection.close()
            raise

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        if self._writer.writes_here():
            return list(self._writer.connection.execute(query, tuple(values)).fetchall())
        with self._lock:
            return list(self._connection.execute(query, tuple(values)).fetchall())

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of a query."""
        return next(iter(self.rows(query, values)), None)

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Executes one statement. Returns the number of changed rows."""
        self._changed = True
        if self._writer.writes_here():
            return self._writer.run(statement, values)
        with self.transaction():
            return self._writer.run(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits all changes in the block, or none. Raises StoreUnavailable."""
        with self._writer.transaction():
            yield

    def follow(self) -> None:
        """Takes over what other servers have changed. Raises StoreUnavailable or DataFault."""
        if self._writer.follow():
            self._changed = True  # of the standby copy, too

    def watch(self) -> None:
        """Follows other servers from now on."""
        self._writer.watch(self.follow)

    def servers(self, name: str) -> ErasingServers | None:
        """The servers that have this registry; None: there are no others. `name`: of this one."""
        return self._writer.servers(name)

    def detach(self) -> None:
        """Makes this registry the truth, and deletes the shared one. Raises StoreUnavailable or StoreDamaged."""
        self._writer.detach()

    def differences(self) -> list[str]:
        """How the registry differs from the shared one, a line each. Raises StoreUnavailable."""
        return self._writer.differences()

    def stamp(self) -> int:
        """Grows with each change of tenants or keys, by this or another process; now and then also without one.

        Takes a microsecond, and waits for no lock and no other process.
        """
        header = self._header.read()
        if header != self._seen:
            self._stamp, self._seen = self._stamp + 1, header
        return self._stamp

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        """Changes in the block leave the stamp as it is, unless another process commits meanwhile."""
        with self._writer.lock:
            others = self._version_of_others()
            before = self._header.read()
            yield
            after = self._header.read()
            if self._version_of_others() == others and self._seen == before:
                self._seen = after

    def _version_of_others(self) -> int:
        """Changes whenever another connection or process changes the database."""
        return int(self._writer.connection.execute("PRAGMA data_version").fetchone()[0])

    def checkpoint(self) -> None:
        """Empties the write-ahead log, so that it does not contain deleted data."""
        with self._writer.lock:
            checkpoint(self._writer.connection)

    def note_uses(self, used: Mapping[str, int]) -> None:
        """Stores when keys were last used, by key id. This does not count as a change."""
        with self._uncounted(), self.transaction():
            self._writer.connection.executemany(
                "UPDATE api_keys SET used_ms = ?1 WHERE key_id = ?2 AND coalesce(used_ms, 0) < ?1",
                [(at_ms, key_id) for key_id, at_ms in used.items()],
            )

    def note_generations(self, generations: Mapping[str, int]) -> None:
        """Stores which generations the manifests of tenants have reached. This does not count as a change."""
        with self._uncounted():
            self._writer.connection.executemany(
                "UPDATE tenants SET listed = max(listed, ?) WHERE uid = ?",
                [(generation, uid) for uid, generation in generations.items()],
            )

    def number(self) -> int:
        """A number that increases with every change of tenants and keys."""
        with self._lock:
            return number_of(self._connection)

    def settle_changes(self) -> int | None:
        """After changes by this process: raises the number, writes the standby copy, and returns the number. Else
        returns None.

        Raises OSError, StoreUnavailable or DatabaseError.
        """
        with self._uncounted():
            if not self._changed and copy_of(self._path).exists():
                return None
            connection = self._writer.connection
            number = raise_number(connection) if self._changed else number_of(connection)
            write_copy(connection, self._path, self._key)
            self._changed = False
            return number

    def close(self) -> None:
        """Closes the database."""
        self._writer.close()
        with self._lock:
            self._connection.close()
            self._header.close()
