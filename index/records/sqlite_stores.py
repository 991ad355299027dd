"""Opens the record stores of a process, each in an encrypted SQLite database: implements `RecordStoreFactory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from index.contract import Companion, DatabaseSharing
from index.manifest.location import Location
from index.records import queries
from index.records.backup_copies import copy_database, number_rows_after
from index.records.backups import Backups
from index.records.extensions.hook import Extensions
from index.records.schema import migrations
from index.records.sharing import check_unshared
from index.records.sqlite_store import SqliteRecordStore
from index.storage.open_files import FreeFiles, none_freed
from index.storage.sqlite import Connection, connect, integrity_problems, migrate
from index.types.changes import SequenceRange
from index.types.quota import Usage

R = TypeVar("R")
T = TypeVar("T")


class SqliteRecordStores:
    """Stateless. Any number of threads may call any method at once."""

    sharing: DatabaseSharing | None = None

    def __init__(self, extensions: Extensions) -> None:
        """extensions: what is kept beside the records. They must be the same at each start."""
        self._extensions = extensions

    def create(self, site: Location) -> None:
        with closing(connect(site.layout.records, site.store_key)) as database:
            migrate(database, migrations(self._extensions), "the collection database")

    def open(self, site: Location, free_files: FreeFiles = none_freed) -> SqliteRecordStore:
        store = SqliteRecordStore(site, self._extensions, free_files)
        try:
            check_unshared(store.connection, site)
        except BaseException:
            store.close()
            raise
        return store

    def discard(self, site: Location) -> None:
        """Nothing: all is in the directory."""

    def behind(self, site: Location) -> bool:
        return False

    def has_dead(self, site: Location) -> bool:
        with site.opened() as connection:
            return connection.execute("SELECT 1 FROM tombstones LIMIT 1").fetchone() is not None

    @contextmanager
    def cold(self, site: Location) -> Iterator[SqliteColdRecords]:
        with site.opened() as connection:
            yield SqliteColdRecords(connection, self._extensions)

    @contextmanager
    def replaced(self, site: Location) -> Iterator[SqliteColdRecords]:
        with closing(connect(site.layout.records, site.store_key, create=False)) as connection:
            yield SqliteColdRecords(connection, self._extensions)

    def backups(self, site: Location) -> Backups:
        return Backups(site, self._extensions)

    def adopt(self, file: Path, key: bytes, site: Location, before: Sequence[Path]) -> None:
        copy_database(file, key, site, self._extensions)
        if before:
            number_rows_after(site.layout.records, site.store_key, before)


class SqliteColdRecords:
    """Implements `ColdRecords` over one connection."""

    def __init__(self, connection: Connection, extensions: Extensions) -> None:
        self._connection, self._extensions = connection, extensions

    def read(self, body: Callable[[Connection], T]) -> T:
        """What `body` reads from the connection. For the extensions."""
        return body(self._connection)

    @property
    def created_ms(self) -> int:
        return queries.creation_time_ms(self._connection)

    def sequences(self) -> SequenceRange:
        return queries.read_range(self._connection)

    def usage(self) -> Usage:
        return queries.read_usage(self._connection)

    def problems(self) -> Iterator[str]:
        return integrity_problems(self._connection)

    def companion(self, companion: Companion[R, Any]) -> R:
        reads: R = self._extensions.named(companion).reads(self)  # type: ignore[assignment]
        return reads
