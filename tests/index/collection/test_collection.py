import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from index import (
    Collection,
    CollectionNotFound,
    DigestMoved,
    InvalidInput,
    Outcome,
    RecordExists,
    RecordNotFound,
    RecordPatch,
    RecordWrite,
    Region,
    ScanStrategy,
    SearchQuery,
)
from index.vectors.ann.centering import CenteringTransform
from index.vectors.local import rebuilding
from index.vectors.segment.rows import compacted
from tests.support.data.collections import DIMENSION, SPEC, directory, ids, loaded, record, vector


def test_a_record_is_found_by_its_own_vector_at_distance_zero(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(50)])
    hit = collection.search(SearchQuery(vector(7), k=1)).groups[0][0]
    assert (hit.record.record_id, round(hit.distance, 3)) == ("7", 0.0)


def test_hits_are_ordered_as_an_exact_computation_orders_them(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(300)])
    vectors = np.stack([vector(n) for n in range(300)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vector(1000) / np.linalg.norm(vector(1000))
    expected = np.argsort(-(vectors.astype(np.float16).astype(np.float32) @ query))[:20]
    assert ids(collection, SearchQuery(vector(1000), k=20)) == [str(n) for n in expected]


def test_rows_written_in_many_batches_answer_as_one(collection: Collection) -> None:
    for start in range(0, 1000, 50):
        collection.upsert([record(n, odd=bool(n % 2)) for n in range(start, start + 50)])
    assert all(ids(collection, SearchQuery(vector(n), k=1)) == [str(n)] for n in range(0, 1000, 37))
    odd = ids(collection, SearchQuery(vector(8), k=1000, filter="odd = true"))
    assert len(odd) == 500
    assert all(int(i) % 2 for i in odd)


def test_records_written_together_are_all_stored_or_none_and_so_is_what_goes_with_them(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(4)])
    rows = {i: (r.row_id, r.sequence) for i, r in collection.get(["0", "1", "2"]).items()}
    collection.upsert([record(2, color="red")])
    before = ids(collection, SearchQuery(vector(1), k=9))
    writes = [record(7), record(3, color="blue")]
    for bad, options in (
        ([*writes, record(8)], {"insert_only": True}), ([*writes, RecordWrite("9", vector(9)[:3])], {}),
        ([*writes, replace(record(8), vector=None, digest=b"unknown")], {}),
    ):  # fmt: skip
        with pytest.raises((RecordExists, InvalidInput, DigestMoved)):
            collection.upsert_together(bad, delete=list(rows.values()), **options)
        assert ids(collection, SearchQuery(vector(1), k=9)) == before
        assert collection.count('color = "blue"') == 0
    results = collection.upsert_together(writes, delete=list(rows.values()))
    assert [r.outcome for r in results] == [Outcome.CREATED, Outcome.UPDATED]
    # 2 was written since its row was read
    assert set(ids(collection, SearchQuery(vector(1), k=9))) == {"2", "3", "7"}


def test_an_upsert_replaces_the_record_and_its_old_vector_is_gone(collection: Collection) -> None:
    collection.upsert([record(1, color="red")])
    result = collection.upsert([RecordWrite("1", vector(2), attributes={"color": "blue"})])[0]
    assert result.outcome is Outcome.UPDATED
    assert collection.search(SearchQuery(vector(1), k=5)).groups[0][0].distance > 0.1
    assert collection.count('color = "red"') == 0
    assert collection.stats().records == 1


def test_the_same_record_again_is_unchanged_and_not_written(collection: Collection) -> None:
    collection.upsert([record(1, price=5)])
    before = collection.stats().sequence
    assert collection.upsert([record(1, price=5.0)])[0].outcome is Outcome.UNCHANGED
    assert collection.stats().sequence == before


def test_an_equal_digest_keeps_the_vector_without_encoding(collection: Collection) -> None:
    digest = collection.content_digest(b"picture", None)
    collection.upsert([RecordWrite("1", vector(1), digest=digest)])
    assert collection.digests(["1", "2"]) == {"1": digest}
    again = RecordWrite("1", None, attributes={"price": 3.0}, digest=digest)
    assert collection.upsert([again])[0].outcome is Outcome.UPDATED
    assert ids(collection, SearchQuery(vector(1), k=1, filter="price = 3")) == ["1"]


@pytest.mark.parametrize("gone", [True, False])
def test_a_vector_to_keep_that_is_not_there_any_more_is_reported(collection: Collection, gone: bool) -> None:
    old = collection.content_digest(b"old", None)
    if not gone:
        collection.upsert([RecordWrite("1", vector(1), digest=collection.content_digest(b"new", None))])
    result = collection.upsert([RecordWrite("1", None, digest=old)])[0]
    assert isinstance(result.error, DigestMoved)


def test_the_digest_depends_on_picture_region_and_tenant(
    collection: Collection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = directory(tmp_path_factory.mktemp("other"), bytes(32)).create(collection.spec)
    region = Region(0, 0, 0.5, 1)
    digests = {
        collection.content_digest(b"a", None), collection.content_digest(b"b", None),
        collection.content_digest(b"a", region), other.content_digest(b"a", None),
    }  # fmt: skip
    assert len(digests) == 4


def test_insert_only_refuses_an_id_that_exists_and_takes_the_others(collection: Collection) -> None:
    collection.upsert([record(1)])
    first, second = collection.upsert([record(1, color="x"), record(2)], insert_only=True)
    assert isinstance(first.error, RecordExists)
    assert second.outcome is Outcome.CREATED
    assert collection.get(["1"])["1"].attributes == {}


def test_a_bad_record_fails_alone(collection: Collection) -> None:
    bad = [
        RecordWrite("", vector(0)),
        RecordWrite("a\nb", vector(0)),
        RecordWrite("x" * 257, vector(0)),
        RecordWrite("n", np.full(DIMENSION, np.nan, np.float32)),
        RecordWrite("z", np.zeros(DIMENSION, np.float32)),
        RecordWrite("d", np.ones(DIMENSION + 1, np.float32)),
        RecordWrite("r", vector(0), region=Region(0.5, 0, 0.5, 1)),
        RecordWrite("o", vector(0), region=Region(0, 0, 1.5, 1)),
        RecordWrite("a", vector(0), attributes={"Bad Name": 1.0}),
        RecordWrite("i", vector(0), attributes={"price": float("inf")}),
        RecordWrite("t", vector(0), attributes={"text": "x" * 1025}),
        RecordWrite("m", vector(0), attributes={f"a{n}": 1.0 for n in range(65)}),
        RecordWrite("p", vector(0), attributes={"product_id": "x"}),
    ]
    results = collection.upsert([*bad, record(5)])
    assert all(isinstance(r.error, InvalidInput) for r in results[:-1])
    assert results[-1].outcome is Outcome.CREATED
    assert collection.stats().records == 1


def test_a_patch_sets_and_removes_attributes_and_leaves_the_vector(collection: Collection) -> None:
    collection.upsert([record(1, color="red", price=5, tags=("a", "b"))])
    patch = RecordPatch("1", "p9", {"price": 7.0}, frozenset({"color"}))
    assert collection.patch([patch])[0].outcome is Outcome.UPDATED
    stored = collection.get(["1"], vectors=True)["1"]
    assert stored.attributes == {"price": 7.0, "tags": ("a", "b")}
    assert stored.product_id == "p9"
    assert ids(collection, SearchQuery(vector(1), k=1, filter='price = 7 AND tags:"b"')) == ["1"]
    assert collection.patch([patch])[0].outcome is Outcome.UNCHANGED
    assert isinstance(collection.patch([RecordPatch("2")])[0].error, RecordNotFound)


def test_a_deleted_record_is_found_no_more(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(10)])
    assert collection.delete(["3", "4", "nine"]) == 2
    assert "3" not in ids(collection, SearchQuery(vector(3), k=10))
    assert collection.get(["3", "5"]).keys() == {"5"}
    assert collection.upsert([record(3)])[0].outcome is Outcome.CREATED


def test_deletion_by_filter_takes_exactly_what_matches(collection: Collection) -> None:
    collection.upsert([record(n, price=n) for n in range(20)])
    assert collection.delete_matching("price < 5") == 5
    assert sorted(int(r.record_id) for r in collection.list(0, 100)) == list(range(5, 20))


def test_groups_are_the_nearest_products_with_their_nearest_members(collection: Collection) -> None:
    collection.upsert([record(n, product_id=f"p{n // 4}") for n in range(200)] + [record(200)])
    everything = ids(collection, SearchQuery(vector(999), k=201))
    found = collection.search(SearchQuery(vector(999), k=12, group_by_product=True, group_size=3))
    expected: dict[str, list[str]] = {}
    for record_id in everything:
        group = f"p{int(record_id) // 4}" if record_id != "200" else "alone"
        expected.setdefault(group, []).append(record_id)
    wanted = [members[:3] for members in list(expected.values())[:12]]
    assert [[h.record.record_id for h in g] for g in found.groups] == wanted


def test_pages_of_one_query_fit_together_even_where_distances_are_equal(collection: Collection) -> None:
    same = vector(1)
    collection.upsert([RecordWrite(f"{n:03d}", same) for n in range(90)])
    paged = [i for offset in range(0, 90, 7) for i in ids(collection, SearchQuery(same, k=7, offset=offset))]
    assert paged == [f"{n:03d}" for n in range(90)]


def test_max_distance_leaves_out_what_is_farther(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(100)])
    near = collection.search(SearchQuery(vector(5), k=100, max_distance=0.8)).groups
    assert 0 < len(near) < 100
    assert all(h.distance <= 0.8 for g in near for h in g)


