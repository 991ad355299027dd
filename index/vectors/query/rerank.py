"""Comparing rows of a view with a query: all of some rows, or those of them whose signatures promise most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.types.record import Vector
from index.vectors.ann.faiss_index import RowNumbers, Scores, best_of, differing_bits
from index.vectors.ann.signatures import BITS
from index.vectors.query.gathered_rows import SignatureRows
from index.vectors.segment.view import View, gather

FEW_ROWS = 1024  # of so few, comparing each is cheaper
TIE_MARGIN = 12  # of the results that are looked for, the last ones are not relied on
_FIRST = 256
_MOST_SHARE = 3  # where more than one of so many rows must be compared, all are
_OUT = BITS + 1  # more bits than any row can differ in


def compared(view: View, query: Vector, slots: RowNumbers, count_wanted: int) -> tuple[RowNumbers, Scores]:
    """The `count_wanted` best of the slots, or as many as there are, best first."""
    scores, rows = best_of(gather(view, slots), query, count_wanted)
    return slots[rows], scores


def promising(
    view: View, query: Vector, among: SignatureRows, count_wanted: int, spreads: float = 1.0
) -> tuple[RowNumbers, Scores] | None:
    """The `count_wanted` best of some slots, best first; None where so many would have to be compared that comparing
    all is cheaper. Those whose signatures differ least from the query's are compared, and then all that differ no more
    than a row may that is as good as the last of those that are relied on.

    `spreads`: multiplies how far from what is expected a signature may be.
    """
    signature_encoder = view.ann_index.signature_encoder if view.ann_index is not None else None
    first = max(_FIRST, 4 * count_wanted)
    if signature_encoder is None or first * _MOST_SHARE > among.count:
        return None
    differing = differing_bits(signature_encoder.query(query), among.signatures)
    if among.left_out is not None:
        differing[among.left_out] = _OUT
    seen = np.bincount(differing, minlength=_OUT + 1).cumsum()
    looked_at = int(np.searchsorted(seen, first))
    best, scores = compared(view, query, among.chosen(differing <= looked_at), count_wanted)
    within = signature_encoder.within(query, float(scores[relied_on(count_wanted)]), spreads=spreads)
    if within <= looked_at:
        return best, scores
    if seen[min(within, BITS)] * _MOST_SHARE > among.count:
        return None
    more, more_scores = compared(view, query, among.chosen(_between(differing, looked_at, within)), count_wanted)
    best, scores = np.concatenate([best, more]), np.concatenate([scores, more_scores])
    order = np.argsort(-scores, kind="stable")[:count_wanted]
    return best[order], scores[order]


def relied_on(count_wanted: int) -> int:
    """Which of the results that are looked for is the last that an answer shows."""
    return max(count_wanted // 2, count_wanted - TIE_MARGIN) - 1


def _between(differing: NDArray[np.int32], low: int, high: int) -> NDArray[np.bool_]:
    return np.asarray((differing > low) & (differing <= min(high, BITS)), np.bool_)
