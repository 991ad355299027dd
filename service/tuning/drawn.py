"""The calibration that drawn pictures give: what scores mean before a collection has pairs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.encoder.drawn.samples import DrawnSamples
from service.encoder.manifest import BlockSpec
from service.tuning.calibration import Calibration, CalibrationSource
from service.tuning.curve import Floats, LabelledDistances, fitted_curve, together
from service.tuning.thresholds import calibrated

HITS = 10  # of each query that are judged


def calibration_of_drawn(
    samples: DrawnSamples, blocks: Sequence[BlockSpec], weights: Mapping[str, float], near_duplicate_distance: float
) -> Calibration:
    """Searches the drawn catalogue with each drawn photograph, under weights of blocks, and judges the first HITS.

    Easy and hard photographs count alike, since nobody knows yet how hard a collection's own ones are.
    """
    catalogue = weighted(samples.catalogue, blocks, weights)
    sides = [samples.photographs, *([] if samples.hard is None else [samples.hard])]
    distances = [np.asarray(1 - weighted(side, blocks, weights) @ catalogue.T, np.float64) for side in sides]
    pairs = together([first_hits(found) for found in distances])
    curve = fitted_curve(pairs, near_duplicate_distance)
    strangers = np.concatenate([found[~np.eye(len(found), dtype=np.bool_)] for found in distances])
    return calibrated(CalibrationSource.DRAWN, curve, strangers, len(pairs.same))


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