def test_excluded_records_are_not_among_the_hits_and_the_others_move_up(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(30)])
    first, second, *_ = ids(collection, SearchQuery(vector(5), k=3))
    assert ids(collection, SearchQuery(vector(5), k=1, exclude_record_ids=frozenset({first}))) == [second]


def test_excluded_records_near_or_far_leave_as_many_hits_as_were_asked_for_and_pages_that_fit_together(
    collection: Collection,
) -> None:
    collection.upsert([record(n, f"p{n // 4}") for n in range(200)])
    everything = ids(collection, SearchQuery(vector(5), k=200))
    for excluded, k in itertools.product((1, 5, 16, 17, 40), (1, 3, 16, 20)):
        query = SearchQuery(vector(5), k=k, exclude_record_ids=frozenset(everything[-excluded:]))
        assert ids(collection, query) == everything[:k]
        paged = [i for offset in range(0, 3 * k, k) for i in ids(collection, query._replace(offset=offset))]
        assert paged == everything[: 3 * k]
        near = query._replace(exclude_record_ids=frozenset(everything[:excluded]))
        assert ids(collection, near) == everything[excluded : excluded + k]
        groups = collection.search(query._replace(group_by_product=True, group_size=2)).groups
        assert len(groups) == k
        assert all(len(g) <= 2 for g in groups)


