"""Learned whitening: a projection in which two views of one thing lie close and different things far apart.

With S the covariance of the differences within pairs and C that of the pair means: whiten by S, take the principal
directions of C there, and divide by the square root of their variance (Mikolajczyk and Matas, "Improving descriptors
for fast tree matching by optimal linear projection", ICCV 2007). Closed form, deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SHRINKAGE = 0.1  # of the mean variance within pairs, added to every direction


@dataclass(frozen=True)
class Projection:
    """v -> (v - mean) @ matrix. mean: (features,); matrix: (features, dimension)."""

    mean: Floats
    matrix: Floats

    def rounded(self) -> Projection:
        """Rounded to half precision, as it is kept."""
        return Projection(*(a.astype(np.float16).astype(np.float32) for a in (self.mean, self.matrix)))

    def apply(self, features: Floats) -> Floats:
        """(n, features) as (n, dimension), each of length 1."""
        projected = (features - self.mean) @ self.matrix
        unit: Floats = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        return unit


def fit_whitening(first: Floats, second: Floats, dimension: int, shrinkage: float = SHRINKAGE) -> Projection:
    """From the features of both views, each (pairs, features). Raises ValueError where there are too few pairs."""
    features = first.shape[1]
    if len(first) <= dimension:
        raise ValueError(f"{len(first)} pairs are too few for {dimension} dimensions")
    difference = (first - second).astype(np.float64)
    within = difference.T @ difference / (2 * len(difference))
    within[np.diag_indices(features)] += shrinkage * np.trace(within) / features
    middle = (first.astype(np.float64) + second) / 2
    mean = middle.mean(0)
    root = np.linalg.cholesky(within)
    whitened = np.linalg.solve(root, (middle - mean).T)
    values, directions = np.linalg.eigh(whitened @ whitened.T / (len(middle) - 1))
    values, directions = values[::-1][:dimension], directions[:, ::-1][:, :dimension]
    directions = directions * np.where(directions[np.abs(directions).argmax(0), np.arange(dimension)] < 0, -1.0, 1.0)
    matrix = np.linalg.solve(root.T, directions) / np.sqrt(values)
    return Projection(mean.astype(np.float32), matrix.astype(np.float32))
