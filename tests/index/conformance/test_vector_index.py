"""What every vector index must do, whoever implements it: `index.contract.VectorIndex`, clause by clause."""

from __future__ import annotations

import random
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from index import (
    AnswerTooLarge,
    FilterSyntaxError,
    InvalidInput,
    OutcomeUnknown,
    RecordWrite,
    SearchQuery,
    StoreUnavailable,
)
from index.contract import Capabilities, IndexSite, RecordStore
from index.types.changes import RowChange
from index.types.collection import CollectionSpec
from index.types.feedback.judgements import RowVerdicts
from index.types.record import StoredRecord
from tests.index.conformance.opened import Opened, unit
from tests.support.data.collections import SPEC, record, vector
from tests.support.data.filters import random_attributes, random_filter
from tests.support.data.numpy_index import NumpyIndex, NumpyIndexes
from tests.support.data.remote_like import Fault, Faults
from tests.support.oracles.plain_duplicates import gap_near, random_verdicts, unlike


def changes(opened: Opened, *numbers: int) -> list[RowChange]:
    """Changes as the store would hand them over, of records that it does not have."""
    template, now = opened.store.page(0, 1, vectors=False).records[0], opened.index.sequence
    rows = [
        template._replace(row_id=1000 + n, record_id=f"staged-{n}", vector=unit(n), sequence=now + n) for n in numbers
    ]
    return [RowChange(row.row_id, row) for row in rows]


def test_after_an_opening_the_index_is_where_the_store_is(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(5)])
    opened.collection.delete(["2"])
    opened.collection.snapshot()
    opened.collection.upsert([record(7)])
    opened.collection.delete(["0"])
    opened.open()
    assert opened.index.sequence == opened.store.sequences().last
    assert sorted(opened.hits(SearchQuery(unit(1), 10))) == ["1", "3", "4", "7"]


def test_staged_changes_are_seen_by_nobody_until_they_are_published(opened: Opened) -> None:
    opened.collection.upsert([record(1)])
    staged = opened.index.stage(changes(opened, 1, 2))
    assert (opened.hits(SearchQuery(unit(1), 5)), opened.index.select().count) == (["1"], 1)
    staged.publish(opened.index.sequence + 2)
    assert opened.index.select().count == 3
    assert opened.hits(SearchQuery(unit(2), 1)) == ["staged-2"]


def test_discarded_changes_are_never_seen(opened: Opened) -> None:
    opened.collection.upsert([record(1)])
    before = opened.index.sequence
    opened.index.stage(changes(opened, 1, 2)).discard()
    opened.collection.upsert([record(3)])
    assert sorted(opened.hits(SearchQuery(unit(2), 10))) == ["1", "3"]
    assert opened.index.sequence > before


def test_a_deleted_row_is_in_no_answer(opened: Opened) -> None:
    opened.collection.upsert([record(n, "p", color="red") for n in (1, 1001)])
    opened.collection.upsert([RecordWrite("copy", vector(1), "p", {"color": "red"})])
    opened.collection.delete(["1"])
    index = opened.index
    assert "1" not in opened.hits(SearchQuery(unit(1), 10))
    assert index.select('color = "red"').count == 2
    assert index.select().facet("color").counts == (("red", 2),)
    assert len(index.rows_of_products(["p"])) == 2
    assert list(index.duplicates("", 0.01, RowVerdicts.of())) == []


def test_a_record_that_is_written_again_has_one_row(opened: Opened) -> None:
    opened.collection.upsert([record(1, color="red"), record(2)])
    opened.collection.upsert([RecordWrite("1", vector(9), "", {"color": "blue"})])
    answer = opened.index.search(SearchQuery(unit(9), 5))
    assert [h.record.record_id for g in answer.groups for h in g] == ["1", "2"]
    assert answer.groups[0][0].record.attributes == {"color": "blue"}
    assert opened.index.select('color = "red"').count == 0


