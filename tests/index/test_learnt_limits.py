"""Limits, groups and the order by distance in a collection that has learnt, against all that it holds."""

import numpy as np
import pytest

from index import Collection, SearchQuery
from index.learning import Frame
from tests.support.collections import ids, loaded, record, vector

ROWS = 1500


@pytest.fixture
def learnt(collection: Collection) -> Collection:
    """Rows whose lengths differ much once they are centred, and queries that are centred otherwise."""
    collection.upsert([record(n, f"p{n % 100}") for n in range(ROWS)])
    chance = np.random.default_rng(2)
    means = 0.2 * chance.standard_normal((2, 16)).astype(np.float32)
    loaded(collection).upkeep.learn(Frame(means[0], means[1]))
    return collection


def test_a_limit_of_distance_leaves_the_learnt_order_and_as_many_hits_as_lie_within_it(learnt: Collection) -> None:
    for n in range(20):
        query = SearchQuery(vector(5000 + n), ROWS)
        everything = [h for g in learnt.search(query).groups for h in g]
        limit = sorted(h.distance for h in everything)[60]
        within = [h.record.record_id for h in everything if h.distance <= limit]
        assert len(within) == 61
        limited = query._replace(max_distance=limit)
        for k, offset in ((7, 0), (7, 5), (30, 30), (100, 0), (10, 60)):
            assert ids(learnt, limited._replace(k=k, offset=offset)) == within[offset : offset + k]
        groups = learnt.search(limited._replace(k=100, group_by_product=True, group_size=20)).groups
        assert sorted(h.record.record_id for g in groups for h in g) == sorted(within)


def test_the_order_by_distance_is_that_of_all_distances(learnt: Collection) -> None:
    for n in range(40):
        query = SearchQuery(vector(6000 + n), ROWS, by_distance=True, composed=True)
        everything = [h for g in learnt.search(query._replace(by_distance=False)).groups for h in g]
        nearest = sorted(h.distance for h in everything)
        found = [h.distance for g in learnt.search(query._replace(k=5)).groups for h in g]
        assert found == pytest.approx(nearest[:5], abs=2e-6)
