"""Centring learned from a collection's own vectors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import (
    Collection,
    CollectionCache,
    DataDirectory,
    LocalVectorIndexes,
    RecordWrite,
    SearchQuery,
    TenantDirectory,
)
from index.vectors.ann.centering import LEAST_GAIN, PRIOR_QUERIES, CenteringTransform, QueryMean, gain
from tests.support.data import collections
from tests.support.data.collections import directory, ids, loaded

SPEC = replace(collections.SPEC, dimension=96)
ROWS = 1500


def crowded(count: int, seed: int = 0, common: float = 3.0) -> np.ndarray:
    """Vectors that vary in twenty directions and are shifted in one more, like embeddings of one catalogue."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(7)
    content = fixed.standard_normal((20, SPEC.dimension)) * np.geomspace(1, 0.2, 20)[:, None]
    moved = common * fixed.standard_normal(SPEC.dimension)
    made = rng.standard_normal((count, 20)) @ content + rng.standard_normal((count, SPEC.dimension)) / 2
    made += moved * (1 + rng.random((count, 1)) / 2)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def even(count: int) -> np.ndarray:
    """The same without the shift."""
    return crowded(count, common=0.0)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """An empty collection."""
    tenant = directory(tmp_path)
    yield tenant.create(SPEC)
    tenant.close()


def taught(collection: Collection, vectors: np.ndarray, queries: int = 300) -> Collection:
    collection.upsert([RecordWrite(str(n), v, f"p{n // 3}", {"n": float(n)}) for n, v in enumerate(vectors)])
    for vector in crowded(queries, 5):
        collection.search(SearchQuery(vector, 1))
    return collection


def test_the_check_sees_a_gain_where_vectors_crowd_and_none_where_they_do_not() -> None:
    assert gain(crowded(ROWS)) > LEAST_GAIN
    assert abs(gain(even(ROWS))) < LEAST_GAIN


def test_a_crowded_collection_is_centred_once_it_has_seen_enough_queries(collection: Collection) -> None:
    taught(collection, crowded(ROWS), queries=100)
    assert collection.maintain() == "snapshot"
    assert not collection.loaded_stats().learned
    for vector in crowded(200, 6):
        collection.search(SearchQuery(vector, 1))
    assert collection.maintain() == "learn"
    stats = collection.loaded_stats()
    assert stats.learned
    assert (stats.learning_gain or 0) > LEAST_GAIN
    assert list(collection.problems()) == []


def test_a_collection_whose_vectors_do_not_crowd_stays_as_it_is(collection: Collection) -> None:
    taught(collection, even(ROWS))
    assert collection.maintain() == "snapshot"
    assert not collection.loaded_stats().learned


def test_distances_are_the_encoders_own_and_a_record_is_still_found_by_its_vector(collection: Collection) -> None:
    vectors = crowded(ROWS)
    taught(collection, vectors).maintain()
    collection.maintain()
    for n in range(0, ROWS, 100):
        answer = collection.search(SearchQuery(vectors[n], 10, own_record=True))
        assert answer.learned
        hits = [h for g in answer.groups for h in g]
        assert hits[0].record.record_id == str(n)
        for hit in hits:
            assert hit.distance == pytest.approx(1 - vectors[n] @ vectors[int(hit.record.record_id)], abs=2e-3)


def test_an_order_by_distance_can_be_asked_for(collection: Collection) -> None:
    vectors = crowded(ROWS)
    taught(collection, vectors).maintain()
    collection.maintain()
    query = crowded(1, 77)[0]
    answer = collection.search(SearchQuery(query, 10, by_distance=True))
    distances = [h.distance for g in answer.groups for h in g]
    assert not answer.learned
    assert distances == sorted(distances)
    nearest = np.argsort(-(vectors @ query))[:10]
    assert len({h.record.record_id for g in answer.groups for h in g} & {str(n) for n in nearest}) >= 9


def test_what_was_learnt_survives_a_restart_a_rebuild_and_a_compaction(tmp_path: Path) -> None:
    vectors = crowded(ROWS)
    tenant = directory(tmp_path)
    collection = taught(tenant.create(SPEC), vectors)
    while collection.maintain():
        pass
    queries = [SearchQuery(v, 10, filter=f) for v in crowded(20, 8) for f in ("", "n < 700")]
    before = [ids(collection, q) for q in queries]
    tenant.close()
    tenant = directory(tmp_path)
    collection = tenant.collection("things")
    assert [ids(collection, q) for q in queries] == before
    for path in list(tmp_path.rglob("snapshot-*/rows.enc")):
        path.unlink()
    tenant.abandon()
    collection = directory(tmp_path).collection("things")
    assert [ids(collection, q) for q in queries] == before
    assert len(collection.damaged_snapshots) == 1
    collection.delete(["0"])
    collection.compact()
    assert collection.loaded_stats().learned
    assert list(collection.problems()) == []
    collection.upsert([RecordWrite("new", vectors[0])])
    assert ids(collection, SearchQuery(vectors[0], 1, own_record=True)) == ["new"]


