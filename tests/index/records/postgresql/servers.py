"""Servers that share a collection through one PostgreSQL database, as far as the index knows them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from index import Collection, CollectionCache, LocalVectorIndexes, SearchQuery, TenantDirectory
from index.collection.loaded import LoadedCollection
from index.records.extensions.registered import postgres_stores
from index.records.postgresql.store import PostgresRecordStore
from index.records.postgresql.stores import PostgresRecordStores
from index.storage.layout import DataDirectory
from tests.support.data.collections import KEY, SPEC, record, vector


class SharedParts(LoadedCollection):
    """For the type checker."""

    store: PostgresRecordStore


@dataclass
class IndexServer:
    """One server: a directory with one tenant."""

    root: Path
    url: str

    def __post_init__(self) -> None:
        self.stores: PostgresRecordStores = postgres_stores(self.url)
        cache = CollectionCache(LocalVectorIndexes(), stores=self.stores)
        self.tenant = TenantDirectory(DataDirectory(self.root).tenant("a" * 32), KEY, cache)

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
