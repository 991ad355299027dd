"""Comparing rows of a view with a query: all of some rows, or those of them whose sketches promise most."""

from __future__ import annotations

import numpy as np

from index.allowed import Sketched
from index.faiss_index import RowNumbers, Scores, best_of, differing_bits
from index.model import Vector
from index.view import View, gather

FEW_ROWS = 1024  # of so few, comparing each is cheaper
_FIRST = 256
_MOST_SHARE = 3  # where more than one of so many rows must be compared, all are


def compared(view: View, query: Vector, slots: RowNumbers, reach: int) -> tuple[RowNumbers, Scores]:
    """The `reach` best of the slots, or as many as there are, best first."""
    scores, rows = best_of(gather(view, slots), query, reach)
    return slots[rows], scores


def promising(
    view: View, query: Vector, among: Sketched, reach: int, spreads: float = 1.0
) -> tuple[RowNumbers, Scores]:
    """About the `reach` best of some slots, best first. Those whose sketches differ least from the query's are
    compared, and then all that differ no more than a row as good as the middle one of those may.

    `spreads`: multiplies how far from what is expected a sketch may be.
    """
    slots, sketcher = among.slots, view.base.sketcher if view.base is not None else None
    first = max(_FIRST, 4 * reach)
    if sketcher is None or first * _MOST_SHARE > len(slots):
        return compared(view, query, slots, reach)
    differing = differing_bits(sketcher.query(query), among.sketches)
    looked_at = int(np.partition(differing, first)[first])
    best, scores = compared(view, query, slots[differing <= looked_at], reach)
    middle = reach // 2
    row = view.halves[best[middle]].astype(np.float32)
    within = sketcher.within(query, row, float(scores[middle]), spreads=spreads)
    if within <= looked_at:
        return best, scores
    later = slots[(differing > looked_at) & (differing <= within)]
    if len(later) * _MOST_SHARE > len(slots):
        return compared(view, query, slots, reach)
    more, more_scores = compared(view, query, later, reach)
    best, scores = np.concatenate([best, more]), np.concatenate([scores, more_scores])
    order = np.argsort(-scores, kind="stable")[:reach]
    return best[order], scores[order]
