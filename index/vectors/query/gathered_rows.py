"""Rows that a filter allows, copied together, so that they are compared without looking for each in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.faiss_index import FlatView
from index.vectors.ann.signatures import Signatures


@dataclass(frozen=True)
class Gathered:
    """Rows of a view copied together: row i of `flat` is slot slots[i]."""

    slots: NDArray[np.int64]
    flat: FlatView
    bytes: int


@dataclass(frozen=True)
class SignatureRows:
    """Signatures of rows that lie together. Rows that have none yet are not there.

    - `slots`: signatures[i] is that of slot slots[i]. None: it is that of slot i.
    - `left_out`: which of them may not be returned. None: all may.
    """

    slots: NDArray[np.int64] | None
    signatures: Signatures
    left_out: NDArray[np.bool_] | None = None

    @property
    def bytes(self) -> int:
        """How much memory that takes."""
        return self.signatures.nbytes + (0 if self.slots is None else self.slots.nbytes)

    @cached_property
    def count(self) -> int:
        """How many may be returned."""
        return len(self.signatures) - (0 if self.left_out is None else int(np.count_nonzero(self.left_out)))

    def chosen(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The slots of some of them."""
        rows = np.flatnonzero(which)
        return rows if self.slots is None else self.slots[rows]