@pytest.mark.parametrize("seed", range(3))
def test_hits_come_by_distance_and_equal_ones_by_insertion_on_every_page(opened: Opened, seed: int) -> None:
    chance = np.random.default_rng(seed)
    vectors = chance.standard_normal((12, SPEC.dimension)).astype(np.float32)[chance.integers(0, 12, 60)]
    for start in range(0, 60, 20):
        opened.collection.upsert([RecordWrite(str(n), vectors[n]) for n in range(start, start + 20)])
    query = unit(100 + seed)
    whole = opened.index.search(SearchQuery(query, 60))
    hits = [group[0] for group in whole.groups]
    assert [h.distance for h in hits] == sorted(h.distance for h in hits)
    order = [(h.distance, h.record.sequence) for h in hits]
    assert order == sorted(order)
    rows = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    expected = 1 - rows[[int(h.record.record_id) for h in hits]] @ query
    np.testing.assert_allclose([h.distance for h in hits], expected, atol=2e-3)
    paged = [opened.hits(SearchQuery(query, 7, offset)) for offset in range(0, 60, 7)]
    assert [i for page in paged for i in page] == [h.record.record_id for h in hits]
    limit = hits[25].distance
    near = opened.hits(SearchQuery(query, 60, max_distance=limit))
    assert near == [h.record.record_id for h in hits if h.distance <= limit]


@pytest.mark.parametrize("seed", range(4))
def test_a_filter_selects_what_it_says(opened: Opened, seed: int) -> None:
    chance = random.Random(seed)
    held = {str(n): (f"p{n % 60}" if n % 3 else "", random_attributes(chance)) for n in range(80)}
    opened.collection.upsert([RecordWrite(i, vector(int(i)), p, a) for i, (p, a) in held.items()])
    rows = {r.record_id: r for r in opened.store.page(0, 100, vectors=False).records}
    for _ in range(12):
        text, matches = random_filter(chance)
        wanted = {rows[i].row_id: rows[i].sequence for i, (p, a) in held.items() if matches(p, a)}
        selected = opened.index.select(text)
        assert (selected.count, dict(selected.versions())) == (len(wanted), wanted), text
        assert selected.row_ids(0, 5) == sorted(wanted)[:5]
        answer = opened.index.search(SearchQuery(unit(1), 100, filter=text))
        assert answer.allowed == len(wanted)
        assert {g[0].record.row_id for g in answer.groups} == wanted.keys()


def test_a_filter_that_does_not_parse_says_where(opened: Opened) -> None:
    opened.collection.upsert([record(1)])
    for call in (opened.index.select, lambda text: opened.index.search(SearchQuery(unit(1), 1, filter=text))):
        with pytest.raises(FilterSyntaxError, match="column"):
            call("color = ")
    with pytest.raises(InvalidInput, match="record_id"):
        opened.index.select('record_id = "1"')


def test_a_facet_counts_each_value_once_a_record(opened: Opened) -> None:
    opened.collection.upsert([record(1, tags=("a", "b"), sale=True), record(2, tags=("a",), sale=False, price=3.0)])
    selected = opened.index.select("")
    assert selected.facet("tags").counts == (("a", 2), ("b", 1))
    assert selected.facet("sale").counts == ((False, 1), (True, 1))
    assert selected.facet("price").counts == ()


@pytest.mark.parametrize("count", [1, 40])
def test_an_excluded_row_is_in_no_answer_and_counts_as_allowed(opened: Opened, count: int) -> None:
    opened.collection.upsert([record(n) for n in range(50)])
    excluded = opened.store.row_ids([str(n) for n in range(count)])
    answer = opened.index.search(SearchQuery(unit(0), 50), excluded)
    assert {g[0].record.row_id for g in answer.groups} == set(opened.index.select().row_ids(0, 99)) - excluded
    assert answer.allowed == 50