@pytest.mark.parametrize("excluded", [1, 20])
def test_excluded_records_are_counted_among_those_that_the_filter_allows_and_change_no_path(
    collection: Collection, excluded: int
) -> None:
    collection.upsert([record(n, color="red" if n % 2 else "blue") for n in range(60)])
    far = frozenset(str(n) for n in range(1, 2 * excluded, 2))
    query = SearchQuery(vector(0), 3, exclude_record_ids=far, facets=("color",))
    for filter_text, count, path in (("", 60, ScanStrategy.EXACT), ('color = "red"', 30, ScanStrategy.EXACT_FILTERED)):
        for exact in (False, True):
            answer = collection.search(query._replace(filter=filter_text, exact=exact))
            assert (answer.allowed, answer.path) == (count, path)
            assert dict(answer.facets[0].counts)["red"] == 30
    assert collection.search(query._replace(filter="color = none", exact=True)).path is ScanStrategy.EMPTY
    of_all = frozenset(str(n) for n in range(60))
    nothing = collection.search(query._replace(exclude_record_ids=of_all))
    assert (nothing.groups, nothing.allowed, nothing.path) == ((), 60, ScanStrategy.EXACT)


def test_equal_vectors_come_in_the_order_in_which_they_were_last_written(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(50)])
    collection.upsert([RecordWrite(f"same-{n}", vector(7)) for n in range(60)])
    collection.upsert([RecordWrite("same-3", vector(7), attributes={"new": True})])
    order = ["7", *(f"same-{n}" for n in range(60) if n != 3), "same-3"]
    assert ids(collection, SearchQuery(vector(7), 61)) == order
    assert [ids(collection, SearchQuery(vector(7), 1, offset=n))[0] for n in (0, 1, 4, 30, 60)] == [
        order[n] for n in (0, 1, 4, 30, 60)
    ]


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_distances_that_are_reported_as_equal_come_in_the_order_of_writing_though_the_scores_differ(
    collection: Collection, beside: bool, grouped: bool
) -> None:
    if beside:  # scores so near to 0 that 1 minus them is the same
        query, row, places = 0.01 * np.eye(DIMENSION)[0] + np.eye(DIMENSION)[1], np.zeros(DIMENSION), np.eye(DIMENSION)
    else:  # scores beyond 1: half precision makes these numbers larger
        query = row = np.repeat([0, 15**-0.5], [1, 15])
        places = np.zeros((DIMENSION, DIMENSION))
    for n in range(12):
        nudged = -(2**-10) - 2**-20 * (n % 2 == 0) if beside else 0
        made = row + nudged * np.eye(DIMENSION)[0] + places[n + 2]
        if not beside:
            made[1] += 2**-12 * (n % 2)
        collection.upsert([RecordWrite(str(n), made.astype(np.float32), f"p{n}")])
    for k in (3, 12):
        asked = SearchQuery(query.astype(np.float32), k=k, group_by_product=grouped)
        found = [(hit.distance, int(hit.record.record_id)) for g in collection.search(asked).groups for hit in g]
        assert found == sorted(found)
        assert len({distance for distance, _ in found}) == 1


