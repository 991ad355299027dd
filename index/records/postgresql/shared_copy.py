"""The copy of a collection that this server has, and its truth in PostgreSQL: bringing the one to the other."""

from __future__ import annotations

from collections.abc import Callable

from index.records.postgresql.database import Database, PgConnection
from index.records.postgresql.sealed_copy import SealedCopy
from index.records.postgresql.sealing import Seal
from index.records.postgresql.shared_rows import State
from index.records.postgresql.shared_tables import SharedTables
from index.records.queries import note_meta, read_rows, read_sequence
from index.records.sharing import Position, forget_position, note_position, read_position
from index.storage.sqlite import Connection
from index.types.changes import RowChange
from index.types.errors import StoreUnavailable


class CopyTooOld(StoreUnavailable):
    """The copy cannot follow: it must be renewed, which happens when the collection is next opened."""


class SharedCopy(SealedCopy):
    """Of one collection. Its owner sees to it that no two threads use it at once."""

    WHAT = "collection"

    def __init__(self, database: Database, seal: Seal, connection: Connection, owner: str) -> None:
        """connection: the writer's, to a database in the newest format. owner: uid of the tenant."""
        super().__init__(database, seal, connection, SharedTables(connection), owner)
        self.tables.watch()
        self.position = self._noted()

    # ---- opening

    def open(self) -> None:
        """Brings the copy up to date, or enters it in PostgreSQL where that does not have the collection yet. Raises
        StoreUnavailable where PostgreSQL cannot be reached, UnsupportedFormat or StoreDamaged."""
        with self.database.transaction(one_state=True) as remote:
            state = self.rows.state(remote)
            if state is not None:
                self.check(state)
                if self.follows(remote, state):
                    self._apply_all(remote, state)
                else:
                    self._renew(remote, state)
        if state is None:
            if any(self.position):
                raise StoreUnavailable("the database at store_url does not have this collection")
            with self.database.transaction() as remote:
                made = self.rows.make(remote, self.format)
                if made:
                    self._enter(remote)
            if not made:
                self.open()
        elif state.format < self.format:
            with self.database.transaction() as remote:
                self.current(remote, locked=True)
                self._enter(remote)

    def _enter(self, remote: PgConnection) -> None:
        """Writes all rows of the copy to PostgreSQL, as one version."""
        state = self.rows.state(remote, locked=True)
        assert state is not None
        stamp = self.put_all(remote, state)
        remote.commit()
        self._in_transaction(lambda: self.note(state.version + 1, stamp))

    # Each in one transaction: another process of this server that reads the copy takes the number of the last write for
    # a sign that it has seen all others.

    def _renew(self, remote: PgConnection, state: State) -> None:
        """Makes the copy what PostgreSQL has, whatever it was before."""

        def renew() -> None:
            for name, gone in self.absent(remote, state):
                self.tables.remove(self.tables.tables[name], gone)  # type: ignore[arg-type]
            for page in self.rows.after(remote, state.number, 0):
                self.apply(page)
            # Tombstones that are not told any more are missing: an index from before is built anew.
            note_meta(self._connection, "forgotten", str(read_sequence(self._connection)))
            self.note(state.version, self.rows.stamp(remote, state.number, state.version))

        self._in_transaction(renew)

    def _apply_all(self, remote: PgConnection, state: State) -> None:
        def apply_all() -> None:
            for page in self.rows.after(remote, state.number, self.position.version):
                self.apply(page)
            self.note(state.version, self.rows.stamp(remote, state.number, state.version))

        self._in_transaction(apply_all)

    # ---- following and writing

    def behind(self, remote: PgConnection, state: State) -> bool:
        """Whether other servers have written something that the copy does not have. Raises CopyTooOld."""
        if not self.follows(remote, state):
            raise CopyTooOld(
                "PostgreSQL has another history than this server's copy; restart the server to have it renewed"
            )
        return state.version > self.position.version

    def catch_up(self, remote: PgConnection, state: State) -> list[RowChange]:
        """Applies what the copy does not have, within a transaction of the copy. Returns what the index takes over."""
        records: dict[int, None] = {}
        deleted: dict[int, None] = {}
        for page in self.rows.after(remote, state.number, self.position.version):
            applied = self.apply(page)
            records |= dict.fromkeys(applied.records)
            deleted |= dict.fromkeys(applied.deleted)
        self.note(state.version, self.rows.stamp(remote, state.number, state.version))
        self.tables.forget_touched()
        found = read_rows(self._connection, list(records), vectors=True)
        gone = [RowChange(row_id, None) for row_id in deleted if row_id not in found]
        return [*gone, *(RowChange(r.row_id, r) for r in sorted(found.values(), key=lambda r: r.sequence))]

    def note(self, version: int, stamp: bytes) -> None:
        """Notes within a transaction of the copy how far it has come. `settle` follows the commit."""
        note_position(self._connection, self.seal.id, Position(version, stamp.hex()))

    def settle(self) -> None:
        """After a transaction of the copy was committed, or rolled back."""
        self.position = self._noted()
        self.tables.settle_number()

    def detach(self) -> None:
        """Makes the copy the truth. PostgreSQL must have nothing that it lacks."""
        self._in_transaction(lambda: forget_position(self._connection))

    def _noted(self) -> Position:
        return read_position(self._connection, self.seal.id)

    def _in_transaction(self, body: Callable[[], object]) -> None:
        """A transaction of the copy that tells nothing to others."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            body()
            self.tables.forget_touched()
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        finally:
            self.settle()
