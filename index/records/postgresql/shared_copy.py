"""The copy of a collection that this server has, and its truth in PostgreSQL: bringing the one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from index.records.postgresql.database import Database, PgConnection
from index.records.postgresql.sealing import Image, Seal
from index.records.postgresql.shared_rows import DELETED, ROW, TOMBSTONE, SealedRow, SharedRows, State
from index.records.postgresql.shared_tables import RECORDS, TOMBSTONES, SharedTables
from index.records.queries import note_meta, read_rows, read_sequence
from index.records.sharing import Position, forget_position, note_position, read_position
from index.storage.sqlite import Connection
from index.types.changes import RowChange
from index.types.errors import StoreUnavailable, UnsupportedFormat

_BLOCK = 500


class Applied(NamedTuple):
    """What was applied to the copy. records: row ids of records that were written; deleted: of those that went."""

    records: list[int]
    deleted: list[int]


class CopyTooOld(StoreUnavailable):
    """The copy cannot follow: it must be renewed, which happens when the collection is next opened."""


class SharedCopy:
    """Of one collection. Its owner sees to it that no two threads use it at once."""

    def __init__(self, database: Database, seal: Seal, connection: Connection) -> None:
        """connection: the writer's, to a database in the newest format."""
        self.database, self.seal, self._connection = database, seal, connection
        self.rows, self.tables = SharedRows(seal.id), SharedTables(connection)
        self._format = int(connection.execute("PRAGMA user_version").fetchone()[0])
        self.tables.watch()
        self.position = self._noted()

    # ---- opening

    def open(self) -> None:
        """Brings the copy up to date, or enters it in PostgreSQL where that does not have the collection yet. Raises
        StoreUnavailable where PostgreSQL cannot be reached, UnsupportedFormat or StoreDamaged."""
        with self.database.transaction(one_state=True) as remote:
            state = self.rows.state(remote)
            if state is not None:
                self._check(state)
                if self._follows(remote, state):
                    self._apply_all(remote, state)
                else:
                    self._renew(remote, state)
        if state is None:
            if self.position.version:
                raise StoreUnavailable("the database at store_url does not have this collection")
            with self.database.transaction() as remote:
                made = self.rows.make(remote, self._format)
                if made:
                    self._enter(remote)
            if not made:
                self.open()
        elif state.format < self._format:
            with self.database.transaction() as remote:
                self.current(remote, locked=True)
                self._enter(remote)

    def _enter(self, remote: PgConnection) -> None:
        """Writes all rows of the copy to PostgreSQL, as one version."""
        state = self.rows.state(remote, locked=True)
        assert state is not None
        version = state.version + 1
        images = self.tables.images()
        while block := [self._sealed(key, image, version) for key, image in islice(images, _BLOCK)]:
            self.rows.put(remote, state.number, block)
        stamp = self.rows.advance(remote, state.number, version, self._format)
        remote.commit()
        self._in_transaction(lambda: self.note(version, stamp))

    def _renew(self, remote: PgConnection, state: State) -> None:
        """Makes the copy what PostgreSQL has, whatever it was before. What is cut off begins anew at the next
        opening."""
        self._in_transaction(lambda: self.note(0, b""))
        for table in self.tables.tables.values():
            keys = iter(self.tables.keys(table))
            while some := list(islice(keys, _BLOCK)):
                by_row_key = {self.seal.row_key(table.name, key): key for key in some}
                there = self.rows.there(remote, state.number, list(by_row_key))
                gone = [key for row_key, key in by_row_key.items() if row_key not in there]
                self._in_transaction(lambda: self.tables.remove(table, gone))  # noqa: B023
        for page in self.rows.after(remote, state.number, 0):
            self._in_transaction(lambda: self._apply(page))  # noqa: B023
        stamp = self.rows.stamp(remote, state.number, state.version)

        def done() -> None:
            # Tombstones that are not told any more are missing: an index from before is built anew.
            note_meta(self._connection, "forgotten", str(read_sequence(self._connection)))
            self.note(state.version, stamp)

        self._in_transaction(done)

    def _apply_all(self, remote: PgConnection, state: State) -> None:
        for page in self.rows.after(remote, state.number, self.position.version):
            self._in_transaction(lambda: self._apply(page))  # noqa: B023
        stamp = self.rows.stamp(remote, state.number, state.version)
        self._in_transaction(lambda: self.note(state.version, stamp))

    # ---- following and writing

    def current(self, remote: PgConnection, *, locked: bool = False) -> State:
        """How far the collection is. locked: no other server writes to it before the end of the transaction. Raises
        StoreUnavailable or UnsupportedFormat."""
        state = self.rows.state(remote, locked=locked)
        if state is None:
            raise StoreUnavailable("the database at store_url does not have this collection")
        self._check(state)
        return state

    def behind(self, remote: PgConnection, state: State) -> bool:
        """Whether other servers have written something that the copy does not have. Raises CopyTooOld."""
        if not self._follows(remote, state):
            raise CopyTooOld(
                "PostgreSQL has another history than this server's copy; restart the server to have it renewed"
            )
        return state.version > self.position.version

    def catch_up(self, remote: PgConnection, state: State) -> list[RowChange]:
        """Applies what the copy does not have, within a transaction of the copy. Returns what the index takes over."""
        records: dict[int, None] = {}
        deleted: dict[int, None] = {}
        for page in self.rows.after(remote, state.number, self.position.version):
            applied = self._apply(page)
            records |= dict.fromkeys(applied.records)
            deleted |= dict.fromkeys(applied.deleted)
        self.note(state.version, self.rows.stamp(remote, state.number, state.version))
        self.tables.forget_touched()
        found = read_rows(self._connection, list(records), vectors=True)
        gone = [RowChange(row_id, None) for row_id in deleted if row_id not in found]
        return [*gone, *(RowChange(r.row_id, r) for r in sorted(found.values(), key=lambda r: r.sequence))]

    def push(self, remote: PgConnection, state: State) -> bytes | None:
        """Writes what a transaction of the copy has changed to PostgreSQL, as the next version, and notes that in the
        copy. Returns the stamp; None: nothing was changed."""
        touched = self.tables.touched()
        self.tables.forget_touched()
        if not touched:
            return None
        version = state.version + 1
        changes = iter(touched.items())
        while block := [
            self._sealed(key, image if image is not None else self._deletion(name, key), version, gone=image is None)
            for (name, key), image in islice(changes, _BLOCK)
        ]:
            self.rows.put(remote, state.number, block)
        stamp = self.rows.advance(remote, state.number, version, self._format)
        self.note(version, stamp)
        return stamp

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

    # ---- comparing

    def differences(self) -> Iterator[str]:
        """How the copy differs from PostgreSQL, a line each. Nothing may be written meanwhile."""
        with self.database.transaction(one_state=True) as remote:
            state = self.rows.state(remote)
            if state is None or state.version != self.position.version:
                yield "the copy of this server is not up to date with PostgreSQL"
                return
            shared = {}
            for page in self.rows.after(remote, state.number, 0):
                for row in page:
                    image = self.seal.open(row.key, row.version, row.sealed)
                    if row.kind == ROW:
                        shared[row.key] = hash(_comparable(image))
            for key, image in self.tables.images():
                if image.table != TOMBSTONES and shared.pop(self.seal.row_key(image.table, key), None) != hash(
                    _comparable(image)
                ):
                    yield f"a row of {image.table} is not the one in PostgreSQL"
        if shared:
            yield f"{len(shared)} rows in PostgreSQL are not in the copy of this server"

    # ---- parts

    def _check(self, state: State) -> None:
        if state.deleted:
            raise StoreUnavailable("another server has deleted this collection: delete it here, too")
        if state.format > self._format:
            raise UnsupportedFormat(
                f"the collection in PostgreSQL has format {state.format}; this version supports at most {self._format}"
            )

    def _follows(self, remote: PgConnection, state: State) -> bool:
        """Whether the copy is an earlier state of what PostgreSQL has now, and all changes since are told."""
        version, stamp = self.position
        if not version or version < state.pruned:
            return False
        return self.rows.stamp(remote, state.number, version).hex() == stamp

    def _noted(self) -> Position:
        return read_position(self._connection, self.seal.id)

    def _sealed(self, key: Sequence[object], image: Image, version: int, *, gone: bool = False) -> SealedRow:
        row_key = self.seal.row_key(image.table, key)  # type: ignore[arg-type]
        kind = DELETED if gone else TOMBSTONE if image.table == TOMBSTONES else ROW
        return SealedRow(row_key, version, kind, self.seal.seal(row_key, version, image))

    def _deletion(self, name: str, key: Sequence[object]) -> Image:
        """What is told of a deletion: a row id, and of rows that have none nothing, since their keys may be ids."""
        table = self.tables.tables[name]
        return Image(name, {table.key[0]: key[0]} if table.by_row_id else {})  # type: ignore[dict-item]

    def _apply(self, page: Sequence[SealedRow]) -> Applied:
        opened = [(row, self.seal.open(row.key, row.version, row.sealed)) for row in page]
        deletions = [(row.key, image) for row, image in opened if row.kind == DELETED]
        deleted = [int(i.values["row_id"]) for _, i in deletions if i.table == RECORDS]  # type: ignore[arg-type]
        unnamed: dict[str, set[bytes]] = {}
        for row_key, image in deletions:
            if image.values:
                self.tables.remove(self.tables.tables[image.table], [tuple(image.values.values())])
            else:
                unnamed.setdefault(image.table, set()).add(row_key)
        for name, row_keys in unnamed.items():
            table = self.tables.tables[name]
            keys = self.tables.keys(table)
            self.tables.remove(table, [key for key in keys if self.seal.row_key(name, key) in row_keys])
        records = self.tables.put(image for row, image in opened if row.kind != DELETED)
        return Applied(records, deleted)

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


def _comparable(image: Image) -> tuple[object, ...]:
    return (image.table, *sorted(image.values.items()))
