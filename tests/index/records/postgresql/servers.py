"""Servers that share a collection through one PostgreSQL database, as far as the index knows them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from index import Collection, CollectionCache, LocalVectorIndexes, SearchQuery, TenantDirectory
from index.collection.loaded import LoadedCollection
from index.records.extensions.registered import postgres_stores
from index.records.postgresql.store import PostgresRecordStore
from index.records.postgresql.stores import PostgresRecordStores
from index.storage.crypto import KEY_BYTES
from index.storage.layout import DataDirectory
from tests.support.data.collections import SPEC, record, vector


class SharedParts(LoadedCollection):
    """For the type checker."""

    store: PostgresRecordStore


def key_of(root: Path) -> bytes:
    """The data key of the tenant of a server, made with its directory: each test has a tenant of its own in the
    database."""
    path = root / "key"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(KEY_BYTES))
    return path.read_bytes()


@dataclass
class IndexServer:
    """One server: a directory with one tenant."""

    root: Path
    url: str

    def __post_init__(self) -> None:
        self.stores: PostgresRecordStores = postgres_stores(self.url)
        cache, data = CollectionCache(LocalVectorIndexes(), stores=self.stores), DataDirectory(self.root)
        self.tenant = TenantDirectory(data.tenant("a" * 32), key_of(self.root), cache)

    @property
    def things(self) -> Collection:
        return self.tenant.collection(SPEC.name)

    @property
    def store(self) -> PostgresRecordStore:
        with self.things.handle as loaded:
            return cast(SharedParts, loaded).store

    def ids(self) -> list[str]:
        """All ids, by the store and by the vector index, which must agree."""
        by_store = sorted(r.record_id for r in self.things.list(0, 10_000))
        answer = self.things.search(SearchQuery(vector(0), 1000, exact=True))
        assert sorted(h.record.record_id for g in answer.groups for h in g) == by_store
        return by_store

    def nearest(self, seed: int) -> str:
        return self.things.search(SearchQuery(vector(seed), 1)).hits[0].record.record_id

    def close(self) -> None:
        self.tenant.close()
        self.stores.close()


def two_servers(folder: Path, url: str, records: int = 0) -> tuple[IndexServer, IndexServer]:
    """Two servers with one collection; the directory of the second is a copy of that of the first."""
    first = IndexServer(folder / "one", url)
    first.tenant.create(SPEC).upsert([record(n) for n in range(records)])
    first.close()
    shutil.copytree(folder / "one", folder / "two")
    return IndexServer(folder / "one", url), IndexServer(folder / "two", url)


def until(holds: Callable[[], object]) -> None:
    """Waits until it holds, as long as a server may take to follow."""
    for _ in range(500):
        if holds():
            return
        threading.Event().wait(0.02)
    raise AssertionError("the other server does not follow")
