"""Which collections a tenant has: `collections.db`, encrypted with the tenant's key."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from index.manifest.change_number import noted_generation, raise_number
from index.manifest.entries import CHANGEABLE, COLUMNS, MIGRATIONS, Entry, changeable_values, read_entries
from index.manifest.listed_database import open_under, opened
from index.manifest.manifest import Manifest
from index.storage.crypto import derive_key
from index.storage.sqlite import Connection, checkpoint, file_errors, migrate
from index.storage.steps import step
from index.types.collection import CollectionSpec
from index.types.errors import DataFault


class Catalog:
    """Of one tenant. Holds no file open. All methods raise DataFault where the file is damaged,
    and StoreUnavailable where it cannot be used. `deserted`:
    homes of collections that are gone: all that lies there is to be deleted."""

    def __init__(self, path: Path, key: bytes, manifest: Manifest) -> None:
        """`key`: the tenant's data key. Raises DataFault."""
        self._path, self._key, self._manifest = path, derive_key(key, "tenant collections"), manifest
        with closing(open_under(manifest, path, self._key, lambda c: migrate(c, MIGRATIONS, str(path)))) as database:
            if noted_generation(database) > manifest.generation():
                raise DataFault(manifest.path, f"is an older copy than {path.name}")
            with file_errors(path):
                self.deserted = {row[0] for row in database.execute("SELECT home FROM deserted")}

    def entries(self) -> list[Entry]:
        """All collections."""
        with self._database() as database:
            return read_entries(database)

    def enter(self, entry: Entry) -> None:
        """Adds a collection, in the place of one of the same name."""
        uid, home, spec = entry
        values = (
            uid, home, spec.name, spec.encoder_id, spec.encoder_fingerprint, spec.dimension,
            *changeable_values(spec), time.time_ns() // 1_000_000,
        )  # fmt: skip
        marks = ",".join("?" * len(values))
        with self._changing() as database:
            database.execute(f"INSERT OR REPLACE INTO collections ({COLUMNS}, created_ms) VALUES ({marks})", values)  # noqa: S608

    def change(self, spec: CollectionSpec) -> None:
        """Takes over what of a collection can be changed."""
        assignments = ", ".join(f"{column} = ?" for column in CHANGEABLE)
        statement = f"UPDATE collections SET {assignments} WHERE name = ?"  # noqa: S608
        with self._changing() as database:
            database.execute(statement, (*changeable_values(spec), spec.name))

    def rename(self, names: Sequence[tuple[str, str]]) -> None:
        """Gives collections, by uid, other names, all in one step."""
        with self._changing() as database:
            for uid, _ in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (f"{uid} on its way", uid))
            for uid, name in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (name, uid))

    def remove(self, name: str, deserted: str = "") -> None:
        """Removes a collection. deserted: its home, where extensions may have left files; empty for none."""
        with self._changing() as database:
            database.execute("DELETE FROM collections WHERE name = ?", (name,))
            if deserted:
                database.execute("INSERT OR REPLACE INTO deserted VALUES (?)", (deserted,))
        with self._database() as database:
            checkpoint(database)
        self.deserted |= {deserted} - {""}

    def forget_deserted(self, home: str) -> None:
        """Drops the note of a home that is empty now."""
        with self._changing() as database:
            database.execute("DELETE FROM deserted WHERE home = ?", (home,))
        self.deserted.discard(home)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction; the manifest hears of it."""
        generation = self._manifest.generation()
        step("before collections.db is changed")
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                number = raise_number(database, generation)
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        step("collections.db is changed")
        self._manifest.note(self._path.name, number)

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        with file_errors(self._path), closing(opened(self._path, self._key)) as connection:
            yield connection
