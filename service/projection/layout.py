"""Places vectors on a plane: the principal plane first, then t-SNE from there. The same input and seed give the same.

docs/decisions/0068 compares this with other layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.projection.forces import Points, Push, pull
from service.projection.neighbours import Floats, Ties, nearest, ties

_NEIGHBOURS, _PERPLEXITY = 20, 7.0
_EARLY_STEPS, _STEPS = 60, 160
_EXAGGERATION = 12.0  # of the pull in the early steps, in which the groups form
_SUBSPACE, _ITERATIONS = 8, 10  # of the search for the principal plane
_JUDGED = 10  # neighbours by which the layout is judged
_LONGEST_STEP = 5.0


class Layout(NamedTuple):
    """points: (n, 2) float32, centred, -1 to 1. kept_neighbors: share of the nearest 10 that are so here, 0 to 1."""

    points: Floats
    kept_neighbors: float


class Stopped(Exception):
    """Nobody waits for the layout any more."""


def project(vectors: Floats, seed: int, is_stopped: Callable[[], bool] = lambda: False) -> Layout:
    """Places vectors of length 1, float32 (n, d), n up to a few thousand; 5,000 take seconds of one core.

    `is_stopped` is asked every few milliseconds. Raises Stopped once it says so.
    """

    def check() -> None:
        if is_stopped():
            raise Stopped

    count = len(vectors)
    if count < 2:
        return Layout(np.zeros((count, 2), np.float32), 1.0)
    points = _principal_plane(vectors, np.random.default_rng(seed))
    near = nearest(vectors, min(_NEIGHBOURS, count - 1), check)
    if count > 4:
        points = _moved(points.astype(np.float32), ties(near, min(_PERPLEXITY, (count - 1) / 3)), check)
    scaled = _scaled(points)
    return Layout(scaled, _kept(near.indices, scaled, check))


def _principal_plane(vectors: Floats, rng: np.random.Generator) -> Points:
    """The two directions of most variance, float64 (n, 2), by subspace iteration. Equal vectors are parted a little,
    at random."""
    centred = vectors - vectors.mean(axis=0)
    dimension = vectors.shape[1]
    directions = rng.normal(size=(dimension, min(_SUBSPACE, dimension))).astype(np.float32)
    for _ in range(_ITERATIONS):
        directions, _ = np.linalg.qr(centred.T @ (centred @ directions))
    inside = (centred @ directions).astype(np.float64)
    _, axes = np.linalg.eigh(inside.T @ inside)
    points = np.zeros((len(vectors), 2))
    found = inside @ axes[:, :-3:-1]
    points[:, : found.shape[1]] = found
    return points + rng.normal(0, max(float(points.std()), 1e-6) * 1e-3, points.shape)


def _moved(points: Points, tied: Ties, check: Callable[[], None]) -> Points:
    """Gradient descent with momentum, and a rate of its own for each coordinate (Jacobs, 1988)."""
    points = points / points[:, 0].std() * np.float32(1e-4)
    speed, gains, push = np.zeros_like(points), np.ones_like(points), Push()
    for step in range(_EARLY_STEPS + _STEPS):
        check()
        early = step < _EARLY_STEPS
        exaggeration, momentum = (_EXAGGERATION, 0.5) if early else (1.0, 0.8)
        force = np.float32(4) * (np.float32(exaggeration) * pull(points, tied) + push(points))
        gains = np.where(force * speed >= 0, gains + 0.2, np.maximum(gains * 0.8, 0.01))
        speed = np.float32(momentum) * speed + np.float32(len(points) / _EXAGGERATION) * gains * force
        speed *= np.minimum(1, _LONGEST_STEP / np.maximum(np.abs(speed), 1e-12))
        points = points + speed
        points -= points.mean(axis=0)
    return points


def _scaled(points: Points) -> Floats:
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    most = float(np.abs(centred).max())
    return np.asarray(centred / most if most else centred, np.float32)


def _kept(wanted: NDArray[np.int64], points: Floats, check: Callable[[], None]) -> float:
    judged = min(_JUDGED, wanted.shape[1])
    found = nearest(points, judged, check).indices
    count = len(points)
    rows = np.arange(count)[:, None] * count
    shared = np.isin((rows + wanted[:, :judged]).ravel(), (rows + found).ravel())
    return float(shared.mean())
