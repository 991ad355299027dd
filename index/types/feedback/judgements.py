"""What people say of pairs of records: "these are not duplicates", "this is the same product"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
MAX_JUDGED_PAIRS = 1_000_000  # of a collection


class Verdict(StrEnum):
    """What a person says of two records."""

    DIFFERENT = "different"
    SAME_PRODUCT = "same_product"


@dataclass(frozen=True)
class Judgement:
    """A verdict to store, in either order of the records. verdict: None withdraws what was said before."""

    record_id: str
    other_record_id: str
    verdict: Verdict | None


class JudgementResult(NamedTuple):
    """What became of a judgement. previous: the verdict before, None: none. error: why it was not stored."""

    previous: Verdict | None
    changed: bool = False
    error: Exception | None = None


class JudgedPair(NamedTuple):
    """A pair with a verdict. `record_id` was inserted before `other_record_id`. judged_ms: milliseconds since 1970, of
    the last verdict. pair_id: ascending in order of the first one."""

    pair_id: int
    record_id: str
    other_record_id: str
    verdict: Verdict
    judged_ms: int


@dataclass(frozen=True)
class RowVerdicts:
    """All verdicts on a collection, by row id: int64, shape (n, 2) each, the lower row id first."""

    different: Rows
    same_product: Rows

    @classmethod
    def of(cls, different: Iterable[tuple[int, int]] = (), same_product: Iterable[tuple[int, int]] = ()) -> RowVerdicts:
        """The verdicts on pairs of row ids."""
        return cls(_pairs(different), _pairs(same_product))

    def __len__(self) -> int:
        return len(self.different) + len(self.same_product)


@dataclass(frozen=True)
class VerdictTally:
    """What verdicts did to a search for duplicates.

    - `left_out`: pairs within the distance that are no duplicates, by a verdict on them or on others of their products.
    - `merged`: pairs of the same product, both of which match the filter.
    """

    left_out: int = 0
    merged: int = 0


def _pairs(pairs: Iterable[tuple[int, int]]) -> Rows:
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)
