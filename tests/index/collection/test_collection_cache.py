"""The collection cache: loading on use, and eviction when others need the memory."""

import contextlib
import gc
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from index import (
    Collection,
    CollectionCache,
    DataDirectory,
    DataFault,
    LocalVectorIndexes,
    SearchQuery,
    StoreDamaged,
    StoreUnavailable,
    TenantDirectory,
)
from index.collection.loaded import OPEN_BYTES, LoadedCollection
from tests.support.data.collections import KEY, SPEC, ids, loaded, record, vector


def tenant(root: Path, cache: CollectionCache) -> TenantDirectory:
    return TenantDirectory(DataDirectory(root).tenant("a" * 32), KEY, cache)


def several(root: Path, cache: CollectionCache, count: int) -> list[Collection]:
    directory = tenant(root, cache)
    made = [directory.create(replace(SPEC, name=f"c{n}")) for n in range(count)]
    for n, collection in enumerate(made):
        collection.upsert([record(n * 100 + i) for i in range(20)])
    return made


def test_a_directory_opens_no_collection_and_counts_come_from_the_file(tmp_path: Path) -> None:
    directory = tenant(tmp_path, CollectionCache(LocalVectorIndexes()))
    directory.create(SPEC).upsert([record(n) for n in range(7)])
    directory.close()
    cache = CollectionCache(LocalVectorIndexes())
    cold = tenant(tmp_path, cache).collection("things")
    assert (cold.stats().records, cold.stats().sequence, cache.count()) == (7, 7, 0)
    assert ids(cold, SearchQuery(vector(3), 1)) == ["3"]
    assert (cache.count(), cache.loads) == (1, 1)


def test_what_was_used_longest_ago_leaves_memory_and_comes_back_with_all_it_had(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=3 * (OPEN_BYTES + 20_000))
    made = several(tmp_path, cache, 8)
    assert cache.count() <= 3
    assert cache.bytes() <= cache.budget_bytes
    for n, collection in enumerate(made):
        assert ids(collection, SearchQuery(vector(n * 100 + 5), 1)) == [str(n * 100 + 5)]
        assert collection.handle.loaded is not None
    assert [c.handle.loaded is not None for c in made[:4]] == [False] * 4


def test_a_deletion_that_no_snapshot_knew_is_saved_when_the_collection_leaves_memory(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=0)
    first, second = several(tmp_path, cache, 2)
    first.delete(["5"])
    second.count()  # needs the room
    assert first.handle.loaded is None
    snapshots = [p.name for p in tmp_path.rglob("snapshot-*")]
    assert "snapshot-00000000000000000021" in snapshots
    assert first.count() == 19


def test_callers_that_come_together_load_a_cold_collection_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tenant(tmp_path, CollectionCache(LocalVectorIndexes()))
    directory.create(SPEC).upsert([record(n) for n in range(50)])
    directory.close()
    cache = CollectionCache(LocalVectorIndexes())
    cold = tenant(tmp_path, cache).collection("things")
    together = threading.Barrier(8)

    def search(n: int) -> list[str]:
        together.wait()
        return ids(cold, SearchQuery(vector(n), 1))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(search, range(8))) == [[str(n)] for n in range(8)]
    assert cache.loads == 1


def test_a_collection_in_use_stays_whatever_the_budget(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=0)
    first, second = several(tmp_path, cache, 2)
    with first.handle as held:
        assert second.count() == 20
        assert first.handle.loaded is held
        assert held.index.stats().records == 20
    second.count()
    third = cache.make_room()
    assert third >= 1
    assert first.handle.loaded is None


def test_maintenance_neither_loads_a_cold_collection_nor_counts_as_a_use(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=2 * (OPEN_BYTES + 20_000))
    first, second, third = several(tmp_path, cache, 3)
    assert second.count() == third.count() == 20
    loads = cache.loads
    assert first.maintain() is None
    assert (first.handle.loaded, cache.loads) == (None, loads)
    second.maintain()
    third.count()
    second.maintain()  # the latest call, but no use
    first.count()
    assert second.handle.loaded is None
    assert third.handle.loaded is not None


