"""A database of which each server has a copy: its rows to PostgreSQL, and what other servers wrote into the copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from index.records.postgresql.database import Database, PgConnection, PgError, Unreachable, said
from index.records.postgresql.sealing import Image, Seal
from index.records.postgresql.shared_rows import DELETED, ROW, TOMBSTONE, SealedRow, SharedRows, State
from index.records.postgresql.shared_tables import RECORDS, TOMBSTONES, SharedTables
from index.records.sharing import Position
from index.storage.sqlite import Connection
from index.types.errors import OutcomeUnknown, StoreUnavailable, UnsupportedFormat

BLOCK = 500


class Applied(NamedTuple):
    """What was applied to the copy. records: row ids of records that were written; deleted: of those that went."""

    records: list[int]
    deleted: list[int]


class SealedCopy:
    """Its owner sees to it that no two threads use it at once. position: up to where the copy has followed."""

    WHAT = "database"
    position: Position

    def __init__(
        self, database: Database, seal: Seal, connection: Connection, tables: SharedTables, owner: str = ""
    ) -> None:
        """connection: the writer's, to a database in the newest format. owner: uid of the tenant."""
        self.database, self.seal, self._connection, self.tables = database, seal, connection, tables
        self.rows = SharedRows(seal.id, owner)
        self.format = int(connection.execute("PRAGMA user_version").fetchone()[0])

    def note(self, version: int, stamp: bytes) -> None:
        """Notes within a transaction of the copy how far it has come."""
        raise NotImplementedError

    def current(self, remote: PgConnection, *, locked: bool = False) -> State:
        """How far the database is. locked: no other server writes to it before the end of the transaction. Raises
        StoreUnavailable or UnsupportedFormat."""
        state = self.rows.state(remote, locked=locked)
        if state is None:
            raise StoreUnavailable(f"the database at store_url does not have this {self.WHAT}")
        self.check(state)
        return state

    def check(self, state: State) -> None:
        """Raises StoreUnavailable or UnsupportedFormat where this server cannot follow."""
        if state.deleted:
            raise StoreUnavailable(f"another server has deleted this {self.WHAT}: delete it here, too")
        if state.format > self.format:
            raise UnsupportedFormat(
                f"the {self.WHAT} in PostgreSQL has format {state.format}; this version supports at most {self.format}"
            )

    def follows(self, remote: PgConnection, state: State) -> bool:
        """Whether the copy is an earlier state of what PostgreSQL has now, and all changes since are told."""
        version, stamp = self.position
        if not version or version < state.pruned:
            return False
        return self.rows.stamp(remote, state.number, version).hex() == stamp

    # ---- writing

    def put_all(self, remote: PgConnection, state: State) -> bytes:
        """Writes all rows of the copy to PostgreSQL, as the next version. Returns the stamp."""
        version = state.version + 1
        images = self.tables.images()
        while block := [self.sealed(key, image, version) for key, image in islice(images, BLOCK)]:
            self.rows.put(remote, state.number, block)
        return self.rows.advance(remote, state.number, version, self.format)

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
            self.sealed(key, image if image is not None else self._deletion(name, key), version, gone=image is None)
            for (name, key), image in islice(changes, BLOCK)
        ]:
            self.rows.put(remote, state.number, block)
        stamp = self.rows.advance(remote, state.number, version, self.format)
        self.note(version, stamp)
        return stamp

    def commit(self, remote: PgConnection, state: State, stamp: bytes) -> None:
        """Commits what `push` wrote. Where the connection is lost meanwhile, a new one is asked what became of it.
        Raises StoreUnavailable: it was not stored; or OutcomeUnknown."""
        try:
            remote.commit()
            return
        except PgError as error:
            if not remote.closed:
                raise Unreachable(f"PostgreSQL: {said(error)}") from error
            lost = error
        try:
            stands = self._stands(state.version + 1, stamp)
        except StoreUnavailable:
            raise OutcomeUnknown(f"PostgreSQL was lost during the commit: {said(lost)}") from lost
        if not stands:
            raise Unreachable(f"PostgreSQL: {said(lost)}") from lost

    def _stands(self, version: int, stamp: bytes) -> bool:
        with self.database.transaction() as remote:
            state = self.current(remote, locked=True)  # waits for what is left of the lost transaction
            return self.rows.stamp(remote, state.number, version) == stamp

    def sealed(self, key: Sequence[object], image: Image, version: int, *, gone: bool = False) -> SealedRow:
        """A row as PostgreSQL gets it."""
        row_key = self.seal.row_key(image.table, key)  # type: ignore[arg-type]
        kind = DELETED if gone else TOMBSTONE if image.table == TOMBSTONES else ROW
        return SealedRow(row_key, version, kind, self.seal.seal(row_key, version, image))

    def _deletion(self, name: str, key: Sequence[object]) -> Image:
        """What is told of a deletion: a row id, and of rows that have none nothing, since their keys may be ids."""
        table = self.tables.tables[name]
        return Image(name, {table.key[0]: key[0]} if table.by_row_id else {})  # type: ignore[dict-item]

    # ---- following

    def apply(self, page: Sequence[SealedRow]) -> Applied:
        """Writes rows of other servers into the copy."""
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

    def absent(self, remote: PgConnection, state: State) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
        """Primary keys of rows of the copy that PostgreSQL does not have, in blocks, each of one table."""
        for table in self.tables.tables.values():
            keys = iter(self.tables.keys(table))
            while some := list(islice(keys, BLOCK)):
                by_row_key = {self.seal.row_key(table.name, key): key for key in some}
                there = self.rows.there(remote, state.number, list(by_row_key))
                yield table.name, [key for row_key, key in by_row_key.items() if row_key not in there]

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


def _comparable(image: Image) -> tuple[object, ...]:
    return (image.table, *sorted(image.values.items()))