def test_only_the_rows_that_are_named_are_searched(opened: Opened) -> None:
    opened.collection.upsert([record(n, f"p{n % 5}", color=("red", "blue")[n % 2]) for n in range(60)])
    only = opened.store.row_ids([str(n) for n in range(0, 40, 3)] + ["none"])
    excluded = opened.store.row_ids(["3", "6", "50"])
    query = SearchQuery(unit(0), 50, filter='color = "red"', facets=("color",))
    answer = opened.index.search(query, excluded, only)
    wanted = {str(n) for n in range(0, 40, 3) if n % 2 == 0}
    whole = opened.hits(query)
    assert [g[0].record.record_id for g in answer.groups] == [i for i in whole if i in wanted - {"6"}]
    assert answer.allowed == len(wanted)
    assert answer.facets[0].counts == (("red", len(wanted)),)
    groups = opened.index.search(query._replace(group_by_product=True, group_size=9), excluded, only).groups
    assert {h.record.record_id for g in groups for h in g} == wanted - {"6"}
    nothing = opened.index.search(query, frozenset(), frozenset())
    assert (nothing.groups, nothing.allowed) == ((), 0)
    assert opened.collection.search(query._replace(only_record_ids=frozenset({"none"}))).groups == ()


def test_row_ids_are_found_by_their_position(opened: Opened) -> None:
    opened.collection.upsert([record(n, color=("red", "blue")[n % 2]) for n in range(20)])
    opened.collection.upsert([record(2, color="red"), record(3, color="red")])
    selected = opened.index.select('color = "red"')
    order = selected.row_ids(0, 99)
    assert selected.row_ids_at([5, 0, 10, 5]) == [order[5], order[0], order[10], order[5]]
    assert selected.row_ids_at([]) == []


def test_vectors_come_with_hits_where_they_are_asked_for(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(3)])
    shown = opened.index.search(SearchQuery(unit(1), 1, include_vectors=True)).groups[0][0].record.vector
    assert shown is not None
    np.testing.assert_allclose(shown, unit(1), atol=1e-3)
    assert opened.index.search(SearchQuery(unit(1), 1)).groups[0][0].record.vector is None
    through = opened.collection.search(SearchQuery(unit(1), 1, include_vectors=True)).groups[0][0].record.vector
    assert through is not None
    assert np.array_equal(through, opened.store.records(["1"], vectors=True)["1"].vector)  # type: ignore[arg-type]


def test_an_answer_beyond_the_limit_is_refused(opened: Opened) -> None:
    opened.collection.upsert([record(n, text="x" * 1000) for n in range(10)])
    assert len(opened.hits(SearchQuery(unit(1), 10, max_bytes=100_000))) == 10
    with pytest.raises(AnswerTooLarge):
        opened.index.search(SearchQuery(unit(1), 10, max_bytes=5000))


def test_groups_come_by_their_best_member(opened: Opened) -> None:
    opened.collection.upsert([record(n, f"p{n % 4}" if n < 12 else "") for n in range(14)])
    query = SearchQuery(unit(5), 10, group_by_product=True, group_size=2)
    groups = opened.index.search(query).groups
    assert [len(g) for g in groups] == [2 if g[0].record.product_id else 1 for g in groups]
    assert len(groups) == 6
    assert [g[0].distance for g in groups] == sorted(g[0].distance for g in groups)
    assert all(a.distance <= b.distance for g in groups for a, b in pairwise(g))
    assert opened.index.search(query._replace(k=2, offset=2)).groups == groups[2:4]