def test_many_threads_over_more_collections_than_there_is_room_for_always_see_their_own(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=2 * (OPEN_BYTES + 20_000))
    made = several(tmp_path, cache, 6)

    def work(seed: int) -> None:
        for step in range(40):
            n = (seed * 7 + step * 5) % 6
            assert ids(made[n], SearchQuery(vector(n * 100 + step % 20), 1)) == [str(n * 100 + step % 20)]
            if step % 8 == 0:
                made[n].upsert([record(n * 100 + step % 20)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert all(c.count() == 20 for c in made)


def test_one_whose_pages_are_damaged_says_so_each_time_and_harms_no_other(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_bytes=0)
    good, bad = several(tmp_path, cache, 2)
    good.count()
    bad_file = bad.handle.place.layout.records
    content = bad_file.read_bytes()
    bad_file.write_bytes(content[: len(content) // 2])
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="damaged"):
            bad.count()
    assert good.count() == 20
    bad_file.write_bytes(content)
    assert bad.count() == 20


def test_one_whose_file_is_another_stops_its_tenant(tmp_path: Path) -> None:
    directory = tenant(tmp_path, CollectionCache(LocalVectorIndexes()))
    for name in ("c0", "c1"):
        directory.create(replace(SPEC, name=name)).upsert([record(1)])
    directory.close()
    again = tenant(tmp_path, CollectionCache(LocalVectorIndexes()))
    first, second = (again.collection(n).handle.place.layout.records for n in ("c0", "c1"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(DataFault, match="not the file in the manifest"):
        again.collection("c0").count()
    with pytest.raises(DataFault):
        again.collection("c1")
    with pytest.raises(DataFault, match="not the file in the manifest"):
        tenant(tmp_path, CollectionCache(LocalVectorIndexes()))


def test_a_collection_that_a_crash_left_open_is_known_and_one_that_was_closed_is_not(tmp_path: Path) -> None:
    first, second = several(tmp_path, CollectionCache(LocalVectorIndexes()), 2)
    first.close()
    crashed = tenant(tmp_path, CollectionCache(LocalVectorIndexes()))  # while the other is still open, as after kill -9
    assert [c.spec.name for c in crashed.unsettled()] == [second.spec.name]
    second.close()
    assert crashed.unsettled() == []


def test_a_closed_collection_does_not_come_back(tmp_path: Path) -> None:
    (only,) = several(tmp_path, CollectionCache(LocalVectorIndexes()), 1)
    only.close()
    with pytest.raises(StoreUnavailable):
        only.count()
    assert isinstance(only.handle.loaded, LoadedCollection | None)


def test_collections_leave_memory_before_they_have_more_files_open_than_they_may(tmp_path: Path) -> None:
    cache = CollectionCache(LocalVectorIndexes(), budget_files=20)
    made = several(tmp_path, cache, 12)
    for n, collection in enumerate(made):
        assert ids(collection, SearchQuery(vector(n * 100 + 5), 1)) == [str(n * 100 + 5)]
        assert list(collection.get([str(n * 100)])) == [str(n * 100)]
    assert cache.files() <= 20
    assert 3 <= cache.count() <= 6


def test_the_files_that_are_counted_are_those_that_are_open(tmp_path: Path) -> None:
    gc.collect()  # what other tests left open
    cache, before = CollectionCache(LocalVectorIndexes()), len(os.listdir("/proc/self/fd"))
    made = several(tmp_path, cache, 5)
    for collection in made:
        collection.get(["1"])
        readers = loaded(collection).store.readers
        with readers.connection(), readers.connection():
            pass
        collection.handle.weigh()
    assert len(os.listdir("/proc/self/fd")) - before == cache.files()


def test_where_no_file_can_be_opened_cold_collections_are_closed_and_nobody_notices(tmp_path: Path) -> None:
    gc.collect()
    cache = CollectionCache(LocalVectorIndexes())
    made = several(tmp_path, cache, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 4, hard))
    held = []
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    try:
        for _ in range(2):
            for n, collection in enumerate(made):
                assert collection.count() == 20
                with loaded(collection).store.readers.connection():  # so that the next reader opens files of its own
                    assert list(collection.get([str(n * 100)])) == [str(n * 100)]
                collection.upsert([record(n * 100)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in held:
            os.close(number)
    assert cache.loads > 10