@pytest.mark.parametrize("learnt", [False, True])
def test_a_distance_is_between_0_and_2_though_half_precision_makes_vectors_longer(
    collection: Collection, learnt: bool
) -> None:
    long = np.repeat([0, 15**-0.5], [1, 15]).astype(np.float32)  # 1.0004 in half precision
    collection.upsert([RecordWrite("same", long), RecordWrite("other", vector(1))])
    if learnt:
        transform = CenteringTransform(np.zeros(DIMENSION, np.float32), np.zeros(DIMENSION, np.float32))
        loaded(collection).index.learn(transform)
    for query, distance in ((long, 0.0), (-long, 2.0)):
        hits = [hit for group in collection.search(SearchQuery(query, k=2)).groups for hit in group]
        assert [h.distance for h in hits if h.record.record_id == "same"] == [distance]


def test_a_limit_of_distance_keeps_what_lies_exactly_at_it_alone_and_in_groups(collection: Collection) -> None:
    collection.upsert([record(n, f"p{n % 5}") for n in range(60)])
    distances = [h.distance for g in collection.search(SearchQuery(vector(70), 60)).groups for h in g]
    for place in (0, 7, 30):
        query = SearchQuery(vector(70), 60, max_distance=distances[place])
        assert len(ids(collection, query)) == place + 1
        grouped = collection.search(query._replace(k=10, group_by_product=True, group_size=60)).groups
        assert sum(len(g) for g in grouped) == place + 1
        assert all(h.distance <= distances[place] for g in grouped for h in g)


def test_an_answer_says_which_path_it_took(collection: Collection) -> None:
    collection.upsert([record(n, price=n) for n in range(5)])
    answers = [collection.search(SearchQuery(vector(0), k=1, filter=f)) for f in ("", "price < 2", "price > 9")]
    assert [(a.path, a.allowed) for a in answers] == [
        (ScanStrategy.EXACT, 5),
        (ScanStrategy.EXACT_FILTERED, 2),
        (ScanStrategy.EMPTY, 0),
    ]


