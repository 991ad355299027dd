"""Which collections a tenant has: `collections.db`, encrypted with the tenant's key."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from index.crypto import derive_key
from index.model import CollectionSpec, PicturePolicy
from index.sqlite import Connection, checkpoint, connect, migrate

_COLUMNS = (
    "uid, home, name, encoder_id, encoder_fingerprint, dimension, description, learning, picture_policy, "
    "policy_version, partial"
)
_MIGRATIONS = (
    """
    CREATE TABLE collections (
      name TEXT PRIMARY KEY,
      uid TEXT NOT NULL UNIQUE,
      description TEXT NOT NULL,
      encoder_id TEXT NOT NULL,
      encoder_fingerprint TEXT NOT NULL,
      dimension INTEGER NOT NULL,
      created_ms INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    ALTER TABLE collections ADD COLUMN learning INTEGER NOT NULL DEFAULT 1
    """,
    """
    ALTER TABLE collections ADD COLUMN picture_policy TEXT NOT NULL DEFAULT 'DISCARD';
    ALTER TABLE collections ADD COLUMN policy_version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE collections ADD COLUMN home TEXT NOT NULL DEFAULT '';
    UPDATE collections SET home = uid;
    CREATE TABLE deserted (home TEXT PRIMARY KEY) WITHOUT ROWID
    """,
    """
    ALTER TABLE collections ADD COLUMN partial INTEGER NOT NULL DEFAULT 0
    """,
)


class Entry(NamedTuple):
    """A collection: its directory, where copies of its pictures lie in object storage, and what it is."""

    uid: str
    home: str
    spec: CollectionSpec


class Roster:
    """Of one tenant. Holds no file open. All methods raise StoreUnavailable where the file cannot be used. `deserted`:
    homes of copies whose collections are gone: all that lies there is to be deleted."""

    def __init__(self, path: Path, key: bytes) -> None:
        """`key`: the tenant's data key. Raises WrongKey."""
        self._path, self._key = path, derive_key(key, "tenant collections")
        with self._database() as database:
            migrate(database, _MIGRATIONS, "the list of collections")
            self.deserted = {row[0] for row in database.execute("SELECT home FROM deserted")}

    def entries(self) -> list[Entry]:
        """All collections."""
        with self._database() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM collections").fetchall()  # noqa: S608
        return [_entry(row) for row in rows]

    def enter(self, entry: Entry) -> None:
        """Adds a collection, in the place of one of the same name."""
        uid, home, spec = entry
        values = (
            uid, home, spec.name, spec.encoder_id, spec.encoder_fingerprint, spec.dimension, spec.description,
            int(spec.learning), spec.picture_policy.value, spec.policy_version, int(spec.partial),
            time.time_ns() // 1_000_000,
        )  # fmt: skip
        marks = ",".join("?" * len(values))
        with self._database() as database:
            database.execute(f"INSERT OR REPLACE INTO collections ({_COLUMNS}, created_ms) VALUES ({marks})", values)  # noqa: S608

    def change(self, spec: CollectionSpec) -> None:
        """Takes over what of a collection can be changed."""
        values = (
            spec.description, int(spec.learning), spec.picture_policy.value, spec.policy_version, int(spec.partial),
            spec.name,
        )  # fmt: skip
        with self._database() as database:
            database.execute(
                "UPDATE collections SET description = ?, learning = ?, picture_policy = ?, policy_version = ?,"
                " partial = ? WHERE name = ?", values,
            )  # fmt: skip

    def rename(self, names: Sequence[tuple[str, str]]) -> None:
        """Gives collections, by uid, other names, all in one step."""
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            for uid, _ in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (f"{uid} on its way", uid))
            for uid, name in names:
                database.execute("UPDATE collections SET name = ? WHERE uid = ?", (name, uid))
            database.execute("COMMIT")

    def remove(self, name: str, deserted: str = "") -> None:
        """Removes a collection. `deserted`: its home, where copies of its pictures may lie."""
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM collections WHERE name = ?", (name,))
            if deserted:
                database.execute("INSERT OR REPLACE INTO deserted VALUES (?)", (deserted,))
            database.execute("COMMIT")
            checkpoint(database)
        self.deserted |= {deserted} - {""}

    def forget_deserted(self, home: str) -> None:
        """Drops the note of a home that is empty now."""
        with self._database() as database:
            database.execute("DELETE FROM deserted WHERE home = ?", (home,))
        self.deserted.discard(home)

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        connection = connect(self._path, self._key)
        try:
            yield connection
        finally:
            connection.close()


def _entry(row: Any) -> Entry:
    uid, home, name, encoder_id, fingerprint, dimension, description, learning, policy, version, partial = row
    spec = CollectionSpec(
        name, encoder_id, fingerprint, dimension, description, bool(learning), PicturePolicy(policy), version,
        bool(partial),
    )  # fmt: skip
    return Entry(uid, home, spec)
