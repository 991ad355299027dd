"""A process that only reads follows what another one writes: it answers as the writer does, from the next call on.

Both are in this process here. SQLite keeps its locks apart all the same, and what crosses is what crosses between two
processes: files, and the mapped header of the log's index. tests/service/processes has two processes.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import (
    CenteringTransform,
    Collection,
    CollectionNotFound,
    FollowedCache,
    FollowedDirectory,
    FollowerIndexes,
    RecordWrite,
    SearchQuery,
    StoreUnavailable,
)
from index.vectors.local.follower import FollowerIndex
from tests.index.collection.test_random_operations import Model, _few_rows_do_what_many_do
from tests.support.data.collections import KEY, SPEC, directory, loaded, vector

_few_rows_do_what_many_do = _few_rows_do_what_many_do  # the fixture, for the operations of the model


def index_of(collection: Collection) -> FollowerIndex:
    found = loaded(collection).index
    assert isinstance(found, FollowerIndex)
    return found


class FollowedModel(Model):
    """The model, whose answers are compared with those of a follower after each operation."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.follower = FollowedDirectory(self.tenant._layout, KEY, FollowedCache(FollowerIndexes()))

    def step(self) -> None:
        super().step()
        if self.follower.stale():
            self.follower.refresh()
        writer, self.collection = self.collection, self.follower.collection("things")
        if self.chance.random() < 0.02:
            self.collection.maintain()
        self.chance.choice((self.search, self.search_filtered, self.count))()
        if self.chance.random() < 0.02:
            stored = {r.record_id: (r.product_id, dict(r.attributes)) for r in self.collection.list(0, 10_000)}
            assert stored == {i: (product, attributes) for i, (_, product, attributes) in self.held.items()}
            assert list(index_of(self.collection).differences(loaded(writer).store.scan().__enter__())) == []
        self.collection = writer


def test_a_follower_holds_what_the_writer_holds_over_random_operations(tmp_path: Path) -> None:
    model = FollowedModel(tmp_path, seed=31)
    for number in range(800):
        try:
            model.step()
        except BaseException as error:
            error.add_note(f"step {number}")
            raise
    model.follower.close()
    model.finish()


def pair(folder: Path) -> tuple[Collection, Collection, FollowedDirectory]:
    """The writer's collection, and a follower's."""
    tenant = directory(folder)
    writer = tenant.create(SPEC)
    follower = FollowedDirectory(tenant._layout, KEY, FollowedCache(FollowerIndexes()))
    return writer, follower.collection(SPEC.name), follower


def written(count: int, first: int = 0) -> list[RecordWrite]:
    return [RecordWrite(str(n), vector(n), "p", {"text": f"said {n}"}) for n in range(first, first + count)]


def test_a_write_of_any_size_is_seen_by_the_next_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.local.follower._BLOCK", 7)
    monkeypatch.setattr("index.vectors.local.follower._MOST_REPLAYED", 40)
    writer, follower, _ = pair(tmp_path)
    for size, first in ((1, 0), (6, 1), (7, 7), (30, 14), (100, 44)):
        writer.upsert(written(size, first))
        assert follower.search_at_once(SearchQuery(vector(first), 1), 10.0) is None  # it would have to wait
        assert follower.count() == first + size
        best = follower.search(SearchQuery(vector(first + size - 1), 1)).groups[0][0]
        assert best.record.record_id == str(first + size - 1)
        assert follower.search_at_once(SearchQuery(vector(first), 1), 10.0) is not None


def test_deletions_that_the_store_has_forgotten_are_gone_for_a_follower_that_was_behind(tmp_path: Path) -> None:
    writer, follower, _ = pair(tmp_path)
    writer.upsert(written(50))
    assert follower.count() == 50
    before = index_of(follower).state
    assert writer.erase(["3", "4"]).records == 2  # and forgets that they were there
    assert follower.count() == 48
    assert index_of(follower).state is not before
    assert "3" not in follower.get(["3", "5"])


