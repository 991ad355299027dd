import math
from typing import Any

import numpy as np
import pytest

from index import Collection, SearchQuery
from index.vectors.query.recall import ENOUGH, MAX_EF_FACTOR, RecallCheck
from tests.support.data.collections import loaded, record, vector


@pytest.fixture
def based(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A collection with an ANN index whose searches are all sampled."""
    monkeypatch.setattr("index.vectors.query.plan._GRAPH", 0.01)
    collection.upsert([record(n) for n in range(2000)])
    collection.build_ann_index()
    loaded(collection).index.recall.sample_every(0.0)
    return collection


def searched(collection: Collection, count: int = ENOUGH) -> None:
    parts = loaded(collection)
    for n in range(count):
        collection.search(SearchQuery(vector(70_000 + n), 10))
        parts.index.recall.run(parts.index.view)


def test_real_searches_are_compared_with_exact_ones_and_the_share_is_reported(based: Collection) -> None:
    searched(based)
    stats = based.stats()
    assert stats.recall_sample == ENOUGH
    assert (stats.recall or 0) > 0.97


def test_a_search_for_fewer_than_ten_is_compared_by_as_many(based: Collection) -> None:
    parts = loaded(based)
    for n in range(ENOUGH):
        based.search(SearchQuery(vector(70_000 + n), 3))
        parts.index.recall.run(parts.index.view)
    assert (based.stats().recall or 0) > 0.97
    assert parts.index.recall.ef_factor == 1.0


def test_a_sampled_query_is_compared_as_it_was_whatever_becomes_of_the_memory_it_was_given_in(
    based: Collection,
) -> None:
    parts, query = loaded(based), np.empty_like(vector(0))
    for n in range(ENOUGH):
        query[:] = vector(70_000 + n)
        query /= np.linalg.norm(query)  # of length 1: a search takes it as it is
        based.search(SearchQuery(query, 10))
        query[:] = vector(80_000 + n)
        parts.index.recall.run(parts.index.view)
    assert (based.stats().recall or 0) > 0.97


def test_searches_spend_more_at_once_where_too_little_is_found_and_a_rebuild_is_due_where_that_does_not_help(
    based: Collection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parts = loaded(based)
    ann_index = parts.index.view.ann_index
    assert ann_index is not None
    search = type(ann_index.graph).search

    def half(self: Any, query: Any, k: int, effort: int, allowed: Any = None) -> tuple[Any, Any]:
        scores, rows = search(self, query, 2 * k, max(effort, 2 * k), allowed)
        return scores[::2], rows[::2]

    monkeypatch.setattr(type(ann_index.graph), "search", half)
    before = parts.index.recall.ef_factor
    searched(based)
    assert parts.index.recall.ef_factor > before
    while parts.index.recall.ef_factor < MAX_EF_FACTOR:
        searched(based)
    searched(based)
    assert parts.index.recall.below_floor
    assert parts.index.rebuilding.due() == "rebuild"
    monkeypatch.undo()
    assert based.build_ann_index(anew=True)
    assert not parts.index.recall.below_floor
    assert parts.index.recall.ef_factor == 1.0


def test_samples_are_taken_as_often_as_is_asked_for_and_none_at_all_where_that_is_never() -> None:
    check = RecallCheck()
    assert check.wants_sample
    check.sample_every(math.inf)
    assert not check.wants_sample
    check.sample_every(0.0)
    assert check.wants_sample
