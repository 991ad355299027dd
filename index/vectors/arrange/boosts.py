"""Hits in the order of likeness plus boost, exactly.

The best by likeness are looked up. No other row is more alike than the last of these, so a row can only be better than
those found if its boost makes up for that. All rows with such a boost are compared. Where they are many, more are
looked up first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.speed.roaring_arrays import members
from index.vectors.ann.faiss_index import RowNumbers
from index.vectors.query.distances import distance_scores
from index.vectors.query.execute import Hits, Query
from index.vectors.query.search import orders_by_distance, within
from index.vectors.segment.view import gather

_AHEAD, _LEAST, _MORE, _MOST = 4, 64, 4, 2048
_FEW = 2048  # of so few, comparing each takes no longer than a deeper look
_DECIMALS, _ROUNDING = 6, 1e-5


def boosted(query: Query, count: int) -> Hits:
    """The first `count` of the order that are within the distance, or all that are; with their distances. Equal ones
    are in the order of likeness, then of insertion. Scores are likeness plus boost."""
    assert query.boosts is not None
    totals, wanted = query.boosts.totals, max(_AHEAD * count, _LEAST)
    while True:
        found = within(query, wanted)
        candidates = found.slots
        if len(candidates) < wanted:
            break
        values = found.scores + totals[candidates]
        last = float(np.partition(values, -count)[-count])
        others = _with_boost(query, totals, last - float(found.scores[-1]) - _ROUNDING)
        if len(others) <= _FEW or wanted >= _MOST:
            candidates = np.union1d(candidates, others)
            break
        wanted = min(wanted * _MORE, max(_MOST, wanted))
    return _in_order(_compared(query, candidates, found), totals, count)


def _with_boost(query: Query, totals: NDArray[np.float32], least: float) -> RowNumbers:
    """The allowed slots with at least this boost."""
    slots = members(query.allowed.rows)
    slots = slots[totals[slots] >= least]
    return slots[~np.isin(slots, query.dropped)] if query.dropped else slots


def _compared(query: Query, slots: RowNumbers, found: Hits) -> Hits:
    """The slots that are within the distance, with their likeness and distances."""
    view = query.allowed.view
    if orders_by_distance(query):
        cosines = view.originals(slots) @ query.vector
        best_first = np.argsort(-cosines, kind="stable")
        slots = slots[best_first]
        scores = distance_scores(cosines[best_first], query.scale)
        distances = np.asarray(1 - scores, np.float32)
    else:
        scores = gather(view, slots).astype(np.float32) @ query.vector
        distances = view.distances(query.original, slots, query.scale)
    hits = Hits(slots, scores, found.path, distances)
    if query.max_distance is None:
        return hits
    near = distances.astype(np.float64) <= query.max_distance
    return hits.at(near)


def _in_order(hits: Hits, totals: NDArray[np.float32], count: int) -> Hits:
    likeness = np.round(hits.scores.astype(np.float64), _DECIMALS)
    values = np.round(hits.scores.astype(np.float64) + totals[hits.slots], _DECIMALS)
    order = np.lexsort((hits.slots, -likeness, -values))[:count]
    return hits._replace(scores=values.astype(np.float32)).at(order)
