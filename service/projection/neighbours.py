"""The nearest neighbours of each of a few thousand vectors, and how strongly each is tied to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
_BLOCK = 256  # rows that are compared at once: a step of a few milliseconds
_STEPS = 40  # of the bisection


class Neighbours(NamedTuple):
    """indices: (n, k) int64, nearest first. distances: (n, k) float32, squared Euclidean, 0 and above."""

    indices: Indices
    distances: Floats


class Ties(NamedTuple):
    """Pairs of points that attract each other, both directions of each. first, second: (m,) int64, ordered by first.
    weights: (m,) float32, positive; their sum is 1."""

    first: Indices
    second: Indices
    weights: Floats


def nearest(points: Floats, k: int, check: Callable[[], None]) -> Neighbours:
    """Compares all points, float32 (n, d), with each other. k: 1 to n - 1. `check` is called every few milliseconds."""
    count = len(points)
    norms = np.einsum("ij,ij->i", points, points)
    indices, distances = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    for start in range(0, count, _BLOCK):
        check()
        rows = np.arange(start, min(start + _BLOCK, count))
        squared = norms[rows, None] + norms - 2 * (points[rows] @ points.T)
        squared[np.arange(len(rows)), rows] = np.inf
        found = np.argpartition(squared, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(squared, found, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        indices[rows] = np.take_along_axis(found, order, axis=1)
        distances[rows] = np.maximum(np.take_along_axis(near, order, axis=1), 0)
    return Neighbours(indices, distances)


def ties(near: Neighbours, perplexity: float) -> Ties:
    """Ties of Gaussian strength whose width gives each point about `perplexity` neighbours, made symmetric."""
    count, k = near.indices.shape
    strengths = _strengths(near.distances, min(perplexity, k * 0.9))
    rows = np.repeat(np.arange(count), k)
    keys = np.concatenate([rows * count + near.indices.ravel(), near.indices.ravel() * count + rows])
    unique, places = np.unique(keys, return_inverse=True)
    weights = np.bincount(places, np.concatenate([strengths.ravel()] * 2))
    return Ties(unique // count, unique % count, (weights / weights.sum()).astype(np.float32))


def _strengths(distances: Floats, perplexity: float) -> NDArray[np.float64]:
    """Strengths (n, k) float64, each row with sum 1 and the entropy of `perplexity`, by bisection of its precision."""
    shifted = (distances - distances[:, :1]).astype(np.float64)
    scale = np.maximum(shifted.mean(axis=1, keepdims=True), 1e-12)
    low, high = np.full(scale.shape, 1e-4), np.full(scale.shape, 1e6)
    for _ in range(_STEPS):
        precision = np.sqrt(low * high)
        weights = np.exp(-shifted / scale * precision)
        weights /= weights.sum(axis=1, keepdims=True)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1, keepdims=True)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, precision, low), np.where(wide, high, precision)
    return np.asarray(weights)
