"""Which collections a tenant has: `collections.db`, encrypted with the tenant's key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from index.contract import DatabaseSharing, DatabaseTransactions, SharedDatabase
from index.manifest.change_number import noted_generation, raise_number
from index.manifest.entries import CHANGEABLE, COLUMNS, MIGRATIONS, Entry, changeable_values, read_entries
from index.manifest.listed_database import open_under, opened
from index.manifest.manifest import Manifest
from index.manifest.transactions import LocalTransactions, database_id, read_note, transactions
from index.storage.crypto import derive_key
from index.storage.sqlite import Connection, checkpoint, file_errors, migrate
from index.storage.steps import step
from index.types.collection import CollectionSpec
from index.types.errors import CollectionExists, CollectionNotFound, DataFault

_ALIKE = (("collections", "uid"),)


class FollowedList(NamedTuple):
    """The list as another server has left it. gone: the collections that were deleted, by uid, and whether their kept
    snapshots go, too."""

    entries: list[Entry]
    gone: Mapping[str, bool]


class Catalog:
    """Of one tenant. Holds no file open. All methods raise DataFault where the file is damaged,
    and StoreUnavailable where it cannot be used.

    - `deserted`: homes of collections that are gone: all that lies there is to be deleted.
    - `shared`, `sharing`: what the list is where servers share it, and how; None: they do not.
    - `version`: up to which commit of the servers it has followed."""

    def __init__(self, path: Path, key: bytes, manifest: Manifest, sharing: DatabaseSharing | None = None) -> None:
        """`key`: the tenant's data key. `sharing`: with whom the list is shared, see `open`. Raises DataFault."""
        self._path, self._key, self._manifest = path, derive_key(key, "tenant collections"), manifest
        self.shared = SharedDatabase(database_id(key, path.name), key, path.parent.name, ("deserted",), alike=_ALIKE)
        self.sharing = sharing
        self._applied: Callable[[FollowedList], object] = lambda followed: None
        with closing(open_under(manifest, path, self._key, lambda c: migrate(c, MIGRATIONS, str(path)))) as database:
            if noted_generation(database) > manifest.generation():
                raise DataFault(manifest.path, f"is an older copy than {path.name}")
            self.version = read_note(database).version
            with file_errors(path):
                self.deserted = {row[0] for row in database.execute("SELECT home FROM deserted")}

    def entries(self) -> list[Entry]:
        """All collections."""
        with self._database() as database:
            return read_entries(database)

    def open(self, applied: Callable[[FollowedList], object]) -> None:
        """Brings the list to what the servers share, or enters it there. `applied`: called with the list that other
        servers have made, before this one has it, now and later. Raises StoreUnavailable."""
        self._applied = applied
        with self._transactions() as (_, changes):
            changes.open()

    def follow(self) -> None:
        """Takes over what other servers have changed. Raises StoreUnavailable."""
        with self._transactions() as (_, changes):
            changes.follow()

    def detach(self) -> None:
        """Makes this list the truth, and deletes the shared one. Raises StoreUnavailable or StoreDamaged."""
        with self._transactions() as (_, changes):
            changes.detach()

    def differences(self) -> list[str]:
        """How the list differs from the shared one, a line each. Raises StoreUnavailable."""
        with self._transactions() as (_, changes):
            return changes.differences()

    def enter(self, entry: Entry, replaced: str = "") -> None:
        """Adds a collection, in the place of that with the uid `replaced`. Raises CollectionExists where another
        server was first to use the name."""
        uid, home, spec = entry
        values = (
            uid, home, spec.name, spec.encoder_id, spec.encoder_fingerprint, spec.dimension,
            *changeable_values(spec), time.time_ns() // 1_000_000,
        )  # fmt: skip
        marks = ",".join("?" * len(values))
        with self._changing() as database:
            if self.sharing is not None:
                row = database.execute("SELECT uid FROM collections WHERE name = ?", (spec.name,)).fetchone()
                if row is not None and row[0] not in (uid, replaced):
                    raise CollectionExists(f"collection {spec.name!r} exists")
                if replaced:
                    database.execute("INSERT OR REPLACE INTO gone VALUES (?, 0)", (replaced,))
            database.execute(f"INSERT OR REPLACE INTO collections ({COLUMNS}, created_ms) VALUES ({marks})", values)  # noqa: S608

    def change(self, uid: str, change: Callable[[CollectionSpec], CollectionSpec]) -> CollectionSpec:
        """Changes what of a collection can be changed, from what it is now. Returns what it is then. Raises
        CollectionNotFound."""
        assignments = ", ".join(f"{column} = ?" for column in CHANGEABLE)
        with self._changing() as database:
            found = next((e for e in read_entries(database) if e.uid == uid), None)
            if found is None:
                raise CollectionNotFound("another server has deleted the collection")
            spec = change(found.spec)
            database.execute(f"UPDATE collections SET {assignments} WHERE uid = ?", (*changeable_values(spec), uid))  # noqa: S608
        return spec

    def rename(self, names: Sequence[tuple[str, str]]) -> None:
        """Gives collections, by uid, other names, all in one step."""
        with self._changing() as database:
            for uid, _ in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (f"{uid} on its way", uid))
            for uid, name in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (name, uid))

    def remove(self, uid: str, deserted: str = "", *, with_kept: bool = False) -> None:
        """Removes a collection. deserted: its home, where extensions may have left files; empty for none. with_kept:
        its kept snapshots go, too."""
        with self._changing() as database:
            database.execute("DELETE FROM collections WHERE uid = ?", (uid,))
            if self.sharing is not None:
                database.execute("INSERT OR REPLACE INTO gone VALUES (?, ?)", (uid, int(with_kept)))
            if deserted:
                database.execute("INSERT OR REPLACE INTO deserted VALUES (?)", (deserted,))
        self.checkpoint()
        self.deserted |= {deserted} - {""}

    def checkpoint(self) -> None:
        """Has names that were removed leave the disk."""
        with self._database() as database:
            checkpoint(database)

    def desert(self, home: str) -> None:
        """Notes that extensions may have left files there."""
        with self._changing_here() as database:
            database.execute("INSERT OR REPLACE INTO deserted VALUES (?)", (home,))
        self.deserted.add(home)

    def forget_deserted(self, home: str) -> None:
        """Drops the note of a home that is empty now."""
        with self._changing_here() as database:
            database.execute("DELETE FROM deserted WHERE home = ?", (home,))
        self.deserted.discard(home)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction, in what the servers share; the manifest hears of it."""
        step("before collections.db is changed")
        with self._transactions() as (database, changes), self._numbered(database) as raised, changes.changing():
            yield database
            raised()
        step("collections.db is changed")

    @contextmanager
    def _changing_here(self) -> Iterator[Connection]:
        """The same for what only this server has."""
        step("before collections.db is changed")
        with (
            self._database() as database, self._numbered(database) as raised, LocalTransactions(database).committed()
        ):  # fmt: skip
            yield database
            raised()
        step("collections.db is changed")

    @contextmanager
    def _numbered(self, database: Connection) -> Iterator[Callable[[], None]]:
        """Gives what is to be called in a transaction: it raises the number. The manifest hears of it afterwards."""
        numbers: list[int] = []
        yield lambda: numbers.append(raise_number(database, self._manifest.generation()))
        if numbers:
            self._manifest.note(self._path.name, numbers[-1])

    @contextmanager
    def _transactions(self) -> Iterator[tuple[Connection, DatabaseTransactions]]:
        with self._database() as database, self._numbered(database) as raised:

            def applied() -> None:
                gone = database.execute("SELECT uid, with_kept FROM gone").fetchall()
                self._applied(FollowedList(read_entries(database), {uid: bool(kept) for uid, kept in gone}))
                raised()

            changes = transactions(self.sharing, self.shared, database, applied)
            self.version = changes.version
            yield database, changes
            self.version = changes.version

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        with file_errors(self._path), closing(opened(self._path, self._key)) as connection:
            yield connection
