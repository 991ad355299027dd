"""A second record store is handed to the cache, and is then the only one that collections use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from index import (
    CollectionCache,
    KeptPicture,
    LocalVectorIndexes,
    OutcomeUnknown,
    PicturePolicy,
    SearchQuery,
    SourceBatch,
    SourceMark,
    StoreUnavailable,
    TenantDirectory,
)
from index.records.extensions.registered import record_stores
from index.storage.layout import DataDirectory
from tests.support.data.collections import KEY, SPEC, record, vector
from tests.support.data.remote_like import Fault, Faults, Remote, RemoteStores

PICTURED = replace(SPEC, picture_policy=PicturePolicy.ENCRYPTED_COPY)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def stores(faults: Faults) -> RemoteStores:
    return RemoteStores(record_stores(), faults)


@pytest.fixture
def tenant(tmp_path: Path, stores: RemoteStores) -> Iterator[TenantDirectory]:
    cache = CollectionCache(LocalVectorIndexes(), stores=stores)
    made = TenantDirectory(DataDirectory(tmp_path).tenant("a" * 32), KEY, cache)
    yield made
    made.close()


def test_the_life_of_a_collection_needs_no_other_store(tenant: TenantDirectory, stores: RemoteStores) -> None:
    collection = tenant.create(PICTURED)
    collection.pictures.announce("copy")
    collection.upsert([record(n, "p") for n in range(4)])
    collection.upsert([replace(record(5), kept=KeptPicture("copy", 10))])
    collection.sourced.claim(1)
    batch = SourceBatch(1, "feed", "run")
    collection.sourced.apply(batch, [replace(record(6), mark=SourceMark("feed", b"i"))])
    assert [m.record_id for m in collection.sourced.marks("feed")] == ["6"]
    assert collection.pictures.of(["5"]) == {"5": KeptPicture("copy", 10)}
    assert collection.search(SearchQuery(vector(2), 1)).hits[0].record.record_id == "2"
    backup = collection.keep_snapshot()
    assert collection.erase(["1"]).kept_snapshots == (backup.snapshot_id,)
    restored = tenant.restore("things", backup.snapshot_id, "things", replacing=True)
    assert sorted(r.record_id for r in restored.list(0, 9)) == ["0", "2", "3", "5", "6"]
    assert (restored.stats().records, restored.usage().records) == (5, 5)
    assert list(restored.problems()) == []
    _, dropped = tenant.set_policy("things", PicturePolicy.DISCARD)
    assert (dropped.copies, restored.pictures.loose()) == (1, ["copy"])
    with restored.handle as loaded:
        assert type(loaded.store) is Remote
    assert stores.opened == 2


def test_what_does_not_arrive_or_is_lost_is_said_and_can_be_done_again(tenant: TenantDirectory, faults: Faults) -> None:
    collection = tenant.create(SPEC)
    faults.plan("run", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        collection.upsert([record(1)])
    assert collection.get(["1"]) == {}
    faults.plan("run", Fault.LOST)
    with pytest.raises(OutcomeUnknown):
        collection.upsert([record(1)])
    assert collection.upsert([record(1)])[0].outcome.value == "unchanged"
    faults.plan("counts", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        collection.pictures.counts()
    assert collection.pictures.counts().copies == 0


def test_a_collection_whose_store_cannot_be_reached_is_opened_by_the_next_call(
    tenant: TenantDirectory, faults: Faults
) -> None:
    collection = tenant.create(SPEC)
    collection.upsert([record(1)])
    assert collection.handle.cool()
    faults.plan("sequences", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        collection.count()
    assert collection.count() == 1
