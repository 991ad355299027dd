"""Signatures: BITS bits of each row, by which most rows are passed over before any vector is compared.

Each bit says on which side of a random hyperplane a row lies, seen from the rows' mean (Charikar, Similarity estimation
techniques from rounding algorithms, STOC 2002). Two rows differ in a share of their bits that is the angle between them
divided by pi, give or take the spread of a binomial distribution, whatever the rows are like. So the answer itself
tells how far to look: once the k-th best of the rows looked at is known, so is how many bits a row as near as that may
differ in. A signature takes a twelfth of the memory of 384 numbers in half precision, and a hundredth of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from index.types.record import Vector

BITS, BYTES = 512, 64
Signatures = NDArray[np.uint8]  # shape (n, BYTES)
_SPREADS = 2.0  # standard deviations that are allowed for
_LEANING = (0.005, 0.995)  # of how far rows lie along the mean
_BLOCK = 4096
_LEAST = 1e-12


class SignatureEncoder:
    """Makes signatures that can be compared with each other: all seen from the same mean."""

    def __init__(self, mean: Vector, sample: Callable[[], NDArray[np.floating]] | None = None) -> None:
        """mean: of the rows, shape (dimension,). sample: gives some of the rows, shape (n, dimension), which say how
        far rows lie along the mean; asked when first needed. Without them any row of length 1 is reckoned with."""
        self.mean = mean
        self._directions = _directions(len(mean))
        self._offsets = mean @ self._directions
        self._square = float(np.dot(mean, mean))
        self._sample = sample

    @cached_property
    def _lean(self) -> tuple[float, float]:
        """Between what inner products with the mean nearly all rows lie."""
        rows = self._sample() if self._sample is not None else np.zeros((0, 1), np.float32)
        if not len(rows):
            length = math.sqrt(self._square)
            return -length, length
        low, high = np.quantile(np.asarray(rows, np.float32) @ self.mean, _LEANING)
        return float(low), float(high)

    @classmethod
    def of_sample(cls, sample: NDArray[np.float32]) -> SignatureEncoder:
        """Seen from the mean of some rows, shape (n, dimension)."""
        return cls(sample.mean(axis=0, dtype=np.float64).astype(np.float32), lambda: sample)

    def rows(self, float16: NDArray[np.floating]) -> Signatures:
        """The signatures of rows, shape (n, dimension)."""
        made = np.empty((len(float16), BYTES), np.uint8)
        for start in range(0, len(float16), _BLOCK):
            block = float16[start : start + _BLOCK].astype(np.float32)
            made[start : start + _BLOCK] = self._packed(block @ self._directions)
        return made

    def query(self, query: Vector) -> Signatures:
        """The signature of one vector, shape (BYTES,)."""
        return self._packed(query @ self._directions)

    def within(self, query: Vector, score: float, *, spreads: float = 1.0) -> int:
        """In how many bits a row may differ from the query whose inner product with it is at least `score`; both of
        length 1. `spreads`: multiplies the deviation that is allowed for.

        The angle of a row from the mean depends on how far it lies along the mean, too. Of all that rows do, that is
        reckoned with which leaves the widest angle: where the query is unlike the rows, much else than its likeness
        tells one row from another.
        """
        from_query = float(np.dot(query, self.mean))
        along = min(max(1.0 - score + from_query, self._lean[0]), self._lean[1])
        squares = (1 - 2 * from_query + self._square) * (1 - 2 * along + self._square)
        cosine = (score - from_query - along + self._square) / math.sqrt(max(squares, _LEAST))
        share = math.acos(max(-1.0, min(1.0, cosine))) / math.pi
        return math.floor(BITS * share + _SPREADS * spreads * math.sqrt(BITS * share * (1 - share)))

    def _packed(self, sides: NDArray[np.float32]) -> Signatures:
        return np.packbits(sides > self._offsets, axis=-1, bitorder="little")


@lru_cache(maxsize=4)
def _directions(dimension: int) -> NDArray[np.float32]:
    """The same for all collections of a dimension: nearly normal numbers, shape (dimension, BITS), from a generator
    whose bits are the same in every version of numpy."""
    bits = np.random.PCG64(BITS).random_raw(dimension * BITS)
    return (np.bitwise_count(bits).astype(np.float32) - 32).reshape(dimension, BITS)
