"""Mirror symmetry: the features of a mirror image are a permutation of a picture's features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph

ORIENTATIONS = 8  # l is the angle pi * l / 8


def mirrored_orientations() -> NDArray[np.int64]:
    """Orientation l becomes -l."""
    return (ORIENTATIONS - np.arange(ORIENTATIONS)) % ORIENTATIONS


def even_places(mirror: NDArray[np.int64]) -> NDArray[np.int64]:
    """One index of every pair of mirrored features, and the indices of those that mirror to themselves."""
    own = np.arange(len(mirror))
    return own[own <= mirror]


def even_part(graph: Graph, features: str, mirror: NDArray[np.int64]) -> str:
    """(f[i] + f[mirror[i]]) / sqrt(2) for each pair, and self-mirrored features unchanged.

    The result is equal for a picture and its mirror image, and has half the numbers.
    """
    first = even_places(mirror)
    weights = np.where(mirror[first] == first, 0.5, 0.5**0.5).astype(np.float32)
    here, there = (graph.op("Gather", [features, graph.constant(i)], axis=1) for i in (first, mirror[first]))
    return graph.op("Mul", [graph.op("Add", [here, there]), graph.constant(weights)])
