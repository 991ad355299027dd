"""The records of one collection in an encrypted SQLite database: today's implementation of `RecordStore`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from index.contract import ChangeSink, Companion
from index.manifest.listed_database import ListedDatabase
from index.manifest.location import Location
from index.records import queries
from index.records.backups import Backups
from index.records.extensions.hook import Extensions
from index.records.group_commit import GroupCommit, WriteSide
from index.records.schema import prepare_database
from index.storage.free_pages import give_back_free_pages
from index.storage.open_files import READER_FILES, WRITER_FILES, FreeFiles, none_freed
from index.storage.read_connections import ReaderPool
from index.storage.sqlite import Connection, DatabaseError, integrity_problems, shrink, store_errors
from index.storage.wal_checkpoints import Checkpoints
from index.types.backup import Backup
from index.types.changes import RowChange, SequenceRange
from index.types.errors import DataFault, StoreDamaged, StoreUnavailable
from index.types.quota import Usage
from index.types.record import UNLIMITED_BYTES, RecordPage, StoredRecord

T = TypeVar("T")
R = TypeVar("R")
_LOG = logging.getLogger(__name__)
_SCAN_PAGE, _SCAN_BYTES = 2000, 64 << 20


class SqliteRecordStore:
    """Implements `index.contract.RecordStore`. damage: what a read met; writes are refused since."""

    damage: StoreDamaged | None

    def __init__(self, place: Location, extensions: Extensions, free_files: FreeFiles = none_freed) -> None:
        """Opens the database, in the newest format; `free_files` makes room where no file can be opened. Raises
        DataFault, UnsupportedFormat, StoreDamaged or StoreUnavailable."""
        self.damage = None
        self._place, self._path, self._extensions = place, place.layout.records, extensions
        self.connection = place.open()
        try:
            with place.reporting(), store_errors(self._path):
                prepare_database(self.connection, place, extensions)
                self.created_ms = queries.creation_time_ms(self.connection)
                listing = place.listing
                self._database = ListedDatabase(self.connection, listing.manifest, listing.thing.name)
        except BaseException:
            self.connection.close()
            raise
        self.checkpoints = Checkpoints(self.connection, self._path, place.store_key)
        self._side = WriteSide(self.connection, self.checkpoints, place.spec.encoder_fingerprint, extensions)
        self.readers = ReaderPool(self._path, place.store_key, self._note_damage, free_files)
        self._pausing: int | None = None
        self._examined_at = -1  # the connection's number of changes when free pages were last counted

    def writer(self, sink: ChangeSink) -> GroupCommit:
        return GroupCommit(self._side, sink, self._place.allowance)

    @contextmanager
    def paused(self) -> Iterator[None]:
        with self._side.lock:
            self._pausing = threading.get_ident()
            try:
                yield
            finally:
                self._pausing = None

    @property
    def open_files(self) -> int:
        """How many files it has open."""
        return WRITER_FILES + READER_FILES * (self.readers.open_count + self.checkpoints.connected)

    # ---- reading

    def read(self, body: Callable[[Connection], T]) -> T:
        """What a look into the database gives, in one committed state. For the extensions, and for copies."""
        with self._reading() as connection:
            return body(connection)

    def copy(self, body: Callable[[Connection], T]) -> T:
        """As `read`, of the state at the call, however long the body takes to look at it."""
        with self.readers.connection() as connection:
            queries.read_sequence(connection)  # from here on the connection sees this state
            return body(connection)

    def _reading(self) -> AbstractContextManager[Connection]:
        """A connection to read with: the writer's own for whoever has paused the writing."""
        if self._pausing == threading.get_ident():
            return self._paused_connection()
        return self.readers.connection()

    @contextmanager
    def _paused_connection(self) -> Iterator[Connection]:
        with store_errors(self._path):
            yield self.connection

    def records(
        self, record_ids: Sequence[str], *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
    ) -> dict[str, StoredRecord]:
        with self.readers.connection() as connection:
            return queries.read_records(connection, record_ids, vectors=vectors, max_bytes=max_bytes)

    def rows(self, row_ids: Sequence[int], *, vectors: bool = False) -> dict[int, StoredRecord]:
        with self.readers.connection() as connection:
            return queries.read_rows(connection, row_ids, vectors=vectors)

    def row_ids(self, record_ids: Sequence[str]) -> frozenset[int]:
        with self.readers.connection() as connection:
            return queries.read_row_ids(connection, record_ids)

    def page(self, after_row_id: int, limit: int, *, vectors: bool, max_bytes: int = UNLIMITED_BYTES) -> RecordPage:
        with self.readers.connection() as connection:
            return queries.read_page(connection, after_row_id, limit, vectors=vectors, max_bytes=max_bytes)

    def page_of(
        self, row_ids: Sequence[int], limit: int, *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
    ) -> RecordPage:
        with self.readers.connection() as connection:
            rows = queries.read_ordered(connection, row_ids, vectors=vectors)
            return queries.cut_page(rows, limit, max_bytes)

    def known(self, record_ids: Sequence[str]) -> set[str]:
        with self.readers.connection() as connection:
            tables = ("records", *self._extensions.returning)
            return set().union(*(queries.read_existing(connection, record_ids, table) for table in tables))

    def digests(self, record_ids: Sequence[str]) -> dict[str, bytes]:
        with self.readers.connection() as connection:
            return queries.read_digests(connection, record_ids)

    def companion(self, companion: Companion[R, Any]) -> R:
        reads: R = self._extensions.named(companion).reads(self)  # type: ignore[assignment]
        return reads

    def usage(self) -> Usage:
        return self.read(queries.read_usage)

    # ---- for the index

    def sequences(self) -> SequenceRange:
        return self.read(queries.read_range)

    def changes(self, after: int) -> Iterator[RowChange]:
        with self._reading() as connection:
            yield from queries.read_changes(connection, after)

    @contextmanager
    def scan(self) -> Iterator[Iterator[StoredRecord]]:
        with self.readers.connection() as connection:
            queries.read_sequence(connection)  # from here on the connection sees this state
            yield _scanned(connection)

    def follow(self) -> None:
        """Nothing: no other server has this store."""

    def tombstones(self) -> list[int]:
        with self._writing() as connection:
            return queries.read_tombstones(connection, queries.read_sequence(connection), self._extensions.spared)

    def forget_tombstones(self, up_to: int) -> None:
        with self._writing() as connection:
            queries.forget_tombstones(connection, up_to)

    def learnt(self, name: str) -> bytes:
        return self.read(lambda connection: queries.read_learnt(connection, name))

    def note_learnt(self, name: str, value: bytes) -> None:
        with self._writing() as connection:
            queries.write_learnt(connection, name, value)

    def _writing(self) -> AbstractContextManager[Connection]:
        """The writer's connection, between two commits."""
        return self._paused_connection() if self._pausing == threading.get_ident() else self._exclusive()

    @contextmanager
    def _exclusive(self) -> Iterator[Connection]:
        with self.paused(), store_errors(self._path):
            yield self.connection

    # ---- maintenance

    def back_up(self) -> Backup:
        return self.copy(Backups(self._place, self._extensions).create)

    def erase_traces(self) -> None:
        with self._writing():
            self.checkpoints.truncate()

    def give_space_back(self) -> int:
        changes = self.connection.total_changes
        if changes == self._examined_at:  # of thousands of collections, few have changed since the last call
            return 0
        self._examined_at = changes
        with store_errors(self._path):
            return give_back_free_pages(self.connection, self._side.lock)

    def release_memory(self) -> None:
        with self._writing() as connection:
            shrink(connection)
        self.readers.drop_idle()

    def problems(self) -> Iterator[str]:
        with self.readers.connection() as connection:
            yield from integrity_problems(connection)

    def note(self) -> None:
        """Notes in the tenant's manifest how far the database has come, unless writes are refused."""
        with self._side.lock:
            if self._side.failure is not None:
                return
            try:
                records, sequence = queries.read_usage(self.connection).records, queries.read_sequence(self.connection)
                self._database.note(flush=False, records=records, sequence=sequence)
            except (DatabaseError, StoreUnavailable, DataFault) as error:
                _LOG.warning("could not update the manifest's number of a collection: %s", error)

    def close(self) -> None:
        with self._side.lock:
            self._side.failure = StoreUnavailable("the collection is closed")
            self.checkpoints.close()
            self.readers.close()
            self.connection.close()

    def _note_damage(self, damage: StoreDamaged) -> None:
        """Refuses writes from now on: what cannot be read must not be written over."""
        if self.damage is None:
            self.damage = self._side.failure = damage
            _LOG.error("%s", damage)


def _scanned(connection: Connection) -> Iterator[StoredRecord]:
    after = 0
    while page := queries.read_page(connection, after, _SCAN_PAGE, vectors=True, max_bytes=_SCAN_BYTES).records:
        after = page[-1].row_id
        yield from page
