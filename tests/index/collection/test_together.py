"""Plain searches take a shorter way through the graph, alone and together: they find what the long way finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import Boost, Collection, InvalidInput, RecordWrite, SearchAnswer, SearchQuery
from index.types.record import StoredRecord
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.faiss_index import Bits, Graph
from index.vectors.query.execute import Query, run
from index.vectors.query.plan import FREE_RESULTS, Plan
from tests.support.data.collections import DIMENSION, SPEC, directory, loaded

ROWS, DOUBLES = 3000, 40
CHANCE = np.random.default_rng(3)
CENTERS = CHANCE.standard_normal((30, DIMENSION))


def near(seed: int) -> np.ndarray:
    """A vector like the rows."""
    drawn = np.random.default_rng(seed)
    made = CENTERS[drawn.integers(len(CENTERS))] + 0.4 * drawn.standard_normal(DIMENSION)
    return (made / np.linalg.norm(made)).astype(np.float32)


def told(record: StoredRecord) -> bytes:
    return record.record_id.encode()


@pytest.fixture(scope="module", params=["plain", "learnt"])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """ROWS records behind a graph, DOUBLES of them equal, so that many distances are too."""
    tenant = directory(tmp_path_factory.mktemp("together"))
    made = tenant.create(SPEC)
    made.upsert([RecordWrite(str(n), near(0 if n < DOUBLES else n), "", {}) for n in range(ROWS)])
    if request.param == "learnt":
        means = 0.1 * CHANCE.standard_normal((2, DIMENSION)).astype(np.float32)
        loaded(made).index.learn(CenteringTransform(means[0], means[1]))
    loaded(made).index.optimise(anew=True)
    yield made
    tenant.close()


def queries() -> list[SearchQuery]:
    """Like the rows, unlike them, and equal to a row that many are equal to."""
    vectors = [near(10_000 + n) for n in range(60)]
    vectors += [CHANCE.standard_normal(DIMENSION).astype(np.float32) * 9 for _ in range(20)]
    vectors += [near(0), near(0) * 2, near(ROWS - 1)]
    return [SearchQuery(v, (1, 5, 16, 17)[n % 4], show=told) for n, v in enumerate(vectors)]


def untimed(answer: SearchAnswer | None) -> SearchAnswer | None:
    return None if answer is None else answer._replace(filter_s=0.0)


def the_long_way(collection: Collection, query: SearchQuery, monkeypatch: pytest.MonkeyPatch) -> SearchAnswer:
    with monkeypatch.context() as patched:
        patched.setattr("index.vectors.local.local_index.is_plain", lambda query: False)
        return collection.search(query)._replace(filter_s=0.0)


def compare(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many searches the short way answers."""
    loaded(collection).index.recall.sample_every(1e9)
    asked, short = queries(), 0
    for query in asked:
        expected = the_long_way(collection, query, monkeypatch)
        assert untimed(collection.search(query)) == expected
    for k in (1, 5, 16, 17):
        some = [query for query in asked if query.k == k]
        for query, answer in zip(some, collection.search_together(some), strict=True):
            short += answer is not None
            if answer is not None:
                assert untimed(answer) == the_long_way(collection, query, monkeypatch)
    return short


