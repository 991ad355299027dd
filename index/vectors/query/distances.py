"""The distances that an answer tells, and the scores that order hits by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.faiss_index import Scores

_ONE, _NONE, _TWO = np.array(1, np.float32), np.array(0, np.float32), np.array(2, np.float32)  # need no conversion


def cosine_distances(cosines: Scores, scale: float) -> Scores:
    """Cosine distances, 0 to 2, float32, for cosines that are to be multiplied by `scale`, the highest first."""
    if scale != 1.0:
        return np.clip(1.0 - scale * cosines.astype(np.float64), 0.0, 2.0).astype(np.float32)
    distances = _ONE - cosines
    if len(distances) and (distances[0] < _NONE or distances[-1] > _TWO):
        distances = np.clip(distances, _NONE, _TWO)
    return distances


def distance_scores(cosines: Scores, scale: float) -> NDArray[Any]:
    """Scores that are as exact as the distances that an answer tells, and equal where those are: the higher, the
    nearer. 1 minus a score is the distance. The highest first; float64 where a scale is given."""
    distances = cosine_distances(cosines, scale)
    if scale != 1.0:  # in single precision some distances near 0 have the same score
        return 1.0 - distances.astype(np.float64)
    return _ONE - distances
