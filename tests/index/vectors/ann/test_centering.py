"""Centring learned from a collection's own vectors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import (
    Collection,
    RecordWrite,
    SearchQuery,
)
from index.vectors.ann.centering import FARTHEST, LEAST_GAIN, LEAST_QUERIES, RECENT, CenteringTransform, QueryMean, gain
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
    taught(collection, crowded(ROWS), queries=LEAST_QUERIES - 1)
    assert collection.maintain() == "snapshot"
    assert not collection.loaded_stats().learned
    collection.search(SearchQuery(crowded(1, 6)[0], 1))
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


def noted(queries: np.ndarray) -> QueryMean:
    mean = QueryMean(queries.shape[1])
    for query in queries:
        mean.add(query)
    return mean


@given(st.integers(2, 60), st.floats(0, 0.6), st.integers(0, 1000))
def test_the_assumed_mean_of_queries_is_that_of_james_and_stein(count: int, common: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    catalogue_mean = (0.03 * rng.standard_normal(SPEC.dimension)).astype(np.float32)
    queries = rng.standard_normal((count, SPEC.dimension)) / SPEC.dimension**0.5 + common * rng.standard_normal(96) / 5
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    mean, error = queries.mean(0, dtype=np.float64), np.cov(queries.T.astype(np.float64)).trace() / count
    apart = np.linalg.norm(mean - catalogue_mean)
    wanted = min(max(0, apart - error / apart), FARTHEST**2 / apart)  # how far from the catalogue's mean
    found = noted(queries).shrunk(catalogue_mean) - catalogue_mean
    assert np.linalg.norm(found) == pytest.approx(wanted, abs=1e-5)
    assert found @ (mean - catalogue_mean) == pytest.approx(wanted * apart, abs=1e-5)


def test_few_queries_are_believed_as_far_as_they_agree() -> None:
    rng = np.random.default_rng(2)
    here, there = np.zeros(96, np.float32), np.full(96, 0.45 / 96**0.5, np.float32)

    def error(shift: np.ndarray, count: int) -> float:
        """Of the estimate, as a share of what the plain mean of so many queries errs; the mean of 50 draws."""
        errors = []
        for _ in range(50):
            queries = rng.standard_normal((count, 96)) * (0.8 / 96) ** 0.5 + shift
            queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
            estimate, plain = noted(queries).shrunk(here) - shift, queries.mean(0) - shift
            errors.append((estimate @ estimate, plain @ plain))
        return float(np.divide(*np.sum(errors, axis=0)))

    for count in (4, 16, 64):
        assert error(here, count) < 0.2  # from the same world as the catalogue: its mean is right already
        assert error(there, count) < 1.1  # from another one: hardly worse than the queries' own mean


def test_a_query_that_comes_again_and_again_counts_once() -> None:
    queries = crowded(RECENT, 3)
    mean = noted(np.concatenate([queries, queries, queries[::-1]]))
    assert mean.count == RECENT
    assert mean.mean() == pytest.approx(queries.mean(0), abs=1e-6)
    mean.add(crowded(1, 4)[0])
    mean.add(queries[0])  # which was the first of so many
    assert mean.count == RECENT + 2


@pytest.mark.parametrize("count", [1, 2, 40, 4000])
def test_many_pictures_that_are_nearly_the_same_hardly_move_the_mean(count: int) -> None:
    one, assumed = crowded(1, 9)[0], crowded(ROWS, common=0.5).mean(0)
    alike = one + 1e-4 * np.random.default_rng(0).standard_normal((count, SPEC.dimension)).astype(np.float32)
    moved = noted(alike).shrunk(assumed) - assumed
    assert np.linalg.norm(moved) <= FARTHEST**2 / np.linalg.norm(one - assumed) + 1e-3
    left = one - assumed - moved  # it is seen from the same side as before
    assert left @ (one - assumed) / np.linalg.norm(left) / np.linalg.norm(one - assumed) > 0.999


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_centring_loses_nothing_after_no_few_or_many_queries_or_one_that_comes_often(
    tmp_path: Path, shift: float
) -> None:
    tenant = directory(tmp_path)
    collection, vectors = tenant.create(SPEC), crowded(ROWS)
    collection.upsert([RecordWrite(str(n), v) for n, v in enumerate(vectors)])
    rng = np.random.default_rng(3)
    away = rng.standard_normal(SPEC.dimension) / SPEC.dimension**0.5  # shop photographs lie elsewhere
    asked = rng.permutation(ROWS)[:124]
    noisy = vectors[asked] + 0.07 * rng.standard_normal((124, SPEC.dimension)) + shift * away
    noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    right = [str(n) for n in asked.tolist()]

    def found() -> int:
        """Of 60 queries that are not noted."""
        learning = loaded(collection).index.learning
        while collection.maintain():
            pass
        learning.queries.wanted = False
        hits = [ids(collection, SearchQuery(q, 1)) == [n] for q, n in zip(noisy[:60], right[:60], strict=True)]
        learning.queries.wanted = True
        return sum(hits)

    plain = ((noisy[:60] @ vectors.T).argmax(1) == asked[:60]).sum()
    assert found() == plain  # before any query came, the order is that of the distances
    assert not collection.loaded_stats().learned
    for first, last in ((60, 61), (61, 64), (64, 76), (76, 124)):  # 1, 4, 16 and 64 queries
        for query in noisy[first:last]:
            collection.search(SearchQuery(query, 1))
        assert found() >= plain - 2  # some are found by chance
    assert collection.loaded_stats().learned
    after = found()
    assert shift == 0 or after >= plain + 2
    for _ in range(200):  # one person, one picture
        collection.search(SearchQuery(noisy[60], 1))
    assert found() == after
    tenant.close()