def test_facets_count_the_values_of_all_allowed_records(collection: Collection) -> None:
    collection.upsert(
        [record(n, color="red" if n % 3 else "blue", tags=("a", f"t{n % 2}"), sale=n < 5) for n in range(30)]
    )
    collection.upsert([record(30)])
    answer = collection.search(
        SearchQuery(vector(1), 1, filter='color = "red"', facets=("color", "tags", "sale", "no"))
    )
    counts = {f.attribute: (f.counts, f.values) for f in answer.facets}
    assert counts["color"] == ((("red", 20),), 1)
    assert counts["tags"] == ((("a", 20), ("t0", 10), ("t1", 10)), 3)
    assert counts["sale"] == (((False, 17), (True, 3)), 2)
    assert counts["no"] == ((), 0)
    assert collection.facets(["color"])[0].counts == (("red", 20), ("blue", 10))


def test_a_filter_that_is_asked_again_is_not_worked_out_again_until_something_is_written(
    collection: Collection,
) -> None:
    collection.upsert([record(n, price=n) for n in range(100)])
    query = SearchQuery(vector(5), 3, filter="price < 50")
    before = [ids(collection, query) for _ in range(3)]
    assert before[0] == before[1] == before[2]
    parts = loaded(collection)
    assert parts.index.select(query.filter).asked == 4
    collection.upsert([RecordWrite("near", vector(5), attributes={"price": 1.0})])
    assert "near" in ids(collection, query)[:2]
    collection.delete(["5"])
    assert "5" not in ids(collection, query)


def test_what_hits_showed_is_shown_again_as_it_was_until_a_record_changes(collection: Collection) -> None:
    collection.upsert([record(n, price=n, tags=("a", "[b]")) for n in range(100)])
    query = SearchQuery(vector(5), 4, filter="price < 50")
    fresh = collection.search(query)
    answers = [collection.search(query) for _ in range(4)]
    assert all(answer.groups == fresh.groups for answer in answers)
    parts = loaded(collection)
    shown = parts.index.select(query.filter).shown
    assert shown is not None
    assert {r.record_id for r in shown.values()} == {h.record.record_id for g in fresh.groups for h in g}
    assert collection.search(query._replace(include_vectors=True)).groups[0][0].record.vector is not None
    assert collection.search(query).groups == fresh.groups  # without vectors, as before
    further = collection.search(query._replace(k=12))
    assert len(shown) == 12
    assert further.groups[:4] == fresh.groups
    collection.patch([RecordPatch("5", set_attributes={"tags": ("new",)})])
    assert collection.search(query).groups[0][0].record.attributes["tags"] == ("new",)


def test_an_erasure_leaves_no_copies_for_filters_behind(collection: Collection) -> None:
    collection.upsert([record(n, price=n) for n in range(100)])
    for _ in range(3):
        ids(collection, SearchQuery(vector(5), 3, filter="price < 50"))
    assert loaded(collection).index.answering.copied_bytes > 0
    collection.erase(["5"])
    assert loaded(collection).index.answering.copied_bytes == 0


def test_copies_for_a_filter_do_not_outlive_what_was_deleted(collection: Collection) -> None:
    collection.upsert([record(n, price=n) for n in range(100)])
    for _ in range(3):
        ids(collection, SearchQuery(vector(5), 3, filter="price < 50"))
    reading = loaded(collection).index.answering
    collection.maintain()
    assert reading.copied_bytes > 0
    collection.delete(["5"])
    collection.maintain()
    assert reading.copied_bytes == 0


def test_a_list_goes_through_all_records_once_in_order(collection: Collection) -> None:
    collection.upsert([record(n, even=n % 2 == 0) for n in range(25)])
    for filter_text, wanted in (("", range(25)), ("even = true", range(0, 25, 2))):
        seen, after = [], 0
        while page := collection.list(after, 4, filter_text):
            seen += [int(r.record_id) for r in page]
            after = page[-1].row_id
        assert seen == list(wanted)


