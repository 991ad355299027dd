"""A tenant's directory: which collections there are, and opening them on first use.

`collections.db`, encrypted with the tenant's key, says which collections exist; a directory that it does not know is
left over from a crash and is removed at opening.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from dataclasses import replace

from index.attributes import check_id
from index.collection import Collection
from index.crypto import derive_key
from index.errors import CollectionExists, CollectionNotFound, InvalidInput
from index.layout import TenantLayout, new_uid
from index.model import CollectionSpec
from index.sqlite import checkpoint, connect, migrate

MAX_DIMENSION = 8192
MAX_DESCRIPTION_BYTES = 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
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
)


class TenantDirectory:
    """The collections of one tenant. Any number of threads may call any method at once."""

    def __init__(self, layout: TenantLayout, key: bytes) -> None:
        """Opens, or makes, the tenant's directory. `key` is the tenant's data key, 32 bytes. Raises WrongKey."""
        self._layout, self._key = layout, key
        layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = connect(layout.collections, derive_key(key, "tenant collections"))
        migrate(self._database, _MIGRATIONS, "the list of collections")
        self._lock = threading.RLock()
        self._open: dict[str, Collection] = {}
        self._remove_orphans()

    def create(self, spec: CollectionSpec) -> Collection:
        """Makes a collection. Raises InvalidInput or CollectionExists."""
        _check_spec(spec)
        with self._lock:
            if self._uid(spec.name) is not None:
                raise CollectionExists(f"collection {spec.name!r} exists")
            uid = new_uid()
            layout = self._layout.collection(uid)
            layout.root.mkdir(mode=0o700)
            collection = Collection(layout, self._key, spec)
            self._database.execute(
                "INSERT INTO collections VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    spec.name,
                    uid,
                    spec.description,
                    spec.encoder_id,
                    spec.encoder_fingerprint,
                    spec.dimension,
                    _now_ms(),
                ),
            )
            self._open[spec.name] = collection
            return collection

    def collection(self, name: str) -> Collection:
        """An open collection. Raises CollectionNotFound."""
        with self._lock:
            found = self._open.get(name)
            if found is not None:
                return found
            uid, spec = self._uid(name), self._spec(name)
            if uid is None or spec is None:
                raise CollectionNotFound(f"no collection {name!r}")
            self._open[name] = Collection(self._layout.collection(uid), self._key, spec)
            return self._open[name]

    def opened_collection(self, name: str) -> Collection | None:
        """The collection if it is open already. Never waits, so an event loop may call it."""
        return self._open.get(name)

    def names(self, after: str = "", limit: int = 1000) -> list[str]:
        """Names higher than `after`, in order, at most `limit`."""
        with self._lock:
            query = "SELECT name FROM collections WHERE name > ? ORDER BY name LIMIT ?"
            return [row[0] for row in self._database.execute(query, (after, limit))]

    def describe(self, name: str, description: str) -> Collection:
        """Changes a collection's description. Raises InvalidInput or CollectionNotFound."""
        _check_description(description)
        with self._lock:
            collection = self.collection(name)
            self._database.execute("UPDATE collections SET description = ? WHERE name = ?", (description, name))
            collection.spec = replace(collection.spec, description=description)
            return collection

    def delete(self, name: str) -> None:
        """Deletes a collection and all its files, for good. Raises CollectionNotFound."""
        with self._lock:
            uid = self._uid(name)
            if uid is None:
                raise CollectionNotFound(f"no collection {name!r}")
            self._database.execute("DELETE FROM collections WHERE name = ?", (name,))
            checkpoint(self._database)
            opened = self._open.pop(name, None)
            if opened is not None:
                opened.abandon()
            shutil.rmtree(self._layout.collection(uid).root)

    def opened(self) -> list[Collection]:
        """The collections that are open now."""
        with self._lock:
            return list(self._open.values())

    def close(self) -> None:
        """Closes all collections, each with a snapshot where it changed."""
        with self._lock:
            for collection in self._open.values():
                collection.close()
            self._open.clear()
            self._database.close()

    def abandon(self) -> None:
        """Closes without snapshots, for a tenant whose files are about to be deleted."""
        with self._lock:
            for collection in self._open.values():
                collection.abandon()
            self._open.clear()
            self._database.close()

    def _uid(self, name: str) -> str | None:
        row = self._database.execute("SELECT uid FROM collections WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _spec(self, name: str) -> CollectionSpec | None:
        query = "SELECT name, encoder_id, encoder_fingerprint, dimension, description FROM collections WHERE name = ?"
        row = self._database.execute(query, (name,)).fetchone()
        return None if row is None else CollectionSpec(*row)

    def _remove_orphans(self) -> None:
        known = {row[0] for row in self._database.execute("SELECT uid FROM collections")}
        for uid in self._layout.collection_uids():
            if uid not in known:
                shutil.rmtree(self._layout.collection(uid).root)


def _check_spec(spec: CollectionSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise InvalidInput("collection.name", f"{spec.name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
    if not 1 <= spec.dimension <= MAX_DIMENSION:
        raise InvalidInput("dimension", f"dimension {spec.dimension} is not within 1..{MAX_DIMENSION}")
    check_id("encoder_id", spec.encoder_id)
    _check_description(spec.description)


def _check_description(description: str) -> None:
    if len(description.encode()) > MAX_DESCRIPTION_BYTES:
        raise InvalidInput("collection.description", f"the description is longer than {MAX_DESCRIPTION_BYTES} bytes")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
