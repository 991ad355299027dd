"""Layouts, by what they must keep: neighbours, determinism, and forces as the plain sums have them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.projection.forces import Push, pull
from service.projection.layout import Stopped, project
from service.projection.neighbours import Floats, Ties, nearest, ties


def clusters(count: int, groups: int, spread: float, seed: int = 0, dimension: int = 48) -> tuple[Floats, Floats]:
    """Vectors of length 1 around centres, and the group of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, dimension))
    labels = rng.integers(0, groups, count)
    vectors = centres[labels] + rng.normal(0, spread, (count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels.astype(np.float32)


def neighbours_by_hand(points: Floats, k: int) -> list[set[int]]:
    apart = ((points[:, None, :].astype(np.float64) - points[None].astype(np.float64)) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    return [set(np.argsort(row, kind="stable")[:k].tolist()) for row in apart]


def test_nearest_neighbours_are_those_of_a_plain_comparison() -> None:
    vectors, _ = clusters(300, 6, 0.5)
    found = nearest(vectors, 7, lambda: None)
    assert [set(row) for row in found.indices.tolist()] == neighbours_by_hand(vectors, 7)
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_ties_are_symmetric_and_each_point_has_as_many_as_the_perplexity_says() -> None:
    vectors, _ = clusters(200, 4, 0.6)
    tied = ties(nearest(vectors, 30, lambda: None), 10.0)
    weights = np.zeros((200, 200))
    weights[tied.first, tied.second] = tied.weights
    np.testing.assert_allclose(weights, weights.T)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert (tied.weights > 0).sum() == len(tied.first)


@settings(max_examples=12)
@given(st.integers(2, 60), st.floats(0.05, 2), st.integers(0, 2**32 - 1))
def test_forces_are_those_of_the_plain_sums(count: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, spread, (count, 2))
    pairs = [(i, j) for i, j in itertools.permutations(range(count), 2) if rng.random() < 0.3]
    weights = rng.random(len(pairs)).astype(np.float32)
    first, second = (np.array([p[end] for p in pairs], np.int64) for end in (0, 1))
    apart = points[:, None, :] - points[None]
    near = 1 / (1 + (apart**2).sum(axis=2))
    pulled = np.zeros((count, 2))
    for (i, j), weight in zip(pairs, weights.tolist(), strict=True):
        pulled[i] -= weight * near[i, j] * apart[i, j]
    np.testing.assert_allclose(pull(points, Ties(first, second, weights)), pulled, rtol=1e-4, atol=1e-6)
    np.fill_diagonal(near, 0)
    pushed = (near[..., None] ** 2 * apart).sum(axis=1) / near.sum()
    size = np.sqrt((pushed**2).mean())
    for push, error in ((Push(), 1e-4), (Push(few=0), 0.3), (Push(cell=0.1, few=0), 0.03)):
        assert np.sqrt(((push(points) - pushed) ** 2).mean()) < error * size


def test_a_map_keeps_neighbours_far_better_than_the_principal_plane_and_says_how_well() -> None:
    vectors, _ = clusters(400, 40, 0.2)
    made = project(vectors, 1)
    wanted, found = neighbours_by_hand(vectors, 10), neighbours_by_hand(made.points, 10)
    kept = sum(len(a & b) for a, b in zip(wanted, found, strict=True)) / 4000
    assert made.kept_neighbors == pytest.approx(kept, abs=0.002)
    centred = vectors - vectors.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    in_plane = sum(len(a & b) for a, b in zip(wanted, neighbours_by_hand(plane, 10), strict=True)) / 4000
    assert kept > 0.75 > 1.2 * in_plane


def test_groups_that_are_apart_stay_apart() -> None:
    vectors, labels = clusters(200, 5, 0.05)
    points = project(vectors, 3).points
    near = neighbours_by_hand(points, 5)
    assert all(labels[j] == labels[i] for i, row in enumerate(near) for j in row)


def test_the_same_seed_gives_the_same_map_within_its_square() -> None:
    vectors, _ = clusters(80, 5, 0.4)
    one, other = project(vectors, 5), project(vectors, 5)
    assert one.points.tobytes() == other.points.tobytes()
    assert one.points.dtype == np.float32
    assert np.abs(one.points).max() == pytest.approx(1)
    np.testing.assert_allclose(one.points.max(axis=0) + one.points.min(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 11, 12])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("dimension", [1, 2, 40])
def test_few_and_equal_vectors_get_finite_places(count: int, equal: bool, dimension: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, dimension)).astype(np.float32)
    if equal and count:
        vectors[:] = vectors[0]
    made = project(vectors, 1)
    assert made.points.shape == (count, 2)
    assert np.isfinite(made.points).all()
    assert np.abs(made.points).max(initial=0) <= 1
    assert made.kept_neighbors == 1 if count <= 11 else 0 <= made.kept_neighbors <= 1


def test_a_layout_stops_when_nobody_waits_for_it() -> None:
    vectors, _ = clusters(300, 5, 0.4)
    asked = itertools.count()
    with pytest.raises(Stopped):
        project(vectors, 1, lambda: next(asked) > 20)
    assert next(asked) == 22
