"""Precision and recall of "the same product" at each threshold of distance, from labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import ScoreSpec
from service.tuning.calibration import Calibration, CalibrationSource
from service.tuning.curve import Floats, LabelledDistances, fitted_curve

LEAST_PAIRS = 20  # of each kind
_ROWS = 20


@dataclass(frozen=True)
class Threshold:
    """What a limit of distance does to labelled pairs.

    - `score`: of that distance.
    - `precision`: share of the pairs within it that are the same product; 1 if there is none.
    - `recall`: share of the pairs of the same product that are within it. `f1`: harmonic mean of both.
    """

    max_distance: float
    score: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


class TooFewPairs(ValueError):
    """A calibration needs more pairs. The message says how many."""


def check_pairs(same: NDArray[np.bool_]) -> None:
    """Raises TooFewPairs."""
    yes, no = int(same.sum()), int((~same).sum())
    if min(yes, no) < LEAST_PAIRS:
        message = (
            f"{yes} pairs of the same product and {no} of different products; at least {LEAST_PAIRS} of each are needed"
        )
        raise TooFewPairs(message)


def calibration_of_pairs(distances: Floats, same: NDArray[np.bool_], near_duplicate_distance: float) -> Calibration:
    """The calibration that labelled pairs give; distances and labels of shape (n,). Raises TooFewPairs."""
    check_pairs(same)
    curve = fitted_curve(LabelledDistances(distances, same, np.arange(len(same))), near_duplicate_distance)
    return calibrated(CalibrationSource.PAIRS, curve, distances[~same], len(same))


def calibrated(source: CalibrationSource, curve: ScoreSpec, strangers: Floats, pairs: int) -> Calibration:
    """A calibration with this curve. strangers: distances of pairs of different products, shape (n,)."""
    very_alike, alike = (round(float(np.quantile(strangers, q)), 4) for q in (0.01, 0.1))
    return Calibration(source, curve, very_alike, alike, pairs)


def thresholds(distances: Floats, same: NDArray[np.bool_], curve: ScoreSpec) -> list[Threshold]:
    """At most _ROWS + 1 thresholds, rising: distances of pairs, at equal steps of recall. Raises TooFewPairs."""
    check_pairs(same)
    limits = np.unique(np.quantile(distances[same], np.linspace(0, 1, _ROWS + 1)))
    return [_threshold(float(limit), distances, same, curve) for limit in limits]


def best_threshold(rows: Sequence[Threshold]) -> Threshold:
    """The one with the highest F1; the nearest of equals."""
    return max(rows, key=lambda row: (row.f1, -row.max_distance))


def _threshold(limit: float, distances: Floats, same: NDArray[np.bool_], curve: ScoreSpec) -> Threshold:
    within = distances <= limit
    right = int((within & same).sum())
    precision = right / int(within.sum()) if within.any() else 1.0
    return Threshold(limit, curve.score(limit), precision, right / int(same.sum()))
