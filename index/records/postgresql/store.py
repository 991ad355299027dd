"""The records of one collection, whose truth is in PostgreSQL, and of which this server has a copy in SQLite."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from index.contract import ChangeSink
from index.manifest.location import Location
from index.records import queries
from index.records.extensions.hook import Extensions
from index.records.group_commit import GroupCommit
from index.records.postgresql.database import Database, Unreachable
from index.records.postgresql.follower import Follower
from index.records.postgresql.sealing import Seal
from index.records.postgresql.shared_commit import SharedCommit
from index.records.postgresql.shared_copy import SharedCopy
from index.records.postgresql.shared_rows import SharedRows
from index.records.sharing import shared_id
from index.records.sqlite_store import SqliteRecordStore
from index.storage.open_files import FreeFiles, none_freed
from index.storage.sqlite import store_errors
from index.types.errors import StoreDamaged, StoreUnavailable

_LOG = logging.getLogger(__name__)


class PostgresRecordStore(SqliteRecordStore):
    """Implements `index.contract.RecordStore`. A read sees each write that this server has acknowledged, and those of
    others as soon as they were followed. While PostgreSQL cannot be reached, reads go on and writes are refused."""

    def __init__(
        self, place: Location, extensions: Extensions, database: Database, follower: Follower,
        free_files: FreeFiles = none_freed,
    ) -> None:  # fmt: skip
        """Raises as `SqliteRecordStore` does, and StoreUnavailable where PostgreSQL refuses the collection, or cannot
        be reached and has never had it."""
        super().__init__(place, extensions, free_files)
        self._follower = follower
        self._commit: SharedCommit | None = None
        try:
            with store_errors(self._path):
                self._copy = SharedCopy(database, Seal(shared_id(place), place.key), self.connection, place.owner)
                self._catch_up()
                self.created_ms = queries.creation_time_ms(self.connection)
        except BaseException:
            super().close()
            raise

    def _catch_up(self) -> None:
        try:
            self._copy.open()
        except Unreachable as error:
            if not self._copy.position.version:
                raise
            _LOG.warning("a collection is opened as this server last saw it: %s", error)

    @property
    def shared(self) -> SharedRows:
        """Its rows in PostgreSQL."""
        return self._copy.rows

    @property
    def version(self) -> int:
        """Up to which version this server has followed."""
        return self._copy.position.version

    def writer(self, sink: ChangeSink) -> GroupCommit:
        self._commit = SharedCommit(self._side, sink, self._place.allowance, self._copy)
        self._follower.add(self)
        return self._commit

    def follow(self) -> None:
        """Applies what other servers have committed, and publishes it. Raises StoreUnavailable or StoreDamaged."""
        if self._commit is not None:
            self._commit.follow()

    def compare(self) -> None:
        """Raises StoreDamaged where the copy of this server is not what PostgreSQL has, or StoreUnavailable."""
        with self.paused(), store_errors(self._path):
            for difference in self._copy.differences():
                raise StoreDamaged(difference)

    def detach(self) -> None:
        """Makes the copy of this server the truth, where it has all that PostgreSQL has. Raises as `compare` does."""
        self.compare()
        with self.paused(), store_errors(self._path):
            self._copy.detach()

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        try:
            with self.paused():
                differences = list(self._copy.differences())
        except StoreUnavailable as error:
            differences = [f"the rows in PostgreSQL cannot be compared: {error}"]
        yield from differences

    def close(self) -> None:
        self._follower.remove(self)
        super().close()
