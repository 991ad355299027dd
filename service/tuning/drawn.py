"""The calibration that drawn pictures give: what scores mean before a collection has pairs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.encoder.drawn.samples import DrawnSamples
from service.encoder.manifest import BlockSpec
from service.tuning.calibration import Calibration, CalibrationSource
from service.tuning.curve import Floats, LabelledDistances, fitted_curve
from service.tuning.thresholds import calibrated

HITS = 10  # of each query that are judged


def calibration_of_drawn(
    samples: DrawnSamples, blocks: Sequence[BlockSpec], weights: Mapping[str, float], near_duplicate_distance: float
) -> Calibration:
    """Searches the drawn catalogue with each drawn photograph, under weights of blocks, and judges the first HITS."""
    distances = 1 - weighted(samples.photographs, blocks, weights) @ weighted(samples.catalogue, blocks, weights).T
    pairs = first_hits(np.asarray(distances, np.float64))
    curve = fitted_curve(pairs, near_duplicate_distance)
    strangers = distances[~np.eye(len(distances), dtype=np.bool_)]
    return calibrated(CalibrationSource.DRAWN, curve, np.asarray(strangers, np.float64), len(pairs.same))


def first_hits(distances: Floats) -> LabelledDistances:
    """The HITS nearest records of each query; record n is the right one for query n. distances: shape (n, n)."""
    nearest = np.argsort(distances, axis=1)[:, :HITS]
    queries = np.repeat(np.arange(len(distances)), nearest.shape[1])
    return LabelledDistances(np.take_along_axis(distances, nearest, 1).ravel(), nearest.ravel() == queries, queries)


def weighted(
    vectors: NDArray[np.float32], blocks: Sequence[BlockSpec], weights: Mapping[str, float]
) -> NDArray[np.float32]:
    """Vectors whose cosine is the weighted cosine of the given ones, shape (n, dimension)."""
    if not weights:
        return vectors
    scale = np.repeat([np.sqrt(weights.get(b.name, 1.0)) for b in blocks], [b.size for b in blocks])
    made = vectors * scale
    return np.asarray(made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9), np.float32)