def test_what_was_erased_is_overwritten_in_the_memory_of_a_follower(tmp_path: Path) -> None:
    writer, follower, _ = pair(tmp_path)
    writer.upsert(written(20))
    shown = follower.show(["7"], _shown)
    assert b"said 7" in shown["7"]
    index = index_of(follower)
    view = index.view
    slot = view.slots_of([follower.list(0, 100)[7].row_id])[0]
    row, packed = view.float16[slot : slot + 1], bytes(view.payloads.record(slot))
    assert row.any()
    assert b"said 7" in packed
    writer.delete(["7"])
    follower.maintain()
    assert b"said 7" in bytes(view.payloads.record(slot))  # a search may look at it still
    for _ in range(2):
        index.state.rows._dying.turned -= 60.0
        follower.maintain()
    assert not view.float16[slot].any()
    assert b"said 7" not in bytes(view.payloads.record(slot))
    assert index.shown(["7"], _shown) is None


def test_the_list_of_collections_is_followed(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    tenant.create(SPEC).upsert(written(3))
    follower = FollowedDirectory(tenant._layout, KEY, FollowedCache(FollowerIndexes()))
    first = follower.collection("things")
    other = tenant.create(replace(SPEC, name="others"))
    other.upsert(written(5))
    assert follower.stale()
    follower.refresh()
    assert not follower.stale()
    assert (follower.collection("others").count(), follower.collection("things").count()) == (5, 3)
    tenant.exchange("things", "others")
    follower.refresh()
    assert (follower.collection("others").count(), follower.collection("things").count()) == (3, 5)
    assert follower.collection("others") is first
    tenant.change("things", description="new", learning=False)
    follower.refresh()
    assert follower.collection("things").spec.description == "new"
    tenant.delete("things")
    follower.refresh()
    with pytest.raises(CollectionNotFound):
        follower.collection("things")
    with pytest.raises(StoreUnavailable):
        first.upsert(written(1))


def test_nothing_in_the_directory_is_written_by_a_follower(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    writer = tenant.create(SPEC)
    writer.upsert(written(2000))
    tenant.close()
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal"))}
    follower = FollowedDirectory(tenant._layout, KEY, FollowedCache(FollowerIndexes()))
    collection = follower.collection("things")
    assert collection.count() == 2000
    collection.maintain()
    for change in (
        lambda: collection.upsert(written(1)), lambda: collection.delete(["1"]), collection.keep_snapshot,
        lambda: collection.erase(["1"]),
    ):  # fmt: skip
        with pytest.raises(StoreUnavailable):
            change()
    follower.close()
    assert files == {
        p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal"))
    }


def test_a_follower_takes_over_the_writers_graph_and_transform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.local.follower._DELTA_ROWS", 100)
    writer, follower, _ = pair(tmp_path)
    writer.upsert(written(600))
    assert follower.count() == 600
    assert writer.build_ann_index()
    writer.snapshot()
    assert index_of(follower).view.ann_index is None
    assert follower.maintain() == "load"
    assert index_of(follower).view.ann_rows == 600
    mean = np.full(len(vector(0)), 0.1, np.float32)
    loaded(writer).index.learn(CenteringTransform(mean, mean))
    assert follower.maintain() == "load"
    answer, expected = (c.search(SearchQuery(vector(5), 10)) for c in (follower, writer))
    assert answer.learned
    assert [g[0].record.record_id for g in answer.groups] == [g[0].record.record_id for g in expected.groups]


def test_what_a_follower_notes_of_searches_can_be_taken_once(tmp_path: Path) -> None:
    writer, follower, tenant = pair(tmp_path)
    writer.upsert(written(20))
    for n in (1, 2, 1, 1):  # one that comes again is noted once
        follower.search(SearchQuery(vector(n), 1))
    follower.count_search(20_000, 19)
    follower.count_search(20_000, None)
    follower.count_search(20_000, 19)
    (notes,) = tenant.take_notes().values()
    assert notes.queries.number == 2
    unit = sum(v / np.linalg.norm(v) for v in (vector(1), vector(2)))
    assert np.allclose(notes.queries.total, unit, atol=1e-5)
    assert notes.counted == {(20_000, 19): 2, (20_000, None): 1}
    assert tenant.take_notes() == {}
    follower.search(SearchQuery(vector(2), 1))
    assert tenant.take_notes() == {}


def test_a_writer_that_crashed_and_came_back_is_followed_on(tmp_path: Path) -> None:
    writer, follower, _ = pair(tmp_path)
    writer.upsert(written(30))
    assert follower.count() == 30
    again = directory(tmp_path)  # opened anew beside what a crash left
    again.collection("things").upsert(written(5, 30))
    assert follower.count() == 35
    again.collection("things").delete(["0"])
    again.close()
    assert follower.count() == 34


def _shown(record: object) -> bytes:
    return repr(record).encode()
