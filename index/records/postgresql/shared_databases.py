"""Shares what a process has with other servers through one PostgreSQL database: implements `DatabaseSharing`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from index.contract import SharedDatabase
from index.records.postgresql.database import Database
from index.records.postgresql.database_copy import DatabaseCopy
from index.records.postgresql.follower import Follower
from index.records.postgresql.servers import Servers
from index.records.postgresql.shared_rows import SharedRows


@dataclass(frozen=True)
class _Followed:
    """Implements `Following`."""

    shared: SharedRows
    version_of: Callable[[], int]
    follow_others: Callable[[], object]

    @property
    def version(self) -> int:
        return self.version_of()

    def follow(self) -> None:
        self.follow_others()


class _ColdCopy:
    """Implements `Following` for a collection that is not in memory."""

    def __init__(self, database: Database, id: bytes, catch_up: Callable[[], object]) -> None:
        self.shared, self.version = SharedRows(id), -1
        self._database, self._catch_up = database, catch_up

    def follow(self) -> None:
        with self._database.transaction() as connection:
            state = self.shared.state(connection)
        if state is not None and not state.deleted:
            self._catch_up()
            self.version = state.version


class SharedDatabases:
    """Any number of threads may call any method at once."""

    def __init__(self, url: str) -> None:
        """url: of the database. Connects to nothing yet."""
        self.database = Database(url)
        self.follower = Follower(self.database)

    def transactions(self, shared: SharedDatabase, connection: Any, applied: Callable[[], object]) -> DatabaseCopy:
        return DatabaseCopy(self.database, shared, connection, applied)

    def watch(self, id: bytes, version: Callable[[], int], follow: Callable[[], object]) -> None:
        self.follower.add(_Followed(SharedRows(id), version, follow))

    def watch_cold(self, id: bytes, catch_up: Callable[[], object]) -> None:
        self.follower.add(_ColdCopy(self.database, id, catch_up), cold=True)

    def end_watch(self, id: bytes) -> None:
        self.follower.remove_id(id)

    def forget(self, owner: str) -> None:
        with self.database.transaction() as connection:
            SharedRows.forget(connection, owner)

    def servers(self, deployment: bytes, name: str) -> Servers:
        return Servers(self.database, deployment, name)

    def close(self) -> None:
        self.database.close()
