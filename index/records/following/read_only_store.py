"""The records of one collection, read beside the process that writes them: implements `FollowedStore`.

Its connections are opened read-only: SQLite itself refuses a write, and moves no log when the last of them closes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from index.contract import ChangeBlock, ChangeSink
from index.manifest.change_number import check_number
from index.manifest.listed_database import check_salt
from index.manifest.location import Location
from index.records import queries
from index.records.extensions.hook import Extensions
from index.records.group_commit import GroupCommit
from index.records.sqlite_store import SqliteRecordStore
from index.storage.open_files import READER_FILES, WRITER_FILES, FreeFiles, none_freed
from index.storage.read_connections import ReaderPool
from index.storage.sqlite import connect, store_errors
from index.storage.wal_header import WalHeader
from index.types.backup import Backup
from index.types.errors import StoreDamaged, WrittenElsewhere


class ReadOnlyRecordStore(SqliteRecordStore):
    """What changes something raises StoreUnavailable."""

    def __init__(self, place: Location, extensions: Extensions, free_files: FreeFiles = none_freed) -> None:
        """Opens the database. Raises DataFault, StoreDamaged or StoreUnavailable."""
        self.damage = None
        self._place, self._path, self._extensions = place, place.layout.records, extensions
        self._pausing = None
        check_salt(self._path, place.listing.thing.salt)
        # Open as long as the store is: nobody removes or truncates the index of the log meanwhile, which is mapped.
        self.connection = connect(self._path, place.store_key, read_only=True)
        try:
            with store_errors(self._path):
                check_number(self.connection, self._path, place.listing.thing.number)
                self.created_ms = queries.noted_creation_ms(self.connection)
                self._header = WalHeader(self._path)
        except BaseException:
            self.connection.close()
            raise
        self.readers = ReaderPool(self._path, place.store_key, self._note_damage, free_files, read_only=True)

    def version(self) -> bytes:
        return self._header.read()

    def drop_read(self) -> None:
        self.readers.drop_idle()

    def change_block(self, after: int, position: int, limit: int) -> ChangeBlock:
        with self.readers.connection() as connection:
            changes = queries.read_change_block(connection, position, limit)
            if len(changes) == limit:
                return ChangeBlock(changes, None)
            changes += queries.read_deletions(connection, after)
            return ChangeBlock(changes, queries.read_range(connection))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses nothing: nobody writes in this process."""
        yield

    @property
    def open_files(self) -> int:
        """How many files it has open."""
        return READER_FILES * self.readers.open_count + WRITER_FILES + 1

    def close(self) -> None:
        self.readers.close()
        self.connection.close()
        self._header.close()

    def note(self) -> None:
        """Nothing: the process that writes notes how far the database has come."""

    def give_space_back(self) -> int:
        return 0

    def release_memory(self) -> None:
        """Nothing: readers keep few pages."""

    def writer(self, sink: ChangeSink) -> GroupCommit:
        raise WrittenElsewhere

    def tombstones(self) -> list[int]:
        raise WrittenElsewhere

    def forget_tombstones(self, up_to: int) -> None:
        raise WrittenElsewhere

    def note_learnt(self, name: str, value: bytes) -> None:
        raise WrittenElsewhere

    def back_up(self) -> Backup:
        raise WrittenElsewhere

    def erase_traces(self) -> None:
        raise WrittenElsewhere

    def _note_damage(self, damage: StoreDamaged) -> None:
        self.damage = damage
