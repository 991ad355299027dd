"""Counts of searches by day and score, against a plain count."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from index import TALLY_BINS, TALLY_DAYS, Collection, CollectionCache, LocalVectorIndexes, StoreUnavailable
from index.collection.tally import SearchCounter
from index.storage.layout import DataDirectory
from index.tenant.directory import TenantDirectory
from tests.support.data.collections import KEY, SPEC, directory, loaded, record

Plain = Counter[tuple[int, int | None]]


def counted(collection: Collection) -> Plain:
    """What the tally has, in the form of a plain count."""
    found: Plain = Counter()
    for day in collection.search_tally().days:
        found[day.day, None] = day.without_hit
        found.update({(day.day, place): count for place, count in enumerate(day.best)})
    return +found


class Store:
    """A store that notes what is written, and refuses where it is told to."""

    def __init__(self, value: bytes = b"") -> None:
        self.value, self.writes, self.refuses = value, 0, False

    def learnt(self, name: str) -> bytes:
        return self.value

    def note_learnt(self, name: str, value: bytes) -> None:
        if self.refuses:
            raise StoreUnavailable("the disk is full")
        self.value, self.writes = value, self.writes + 1


def test_the_counts_of_random_searches_are_those_of_a_plain_count_whatever_is_closed_between(tmp_path: Path) -> None:
    plain, rng = Counter[tuple[int, int | None]](), random.Random(1)
    for _ in range(4):
        cache = CollectionCache(LocalVectorIndexes(), budget_bytes=1)  # each use of another collection closes the last
        tenant = TenantDirectory(DataDirectory(tmp_path).tenant("a" * 32), KEY, cache)
        if not tenant.collection_count:
            tenant.create(SPEC)
            tenant.create(SPEC.__class__("others", "builtin", "f" * 16, SPEC.dimension))
        things, others = tenant.collection("things"), tenant.collection("others")
        for _ in range(50):
            day, place = rng.randrange(100, 104), rng.choice([None, *range(TALLY_BINS)])
            things.count_search(day, place)
            plain[day, place] += 1
            if rng.random() < 0.2:
                others.count()
                cache.make_room()
            if rng.random() < 0.3:
                assert counted(things) == plain
        assert not counted(others)
        tenant.close(saved=rng.random() < 0.5)
    reopened = directory(tmp_path)
    assert counted(reopened.collection("things")) == plain
    reopened.close()


def test_searches_write_nothing_and_counts_are_written_every_few_minutes() -> None:
    store, now = Store(), [0.0]
    counter = SearchCounter(store, lambda: now[0])  # type: ignore[arg-type]
    for second in range(1000):
        now[0] = float(second)
        counter.add(7, 3)
        counter.save()
    assert store.writes == 3
    counter.save(now=True)
    counter.save(now=True)
    assert store.writes == 4
    assert json.loads(store.value) == {"enabled": True, "days": {"7": [0, 0, 0, 0, 1000, *[0] * 16]}}


def test_a_refused_write_is_tried_again_and_loses_no_count() -> None:
    store = Store()
    counter = SearchCounter(store)  # type: ignore[arg-type]
    counter.add(7, None)
    store.refuses = True
    counter.save(now=True)
    with pytest.raises(StoreUnavailable):
        counter.enable(False)
    assert counter.seen().enabled
    assert counter.seen().days[0].without_hit == 1
    store.refuses = False
    counter.save(now=True)
    assert SearchCounter(store).seen() == counter.seen()  # type: ignore[arg-type]


def test_only_the_last_days_are_kept_however_far_the_clock_jumps(collection: Collection) -> None:
    for day in [5, *range(1000, 1000 + 2 * TALLY_DAYS), 3]:
        collection.count_search(day, 0)
    days = [d.day for d in collection.search_tally().days]
    assert days == list(range(1000 + TALLY_DAYS, 1000 + 2 * TALLY_DAYS))


def test_stopping_deletes_the_counts_durably_and_starting_begins_anew(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    made = tenant.create(SPEC)
    made.count_search(1, 1)
    made.enable_tally(False)
    made.count_search(1, 1)
    assert not made.search_tally().enabled
    assert not counted(made)
    assert b'"1"' not in loaded(made).store.learnt("searches")
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert not again.search_tally().enabled
    again.enable_tally(True)
    again.count_search(2, 2)
    assert counted(again) == {(2, 2): 1}


def test_counts_go_with_the_name_and_not_to_another_tenant(tmp_path: Path) -> None:
    tenant, other_key = directory(tmp_path), bytes(reversed(range(32)))
    made = tenant.create(SPEC)
    made.upsert([record(1)])
    made.count_search(1, 1)
    tenant.create(SPEC.__class__("others", "builtin", "f" * 16, SPEC.dimension))
    tenant.exchange("things", "others")
    assert counted(tenant.collection("others")) == {(1, 1): 1}
    assert not counted(tenant.collection("things"))
    loaded(made).note(closing=True)
    made.keep_snapshot()
    (folder,) = Path(tmp_path).rglob("kept-*")
    other = TenantDirectory(DataDirectory(tmp_path / "other").tenant("b" * 32), other_key)
    assert not counted(other.adopt_snapshot(folder, KEY, "copy"))
    assert counted(tenant.restore("others", folder.name.removeprefix("kept-"), "again")) == {(1, 1): 1}
    other.close()
    tenant.close()


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"enabled": true, "days": {"1": [1, 2]}}', b'{"days": {"x": []}}'])
def test_counts_that_cannot_be_read_begin_anew(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    counter = SearchCounter(Store(value))  # type: ignore[arg-type]
    assert counter.seen() == (True, ())
    assert "begin anew" in caplog.text