def test_plain_searches_find_the_same_alone_together_and_the_long_way(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare(collection, monkeypatch) > 30


@pytest.mark.parametrize("signed", [False, True])
def test_deleted_rows_and_those_that_the_graph_does_not_know_yet_change_both_ways_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    tenant = directory(tmp_path)
    made = tenant.create(SPEC)
    made.upsert([RecordWrite(str(n), near(n), "", {}) for n in range(1603)])
    loaded(made).index.optimise(anew=True)
    assert compare(made, monkeypatch) > 30
    made.delete([str(n) for n in range(0, 1600, 3)])
    assert compare(made, monkeypatch) > 30
    for block in range(4):
        made.upsert([RecordWrite(f"new {n}", near(10_000 + n), "", {}) for n in range(block * 15, block * 15 + 15)])
        while signed and loaded(made).index.state.rows.sign_newer_rows():
            pass
        assert compare(made, monkeypatch) > 30
        assert made.search(SearchQuery(near(10_000 + block * 15), 1, show=told)).shown[0][0] == b"new %d" % (block * 15)
    tenant.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"filter": "a = 1"}, {"offset": 1}, {"max_distance": 1.0}, {"exclude_record_ids": frozenset({"1"})},
        {"only_record_ids": frozenset({"1"})}, {"exact": True}, {"diversity": 0.5}, {"own_record": True},
        {"boosts": (Boost(0.1, "a = 1"),)}, {"scale": 0.5}, {"composed": True}, {"include_vectors": True},
        {"weights": np.ones(DIMENSION, np.float32), "unweighted": near(1)}, {"show": None}, {"max_bytes": 1},
        {"by_distance": True}, {"group_by_product": True}, {"facets": ("a",)},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_search_that_sets_anything_else_is_left_to_the_long_way(
    collection: Collection, changes: dict[str, object]
) -> None:
    query = SearchQuery(near(5), 5, show=told)
    assert collection.search_together([query]) != [None]
    assert collection.search_together([query._replace(**changes)]) == [None]  # type: ignore[arg-type]


def test_invalid_vectors_are_left_to_the_search_that_raises_their_error(collection: Collection) -> None:
    good, nan = SearchQuery(near(5), 5, show=told), SearchQuery(np.full(DIMENSION, np.nan, np.float32), 5, show=told)
    short = SearchQuery(near(5)[:4], 5, show=told)
    answers = collection.search_together([nan, good, short])
    assert [answer is None for answer in answers] == [True, False, True]
    for query in (nan, short):
        with pytest.raises(InvalidInput):
            collection.search(query)
    assert collection.search_together([nan]) == [None]


def test_a_search_that_one_look_does_not_settle_takes_what_that_look_found_the_long_way(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlike = [SearchQuery(-near(n), 5, show=told) for n in range(4)]
    expected, graph = [the_long_way(collection, query, monkeypatch) for query in unlike], Graph.search_all
    index, looks = loaded(collection).index, list[int]()

    def counted(self: Graph, queries: np.ndarray, k: int, ef_search: int, allowed: Bits | None = None) -> object:
        looks.extend([ef_search] * len(queries))
        return graph(self, queries, k, ef_search, allowed)

    def long(way: Plan, query: Query, count: int) -> object:
        looks.append(way.candidates)
        return run(way, query, count)

    monkeypatch.setattr(Graph, "search_all", counted)
    monkeypatch.setattr("index.vectors.query.search.run", long)
    assert index.view.ann_index is not None
    first = max(FREE_RESULTS, index.view.ann_index.parameters.candidates)
    assert [untimed(collection.search(query)) for query in unlike] == expected
    assert looks.count(first) == 4
    looks.clear()
    asked = list[object]()
    assert [untimed(a) for a in collection.search_together(unlike, before_longer=lambda: asked.append(1))] == expected
    assert (looks.count(first), len(asked)) == (4, 4)


def test_searches_together_are_counted_and_noted_once_each(collection: Collection) -> None:
    before, seen = sum(day.without_hit for day in collection.search_tally().days), loaded(collection).index
    known = seen.answering.queries.count
    some = [SearchQuery(near(20_000 + n), 5, show=told) for n in range(8)]
    answers = collection.search_together([*some, *some], lambda answer: (7, None))
    assert sum(day.without_hit for day in collection.search_tally().days) == before + 16 - answers.count(None)
    assert seen.answering.queries.count == known + 8 - answers[:8].count(None)


def test_a_recall_check_that_waits_for_a_search_gets_one(collection: Collection) -> None:
    check = loaded(collection).index.recall
    check.sample_every(0.0)
    collection.search(SearchQuery(near(5), 5, show=told))
    assert not check.wants_sample
    check.run(loaded(collection).index.view)
    assert check.comparisons == 1
