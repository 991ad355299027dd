"""Weights that people's feedback suggests. They are only tried; products held out decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index import FeedbackSums
from service.encoder.manifest import BlockSpec

LEAST_CALLS = 30
_MOST, _RIDGE = 8.0, 0.05


def suggested_weights(sums: FeedbackSums | None, blocks: Sequence[BlockSpec]) -> tuple[dict[str, float], ...]:
    """Weights by block for which liked records come before disliked ones, by least squares; none where there is little
    feedback, or it is of other blocks."""
    names = tuple(b.name for b in blocks)
    if sums is None or sums.blocks != names or len(names) < 2 or sums.contrast.count < LEAST_CALLS:
        return ()
    mean, second = (total / sums.contrast.count for total in (sums.contrast.totals, sums.contrast.products))
    ridge = _RIDGE * float(np.trace(second)) / len(names) + 1e-12
    found = np.linalg.solve(second + ridge * np.eye(len(names)), mean)
    if not np.isfinite(found).all() or found.max() <= 0:
        return ()
    found = np.clip(found / found.max(), 1 / _MOST, 1.0)
    scaled = np.clip(found / found[-1], 1 / _MOST, _MOST)
    return ({name: round(float(weight), 3) for name, weight in zip(names, scaled, strict=True)},)
