"""The order of the encoder's own distances, in a collection whose rows are compared otherwise.

Rows are held centred, at length 1, with the length that they had (index/vectors/ann/centering.py). A cosine is that
length times the inner product with the centred row, plus the inner product of query and mean. So the best by inner
product are looked up, and among them are the best by cosine once no row left can have a higher one: its inner product
is not above the last one found, and its length not above the longest.
"""

from __future__ import annotations

import numpy as np

from index.types.query import ScanStrategy
from index.vectors.ann.faiss_index import RowNumbers, Scores
from index.vectors.query.distances import distance_scores
from index.vectors.query.execute import Query, compared_all
from index.vectors.query.plan import exactly

_CANDIDATES, _LEAST_CANDIDATES, _MORE = 4, 256, 8
_ROUNDING = 1e-6


def nearest_by_distance(query: Query, k: int) -> tuple[RowNumbers, Scores, ScanStrategy]:
    """The `k` allowed slots with the least distances, equal ones in order of insertion; scores, of which 1 minus one
    is the distance; the way."""
    allowed = query.allowed
    view = allowed.view
    if not allowed.count or view.transform is None:
        return np.zeros(0, np.int64), np.zeros(0, np.float32), ScanStrategy.EMPTY
    way = exactly(allowed)[0]
    common = np.float32(np.dot(query.vector, view.transform.catalogue_mean))
    shortest, longest = float(view.lengths.min()), float(view.lengths.max())
    count_wanted = max(k * _CANDIDATES, _LEAST_CANDIDATES)
    while True:
        slots, own = compared_all(way, query, count_wanted)
        cosines = np.asarray(view.lengths[slots] * own + common, np.float32)
        best_first = np.argsort(-cosines)
        slots, scores = slots[best_first], distance_scores(cosines[best_first], query.scale)
        order = np.lexsort((slots, -scores))[:k]
        last = float(own[-1])
        most_left = np.array([last * (longest if last > 0 else shortest) + float(common) + _ROUNDING])
        if len(slots) >= allowed.count or scores[order[-1]] > distance_scores(most_left, query.scale)[0]:
            return slots[order], scores[order], way.path
        count_wanted *= _MORE
