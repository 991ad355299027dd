"""Fits the curve from distances to scores, and measures how far it can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import ScoreSpec

Floats = NDArray[np.float64]
_BINS = 512  # of distances, 0 to 2: a fit reads counts, not pairs
_MIDPOINTS, _WIDTHS = np.arange(0.01, 1.5, 0.01), np.geomspace(0.01, 0.5, 40)
_NEVER = 1e-4  # no pair is that certain
_TENTHS = 10


@dataclass(frozen=True)
class LabelledDistances:
    """Pairs: cosine distances, and whether both are the same product. Shapes (n,), float64 and bool. `groups`: which
    product the query of each pair is of, int64, (n,): pairs of one group are held out together."""

    distances: Floats
    same: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> LabelledDistances:
        """Some of the pairs."""
        return LabelledDistances(self.distances[chosen], self.same[chosen], self.groups[chosen])


def together(parts: Sequence[LabelledDistances]) -> LabelledDistances:
    """The pairs of all parts. Groups with the same number are one."""
    return LabelledDistances(
        np.concatenate([p.distances for p in parts]), np.concatenate([p.same for p in parts]),
        np.concatenate([p.groups for p in parts]),
    )  # fmt: skip


def fitted_curve(pairs: LabelledDistances, near_duplicate_distance: float) -> ScoreSpec:
    """The curve with the highest likelihood: at a score of 0.5 half of the pairs are the same product."""
    edges = np.linspace(0, 2, _BINS + 1)
    yes = np.histogram(pairs.distances[pairs.same], edges)[0].astype(float)
    no = np.histogram(pairs.distances[~pairs.same], edges)[0].astype(float)
    used = (yes + no) > 0
    middles = ((edges[:-1] + edges[1:]) / 2)[used]
    best, found = -np.inf, (0.3, 0.08)
    for width in _WIDTHS:
        chance = _chances(middles[None, :], _MIDPOINTS[:, None], width)
        likelihood = np.log(chance) @ yes[used] + np.log(1 - chance) @ no[used]
        place = int(likelihood.argmax())
        if likelihood[place] > best:
            best, found = float(likelihood[place]), (float(_MIDPOINTS[place]), float(width))
    return ScoreSpec(
        midpoint=round(found[0], 4), width=round(found[1], 4), near_duplicate_distance=near_duplicate_distance
    )


def losses(curve: ScoreSpec, pairs: LabelledDistances) -> Floats:
    """How much each pair surprises, in nats: the lower, the better the scores."""
    chance = _chances(pairs.distances, curve.midpoint, curve.width)
    return np.asarray(-np.log(np.where(pairs.same, chance, 1 - chance)), np.float64)


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs with a score within a tenth: from `low` to below `high`. score: their mean. share: of the same product."""

    low: float
    high: float
    pairs: int
    score: float
    share: float


def reliability(scores: Floats, same: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """The tenths that have pairs, the lowest first."""
    tenth = np.minimum((scores * _TENTHS).astype(int), _TENTHS - 1)
    return [
        ReliabilityBin(
            n / _TENTHS, (n + 1) / _TENTHS, int(within.sum()), float(scores[within].mean()), float(same[within].mean())
        )
        for n in range(_TENTHS)
        if (within := tenth == n).any()
    ]


def scores_of(curve: ScoreSpec, distances: Floats) -> Floats:
    """The scores of distances, shape (n,)."""
    top = 1.0 + np.exp(-curve.midpoint / curve.width)
    return np.asarray(np.minimum(1.0, top / (1.0 + np.exp((distances - curve.midpoint) / curve.width))), np.float64)


def _chances(distances: Floats, midpoint: Floats | float, width: float) -> Floats:
    top = 1.0 + np.exp(-np.asarray(midpoint) / width)
    with np.errstate(over="ignore"):
        chance = top / (1.0 + np.exp((distances - midpoint) / width))
    return np.asarray(np.clip(chance, _NEVER, 1 - _NEVER), np.float64)