def test_duplicates_cover_every_pair_within_the_distance(opened: Opened) -> None:
    near = np.stack([vector(n // 3) + 0.05 * vector(100 + n) for n in range(18)])
    opened.collection.upsert([RecordWrite(str(n), row) for n, row in enumerate(near)])
    rows = near / np.linalg.norm(near, axis=1)[:, None]
    records = opened.store.records([str(n) for n in range(18)], vectors=False)
    row_id = [records[str(n)].row_id for n in range(18)]
    pairs = {(row_id[a], row_id[b]) for a in range(18) for b in range(a + 1, 18) if 1 - rows[a] @ rows[b] <= 0.05}
    groups = [g.row_ids for g in opened.index.duplicates("", 0.05, RowVerdicts.of())]
    assert pairs
    assert pairs <= {(min(a, b), max(a, b)) for g in groups for a in g for b in g if a != b}


@pytest.mark.parametrize("seed", range(8))
def test_duplicates_under_verdicts_are_what_follows_from_them_pair_by_pair(opened: Opened, seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = vector(0) + chance.uniform(0.1, 0.8, 50)[:, None] * np.stack([vector(1000 * seed + n) for n in range(50)])
    opened.collection.upsert([RecordWrite(str(n), row.astype(np.float32)) for n, row in enumerate(rows)])
    opened.collection.delete([str(n) for n in range(0, 50, 9)])
    records = opened.store.page(0, 99, vectors=True).records
    vectors = {r.row_id: v for r in records if (v := r.vector) is not None}
    limit = gap_near(vectors, 0.1)
    for verdicts in (RowVerdicts.of(), *(random_verdicts(chance, vectors, limit) for _ in range(6))):
        assert list(unlike(opened.index.duplicates("", limit, verdicts), vectors, limit, verdicts)) == []


def test_what_was_saved_needs_only_later_changes(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(6)])
    opened.collection.delete(["1"])
    assert opened.index.save() == opened.store.sequences().last
    opened.store.forget_tombstones(opened.index.needs_changes_after)
    opened.collection.delete(["2"])
    opened.open()
    assert sorted(opened.hits(SearchQuery(unit(1), 10))) == ["0", "3", "4", "5"]


def test_erasing_holds_for_the_last_write(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(3)])
    opened.collection.delete(["1"])
    assert opened.index.erase() == opened.index.sequence == opened.store.sequences().last
    assert list(opened.index.file_problems()) == []


def test_upkeep_changes_no_answer(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(50)])
    opened.collection.delete([str(n) for n in range(20)])
    before = opened.hits(SearchQuery(unit(30), 50))
    opened.index.compact()
    opened.index.maintain()
    opened.index.set_learning(False)
    assert opened.hits(SearchQuery(unit(30), 50)) == before
    stats = opened.index.stats()
    assert (stats.records, stats.sequence, stats.created_ms) == (30, opened.index.sequence, 0)


def test_a_difference_to_the_store_is_found(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(4)])
    with opened.store.scan() as records:
        held = list(records)
    assert list(opened.index.differences(held)) == []
    assert len(list(opened.index.differences([held[0]._replace(product_id="other"), *held[1:]]))) == 1
    assert list(opened.index.differences(held[:-1])) != []


def test_searches_beside_writes_see_whole_commits_only(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(10)])
    done, wrong = threading.Event(), []

    def search() -> None:
        last = 0
        while not done.is_set():
            answer = opened.index.search(SearchQuery(unit(1), 100))
            if len(answer.groups) % 10 or answer.sequence < last or answer.allowed != len(answer.groups):
                wrong.append(answer)
            last = answer.sequence

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for batch in range(1, 6):
        opened.collection.upsert([record(batch * 10 + n) for n in range(10)])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_an_index_cannot_do_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    class Modest(NumpyIndex):
        capabilities = Capabilities(exact=False, emphasis=False, grouping=False)

    class Modests(NumpyIndexes):
        def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> NumpyIndex:
            return Modest(store)

    opened = Opened(tmp_path, Modests(), Faults())
    opened.collection.upsert([record(1)])
    query = SearchQuery(unit(1), 1)
    assert len(opened.collection.search(query).groups) == 1
    for refused in (query._replace(exact=True), query._replace(composed=True), query._replace(group_by_product=True)):
        with pytest.raises(InvalidInput):
            opened.collection.search(refused)
    opened.tenant.close()


