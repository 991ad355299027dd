"""Limits, groups and order by distance in a centred collection, against all its vectors."""

import numpy as np
import pytest

from index import Collection, RecordWrite, SearchQuery, Vector
from index.vectors.ann.centering import CenteringTransform
from tests.support.data.collections import ids, loaded, record, vector

ROWS = 1500


@pytest.fixture
def learnt(collection: Collection) -> Collection:
    """Rows whose lengths differ much after centring, and queries with another centre."""
    collection.upsert([record(n, f"p{n % 100}") for n in range(ROWS)])
    chance = np.random.default_rng(2)
    means = 0.2 * chance.standard_normal((2, 16)).astype(np.float32)
    loaded(collection).index.learn(CenteringTransform(means[0], means[1]))
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


def test_rows_far_from_the_mean_are_found_by_distance_although_hundreds_are_likelier_once_centred(
    collection: Collection,
) -> None:
    """After centring, rows near the mean point along the query, and yet are farther than others."""
    chance = np.random.default_rng(4)
    mean, query = 0.95 * axis(0), axis(1)
    near_mean = [axis(0) + 0.1 * axis(1) + 0.001 * chance.standard_normal(16) for _ in range(600)]
    far = [axis(2) + (0.2 + 0.001 * n) * axis(1) for n in range(20)]
    rows = [RecordWrite(f"{n}", v.astype(np.float32)) for n, v in enumerate(near_mean)]
    collection.upsert(rows + [RecordWrite(f"far {n}", v.astype(np.float32)) for n, v in enumerate(far)])
    loaded(collection).index.learn(CenteringTransform(mean, np.zeros(16, np.float32)))
    assert "far" not in ids(collection, SearchQuery(query, 1))[0]
    nearest = [f"far {n}" for n in reversed(range(20))]
    for scale in (1.0, 1.3):
        asked = SearchQuery(query, 20, by_distance=True, composed=True, scale=scale)
        assert ids(collection, asked) == nearest
        assert ids(collection, asked._replace(k=3, offset=4)) == nearest[4:7]
        assert ids(collection, asked._replace(k=1)) == nearest[:1]


def test_records_at_the_same_reported_distance_are_in_the_order_of_their_last_write_on_every_page(
    collection: Collection,
) -> None:
    """Numbers that the query leaves out differ; what the others give differs in the last bits alone."""
    chance = np.random.default_rng(5)
    colour = chance.standard_normal(8)
    colour *= 0.5 / np.linalg.norm(colour)
    rows = []
    for n in range(700):
        shape = chance.standard_normal(8)
        shape *= 0.75**0.5 / np.linalg.norm(shape)
        rows.append(RecordWrite(f"{n}", np.concatenate([colour, shape]).astype(np.float32)))
    collection.upsert(rows)
    query = SearchQuery(
        np.concatenate([colour, np.zeros(8)]).astype(np.float32), 30, by_distance=True, composed=True, scale=2.0
    )
    for mean in (None, np.full(16, 0.1, np.float32)):
        if mean is not None:
            loaded(collection).index.learn(CenteringTransform(mean, mean))
        told: list[tuple[float, int]] = []
        for offset in range(0, 700, 30):
            groups = collection.search(query._replace(offset=offset)).groups
            told += [(h.distance, int(h.record.record_id)) for g in groups for h in g]
        assert len({distance for distance, _ in told}) < 500  # many have the same
        assert told == sorted(told)
        assert sorted(number for _, number in told) == list(range(700))


def axis(number: int) -> Vector:
    """The unit vector of one dimension."""
    return np.eye(16, dtype=np.float32)[number]
