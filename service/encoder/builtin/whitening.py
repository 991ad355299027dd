"""Learned whitening: a projection that brings two views of one thing together and separates different things.

S is the covariance of the differences within pairs, C that of the pair means. The method whitens by S, takes the
principal directions of C, and divides by the square root of their variance (Mikolajczyk and Matas, "Improving
descriptors for fast tree matching by optimal linear projection", ICCV 2007). It is deterministic and in closed form.
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

    def apply(self, features: Floats) -> Floats:
        """Projects (n, features) to unit vectors (n, dimension)."""
        projected = (features - self.mean) @ self.matrix
        unit: Floats = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        return unit


def fit_whitening(first: Floats, second: Floats, dimension: int, shrinkage: float = SHRINKAGE) -> Projection:
    """Fits a projection to the features of both views, each (pairs, features).

    Raises ValueError if there are too few pairs.
    """
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
