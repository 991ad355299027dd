"""What a collection keeps of people's feedback: sums over block similarities, and nothing else.

The similarity of a query q and a record x in block b of the encoder's vector is the dot product <q_b, x_b> of these
parts of their vectors. Over all blocks it adds up to the cosine. Every block of a stored vector has the same length in
all records (the encoder's `share`), so a search with weights orders by `sum_b w_b <q_b, x_b>`. A learner of block
weights therefore needs no more than the first and second moments of these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Sums over observations, each one number per block.

    - `count`: observations.
    - `totals`: their sum, float64, shape (blocks,).
    - `products`: the sum of their outer products, float64, shape (blocks, blocks).
    """

    count: int
    totals: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def over(cls, observations: NDArray[np.floating[Any]]) -> Moments:
        """The sums over observations, shape (n, blocks); n may be 0."""
        rows = observations.astype(np.float64)
        return cls(len(rows), rows.sum(0), rows.T @ rows)

    def plus(self, other: Moments) -> Moments:
        """The sums over the observations of both."""
        return Moments(self.count + other.count, self.totals + other.totals, self.products + other.products)


@dataclass(frozen=True)
class FeedbackSums:
    """All that is kept of the feedback on a collection.

    - `blocks`: names of the encoder's blocks, in the order of the sums; one empty name where it has none.
    - `liked`, `disliked`: over pairs of a query and a record that was liked, or disliked, as its hit: the similarity in
      each block.
    - `contrast`: over calls that had both: the mean similarities of the liked records minus those of the disliked ones.
      What all records have in common with a query cancels out there.
    """

    blocks: tuple[str, ...]
    liked: Moments
    disliked: Moments
    contrast: Moments

    @classmethod
    def over(
        cls, blocks: Sequence[str], liked: NDArray[np.floating[Any]], disliked: NDArray[np.floating[Any]]
    ) -> FeedbackSums:
        """The sums of one call. liked, disliked: block similarities, shapes (n, blocks) and (m, blocks)."""
        both = len(liked) > 0 and len(disliked) > 0
        contrast = (liked.mean(0) - disliked.mean(0))[None, :] if both else np.empty((0, len(blocks)))
        return cls(tuple(blocks), Moments.over(liked), Moments.over(disliked), Moments.over(contrast))

    @classmethod
    def none(cls, blocks: Sequence[str] = ("",)) -> FeedbackSums:
        """Sums over nothing."""
        empty = np.empty((0, len(blocks)))
        return cls.over(blocks, empty, empty)

    def plus(self, other: FeedbackSums) -> FeedbackSums:
        """The sums over both. Those of other blocks are given up."""
        if self.blocks != other.blocks:
            return other
        return FeedbackSums(
            self.blocks, self.liked.plus(other.liked), self.disliked.plus(other.disliked),
            self.contrast.plus(other.contrast),
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many records were judged, liked and disliked; one that was judged twice counts twice."""
        return self.liked.count + self.disliked.count