def test_the_owner_may_forbid_it_and_the_order_is_that_of_distances_again(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = taught(tenant.create(SPEC), crowded(ROWS))
    while collection.maintain():
        pass
    assert collection.loaded_stats().learned
    tenant.change("things", learning=False)
    assert collection.maintain() == "learn"
    answer = collection.search(SearchQuery(crowded(1, 3)[0], 20))
    assert not answer.learned
    distances = [h.distance for g in answer.groups for h in g]
    assert distances == sorted(distances)
    count = loaded(collection).index.learning.queries.count
    collection.search(SearchQuery(crowded(1, 4)[0], 1))
    assert loaded(collection).index.learning.queries.count == count  # and takes no note any more
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert not again.spec.learning
    assert not again.loaded_stats().learned


def test_queries_from_elsewhere_are_centred_by_their_own_mean_and_records_by_the_catalogues() -> None:
    transform = CenteringTransform(np.array([1.0, 0, 0], np.float32), np.array([0, 1.0, 0], np.float32))
    query = np.array([0.6, 0.8, 0], np.float32)
    assert transform.query(query, own_record=True) == pytest.approx(np.array([-0.4, 0.8, 0]) / np.hypot(0.4, 0.8))
    assert transform.query(query, own_record=False) == pytest.approx(np.array([0.6, -0.2, 0]) / np.hypot(0.6, 0.2))
    rows, lengths = transform.rows(query[None, :])
    assert transform.originals(rows.astype(np.float16), lengths)[0] == pytest.approx(query, abs=1e-3)


def test_the_mean_of_the_queries_is_kept_and_no_query_is() -> None:
    mean = QueryMean(4)
    for vector in np.eye(4, dtype=np.float32):
        mean.add(vector)
    again = QueryMean(4, mean.to_bytes())
    assert (again.count, again.mean().tolist()) == (4, [0.25] * 4)
    assert len(mean.to_bytes()) == 5 * 8
    assert QueryMean(5, mean.to_bytes()).count == 0  # of another dimension


def test_few_or_like_queries_move_an_assumed_mean_no_further_than_their_share() -> None:
    rng = np.random.default_rng(1)
    assumed = (0.1 * rng.standard_normal(SPEC.dimension)).astype(np.float32)
    for count in (0, 1, 5, 20, 1000):
        mean = QueryMean(SPEC.dimension)
        one = crowded(1, 9)[0]
        for _ in range(count):
            mean.add(one)
        moved = np.linalg.norm(mean.shrunk(assumed) - assumed)
        share = count / (PRIOR_QUERIES + count)
        assert moved == pytest.approx(share * np.linalg.norm(one - assumed), abs=1e-5)
        left = one - mean.shrunk(assumed)  # a query that came often is seen from the same side as before
        assert left @ (one - assumed) / np.linalg.norm(left) / np.linalg.norm(one - assumed) > 0.999


def test_with_an_assumed_mean_centring_starts_before_any_query_and_few_cannot_spoil_it(tmp_path: Path) -> None:
    shift = np.zeros(SPEC.dimension, np.float32)
    cache = CollectionCache(LocalVectorIndexes(query_shift=lambda _: shift))
    tenant = TenantDirectory(DataDirectory(tmp_path).tenant("a" * 32), collections.KEY, cache)
    collection, vectors = tenant.create(SPEC), crowded(ROWS)
    collection.upsert([RecordWrite(str(n), v) for n, v in enumerate(vectors)])
    while collection.maintain():
        pass
    assert collection.loaded_stats().learned
    rng = np.random.default_rng(3)
    asked = rng.permutation(ROWS)[:60]
    noisy = vectors[asked] + 0.1 * rng.standard_normal((60, SPEC.dimension)).astype(np.float32)

    def found() -> int:
        return sum(ids(collection, SearchQuery(q, 1)) == [str(n)] for q, n in zip(noisy, asked.tolist(), strict=True))

    before = found()
    for _ in range(40):  # one person, one picture
        collection.search(SearchQuery(vectors[0], 1))
    while collection.maintain():
        pass
    assert found() >= before - 2
    tenant.close()
