"""From the distance of a hit to its score, and to a word."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import ScoreSpec

SAME_PRODUCT_SCORE = 0.5
_VERY_ALIKE_SCORE, _ALIKE_SCORE = 0.1, 0.02  # of an encoder's own curve: one in fifty strangers has 0.1


class Scoring(Protocol):
    """What gives distances scores."""

    def score(self, distance: float) -> float:
        """The score of a cosine distance, 0 to 1; it never rises with the distance."""


class Likeness(StrEnum):
    """How like a hit is to the query, the likest first."""

    SAME_PICTURE = "SAME_PICTURE"
    SAME_PRODUCT = "SAME_PRODUCT"
    VERY_ALIKE = "VERY_ALIKE"
    ALIKE = "ALIKE"
    NOT_ALIKE = "NOT_ALIKE"


_WORDS = tuple(Likeness)  # in the order of `Calibration.limits`


class CalibrationSource(StrEnum):
    """What a calibration was measured on.

    - ENCODER: the `score` of the encoder's manifest.
    - DRAWN: drawn shop photographs and drawn catalogue pictures.
    - PRODUCTS: the collection's own records, by their product ids.
    - PAIRS: labelled pairs.
    """

    ENCODER = "ENCODER"
    DRAWN = "DRAWN"
    PRODUCTS = "PRODUCTS"
    PAIRS = "PAIRS"


@dataclass(frozen=True)
class Calibration:
    """How a collection's distances are read.

    - `curve`: from a distance to a score, and the distance of near-duplicates.
    - `very_alike`, `alike`: the largest distances of these words. Nearer than 99, and than 90, of 100 pairs of
      different products.
    - `pairs`: how many pairs it was measured on; 0 where nobody counted.
    """

    source: CalibrationSource
    curve: ScoreSpec
    very_alike: float
    alike: float
    pairs: int = 0

    @staticmethod
    @lru_cache(maxsize=256)
    def of_encoder(curve: ScoreSpec) -> Calibration:
        """The one in an encoder's manifest."""
        very_alike, alike = curve.distance(_VERY_ALIKE_SCORE), curve.distance(_ALIKE_SCORE)
        return Calibration(CalibrationSource.ENCODER, curve, very_alike, alike)

    def score(self, distance: float) -> float:
        """The score of a cosine distance, 0 to 1, falling."""
        return self.curve.score(distance)

    def scores(self, distances: Iterable[float]) -> list[float]:
        """The scores of several distances."""
        return self.curve.scores(distances)

    @cached_property
    def limits(self) -> dict[Likeness, float]:
        """The largest distance of each word but the last, rising."""
        rising: dict[Likeness, float] = {}
        least = 0.0
        for word, distance in (
            (Likeness.SAME_PICTURE, self.curve.near_duplicate_distance),
            (Likeness.SAME_PRODUCT, self.curve.distance(SAME_PRODUCT_SCORE)),
            (Likeness.VERY_ALIKE, self.very_alike),
            (Likeness.ALIKE, self.alike),
        ):
            least = rising[word] = max(least, distance)
        return rising

    def likeness(self, distance: float) -> Likeness:
        """The word for a distance."""
        return _WORDS[bisect_left(self._rising, distance)]

    def words(self, distances: Sequence[float]) -> NDArray[np.int64]:
        """The places among `Likeness` of the words for several distances."""
        return np.searchsorted(self._rising, distances)

    @cached_property
    def _rising(self) -> tuple[float, ...]:
        return tuple(self.limits.values())