def test_a_search_that_times_out_is_tried_again(remote: Opened) -> None:
    remote.collection.upsert([record(1)])
    remote.faults.plan("search", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        remote.collection.search(SearchQuery(vector(1), 1))
    assert len(remote.collection.search(SearchQuery(vector(1), 1)).groups) == 1


def test_what_an_index_could_not_take_in_is_not_stored(remote: Opened) -> None:
    remote.collection.upsert([record(1)])
    remote.faults.plan("stage", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable) as refused:
        remote.collection.upsert([record(2)])
    assert not isinstance(refused.value, OutcomeUnknown)
    assert (remote.collection.get(["2"]), remote.index.sequence) == ({}, remote.store.sequences().last)
    remote.collection.upsert([record(2)])
    assert sorted(remote.hits(SearchQuery(unit(1), 5))) == ["1", "2"]


@pytest.mark.parametrize(("method", "count"), [("publish", 1), ("publish", 200), ("stage", 200)])
@pytest.mark.parametrize("fault", list(Fault))
def test_after_an_unknown_outcome_nothing_is_written_until_the_state_was_read_again(
    remote: Opened, method: str, count: int, fault: Fault
) -> None:
    remote.collection.upsert([record(1)])
    remote.faults.plan(method, fault)
    writes = [record(n) for n in range(10, 10 + count)]
    with pytest.raises(OutcomeUnknown):
        remote.collection.upsert(writes)
    with pytest.raises(StoreUnavailable):
        remote.collection.upsert([record(2)])
    remote.open()
    assert remote.index.sequence == remote.store.sequences().last
    assert remote.index.select().count == remote.store.usage().records
    again = remote.collection.upsert(writes)
    assert {r.error for r in again} == {None}
    assert remote.index.select().count == 1 + count


def test_what_is_remembered_of_a_filter_is_what_would_be_selected(opened: Opened) -> None:
    opened.collection.upsert([record(n, color="red" if n % 2 else "blue") for n in range(8)])
    for text in ("", 'color = "red"'):
        selected, known = opened.index.select(text), opened.index.remembered(text)
        assert known is None or known.row_ids(0, 99) == selected.row_ids(0, 99)
    opened.collection.upsert([record(9, color="red")])
    known = opened.index.remembered('color = "red"')
    assert known is None or known.count == 5


def test_a_search_is_expected_to_take_some_time(opened: Opened) -> None:
    opened.collection.upsert([record(n) for n in range(8)])
    query = SearchQuery(unit(1), 5)
    opened.index.search(query)
    assert opened.index.expected_s(query) > 0


def told(record: StoredRecord) -> bytes:
    return f"{record.record_id} {record.product_id} {dict(record.attributes)} {record.sequence}".encode()


def test_hits_and_records_show_what_is_made_of_them_as_they_are_now(opened: Opened) -> None:
    chosen = random.Random(5)
    for _ in range(12):
        written = [record(n, f"p{n % 3}", price=chosen.randrange(9)) for n in chosen.sample(range(30), 6)]
        opened.collection.upsert(written)
        opened.collection.delete([str(chosen.randrange(30))])
        stored = {r.record_id: told(r) for r in opened.store.page(0, 99, vectors=False).records}
        for _ in range(2):  # made, and then kept
            query = SearchQuery(unit(chosen.randrange(30)), 8)
            plain, shown = opened.index.search(query), opened.index.search(query._replace(show=told))
            assert [(told(h.record), h.distance) for (h,) in plain.groups] == list(shown.shown)
            assert (shown.groups, shown.allowed, shown.path) == ((), plain.allowed, plain.path)
            ids = chosen.sample([*stored, "missing"], 5)
            assert opened.collection.show(ids, told) == {i: stored[i] for i in ids if i in stored}
            known = opened.collection.shown_at_once(ids, told)
            assert known is None or known == [stored[i] for i in ids]
    with pytest.raises(AnswerTooLarge):
        opened.collection.show(list(stored), told, max_bytes=10)
