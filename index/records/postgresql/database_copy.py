"""A small database of which each server has a copy, such as a list of collections. Other processes of the server may
have the same copy open, so how far it has come is read in each transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from index.contract import SharedDatabase
from index.manifest.transactions import OWN_TABLES, CopyNote, begin_note, forget_note, read_note, write_note
from index.records.postgresql.database import Database, PgConnection, reached
from index.records.postgresql.sealed_copy import Applied, SealedCopy
from index.records.postgresql.sealing import Seal
from index.records.postgresql.shared_rows import SealedRow, State
from index.records.postgresql.shared_tables import Own, SharedTables
from index.records.sharing import Position
from index.storage.sqlite import Connection
from index.types.errors import StoreDamaged, StoreUnavailable


class DatabaseCopy(SealedCopy):
    """Implements `DatabaseTransactions`. Its owner sees to it that no two threads use it at once."""

    def __init__(
        self, database: Database, shared: SharedDatabase, connection: Connection, applied: Callable[[], object]
    ) -> None:
        """connection: to the copy, in the newest format. applied: as `DatabaseSharing.transactions` has it."""
        begin_note(connection)
        tables = SharedTables(connection, Own((*OWN_TABLES, *shared.own_tables), shared.own_columns))
        super().__init__(database, Seal(shared.id, shared.key), connection, tables, shared.owner)
        self._applied, self._alike = applied, shared.alike
        tables.watch()
        self._settle()

    @property
    def version(self) -> int:
        return self.position.version

    def open(self) -> None:
        with self.database.transaction() as remote:
            state = self.rows.state(remote)
            if state is None:
                self._make(remote)
                return
            self.check(state)
            if not self.position.version:
                self._join(remote)
            elif state.format < self.format:
                self._enter(remote, self.current(remote, locked=True))
        self.follow()

    def _make(self, remote: PgConnection) -> None:
        if self.position.version:
            raise StoreUnavailable("the database at store_url does not have what this data directory is a copy of")
        if self.rows.make(remote, self.format):
            self._enter(remote, self.current(remote, locked=True))
        else:  # another server was first
            remote.rollback()
            self.open()

    def _enter(self, remote: PgConnection, state: State) -> None:
        with self._copied():
            stamp = self.put_all(remote, state)
            self.note(state.version + 1, stamp)
            self.commit(remote, state, stamp)
            self._connection.execute("COMMIT")

    def _join(self, remote: PgConnection) -> None:
        """Takes over what PostgreSQL has, and adds to it what only this server had so far."""
        state = self.current(remote, locked=True)
        with self._copied():
            mine = {(name, key) for name, keys in self.absent(remote, state) for key in keys}
            before = self._rows_alike()
            for page in self.rows.after(remote, state.number, 0):
                self.apply(page)
            if not before <= self._rows_alike():
                raise _another_deployment()
            left = {(name, key) for name, t in self.tables.tables.items() for key in self.tables.keys(t)}
            if not mine <= left:
                raise _another_deployment()
            self.note(state.version, self.rows.stamp(remote, state.number, state.version))
            self._applied()
            self.tables.forget_touched()
            self.tables.touch(mine)  # type: ignore[arg-type]
            self._push_and_commit(remote, state)

    def _rows_alike(self) -> set[tuple[object, ...]]:
        columns = dict(self._alike)
        return {(i.table, key, i.values[columns[i.table]]) for key, i in self.tables.images() if i.table in columns}

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.database.transaction() as remote:
            state = self.current(remote, locked=True)
            with self._copied():
                self._bring(remote, state)
                yield
                self._push_and_commit(remote, state)

    def _push_and_commit(self, remote: PgConnection, state: State) -> None:
        with reached():
            stamp = self.push(remote, state)
        if stamp is not None:
            self.commit(remote, state, stamp)
        self._connection.execute("COMMIT")

    def follow(self) -> bool:
        with self._copied(), self.database.transaction(one_state=True) as remote:
            # In this order: another process of this server cannot commit in between, which would look like another
            # history.
            found = self._bring(remote, self.current(remote))
            self._connection.execute("COMMIT")
            return found

    def _bring(self, remote: PgConnection, state: State) -> bool:
        """Applies what the copy lacks, within a transaction of the copy. Whether there was anything."""
        after = self.position.version
        if not self.follows(remote, state):
            for name, gone in self.absent(remote, state):
                self.tables.remove(self.tables.tables[name], gone)  # type: ignore[arg-type]
            after = 0
        elif state.version <= after:
            return False
        for page in self.rows.after(remote, state.number, after):
            self.apply(page)
        self.note(state.version, self.rows.stamp(remote, state.number, state.version))
        self._applied()
        self.tables.forget_touched()
        return True

    def detach(self) -> None:
        for difference in super().differences():
            raise StoreDamaged(difference)
        with self._copied():
            forget_note(self._connection)
            self._connection.execute("COMMIT")
        with self.database.transaction() as remote:
            self.rows.drop(remote, deleted=False)

    def differences(self) -> list[str]:  # type: ignore[override]
        self._settle()
        return list(super().differences())

    def apply(self, page: Sequence[SealedRow]) -> Applied:
        try:
            return super().apply(page)
        except StoreDamaged as error:
            raise StoreUnavailable(str(error)) from error  # nothing is wrong with the file of this server

    def note(self, version: int, stamp: bytes) -> None:
        write_note(self._connection, CopyNote(self.seal.id.hex(), version, stamp.hex()))

    @contextmanager
    def _copied(self) -> Iterator[None]:
        """A transaction of the copy, which the block commits."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._settle()
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._settle()

    def _settle(self) -> None:
        noted = read_note(self._connection)
        ours = noted.shared == self.seal.id.hex()
        self.position = Position(noted.version, noted.stamp) if ours else Position(0, "")


def _another_deployment() -> StoreUnavailable:
    return StoreUnavailable(
        "this data directory has something under a name that the database at store_url has for another thing: start"
        " with an empty directory, or with a backup of that of a server that uses this database"
    )