def test_compaction_frees_dead_rows_and_changes_no_answer(collection: Collection) -> None:
    collection.upsert([record(n, product_id=f"p{n % 9}", price=n) for n in range(400)])
    collection.delete([str(n) for n in range(0, 400, 3)])
    queries = [
        SearchQuery(vector(n), k=25, filter=f) for n in range(5) for f in ("", "price < 100", 'product_id = "p4"')
    ]
    before = [ids(collection, q) for q in queries]
    collection.compact()
    assert collection.stats().tombstones == 0
    assert [ids(collection, q) for q in queries] == before


def test_what_is_written_while_rows_are_compacted_is_no_part_of_the_copy_and_is_not_lost(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record(n, price=n, color="red", tags=("a",), new=False) for n in range(200)])
    collection.delete([str(n) for n in range(0, 200, 2)])
    plain = compacted

    def meanwhile(view: Any) -> Any:
        collection.upsert([record(1000 + n, price=n, color=f"c{n}", tags=("a", "b"), new=True) for n in range(50)])
        return plain(view)

    monkeypatch.setattr(rebuilding, "compacted", meanwhile)
    collection.compact()
    assert collection.count('tags:"a"') == 150
    assert collection.count("new = true AND price < 10") == 10
    assert ids(collection, SearchQuery(vector(1003), 1, filter='color = "c3"')) == ["1003"]
    assert list(collection.problems()) == []


def test_upkeep_snapshots_after_many_writes_and_compacts_where_many_rows_are_dead(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(1500)])
    assert collection.maintain() == "snapshot"
    collection.delete(["1"])
    assert collection.maintain() is None
    collection.delete([str(n) for n in range(2, 1100)])
    assert collection.maintain() == "compact"
    assert (collection.stats().records, collection.stats().tombstones, collection.maintain()) == (401, 0, None)


def test_upkeep_erases_a_dead_row_at_the_second_turn_and_snapshots_without_it(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record(n) for n in range(20)])
    collection.delete(["7"])
    monkeypatch.setattr("index.vectors.local.rebuilding.ERASE_TURN_S", 0.0)
    assert [collection.maintain() for _ in range(3)] == [None, "erase", None]
    assert not loaded(collection).index.view.float16[7].any()
    assert set(loaded(collection).index.view.payloads.record(7)) == {0}
    assert collection.stats().snapshot_sequence == 21
    assert "7" not in ids(collection, SearchQuery(vector(7), k=20))


def test_duplicates_are_grouped_around_the_first_and_distinguished(collection: Collection) -> None:
    close = vector(1) + 0.01 * vector(2)
    digest = collection.content_digest(b"same", None)
    collection.upsert([RecordWrite("a", vector(1)), record(50), RecordWrite("b", close)])
    collection.upsert([RecordWrite("c", vector(9), digest=digest), RecordWrite("d", vector(9), digest=digest)])
    groups = {g.record_ids: g.identical for g in collection.duplicates("", 0.01)}
    assert groups == {("a", "b"): False, ("c", "d"): True}


def test_two_collections_exchange_their_names_for_good(tmp_path: object) -> None:
    tenant = directory(tmp_path)
    one, two = tenant.create(SPEC), tenant.create(replace(SPEC, name="others", description="second"))
    one.upsert([record(1)])
    two.upsert([record(2), record(3)])
    tenant.exchange("things", "others")
    assert tenant.collection("things") is two
    assert (two.spec.name, one.spec.name, two.spec.description) == ("things", "others", "second")
    with pytest.raises(InvalidInput):
        tenant.exchange("things", "things")
    with pytest.raises(CollectionNotFound):
        tenant.exchange("things", "missing")
    tenant.close()
    again = directory(tmp_path)
    assert again.collection("things").get(["2", "3"]).keys() == {"2", "3"}
    assert again.collection("others").get(["1"]).keys() == {"1"}
    again.close()
