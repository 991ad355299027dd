"""Searches without anything but a vector, along the graph: several with one look, and each with few steps.

What is found is what `index.vectors.query.search` finds. A search that needs more than one look is left to that, with
what the first one found: one that is unlike the rows, or whose results are equal where they are cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.query import ScanStrategy
from index.vectors.ann.ann_index import FAMILIAR_RANK
from index.vectors.ann.faiss_index import RowNumbers, Scores
from index.vectors.query.execute import Query, with_newer
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.plan import FREE_RESULTS, plan
from index.vectors.query.rerank import TIE_MARGIN

MOST_TOGETHER = FREE_RESULTS - TIE_MARGIN  # results of one search
_ZERO, _ONE, _TWO = (np.array(n, np.float32) for n in range(3))  # need no conversion


class Near(NamedTuple):
    """Slots in their order, and distances, 0 to 2."""

    slots: list[int]
    distances: list[float]


class Looked(NamedTuple):
    """What one look found that did not settle a search: `Query.looked`."""

    slots: RowNumbers
    scores: Scores


def nearest_together(
    allowed: FilteredRows, vectors: NDArray[np.float32], compared: NDArray[np.float32], k: int, ef_factor: float
) -> list[Near | Looked | None]:
    """The `k` nearest of each search; of one that needs more than this what was found, or None.

    - `allowed`: all live rows.
    - `vectors`: as the encoder made them. `compared`: as rows are compared with them. Both float32 of length 1, shape
      (searches, dimension), one after another in memory.
    """
    view = allowed.view
    if k > MOST_TOGETHER or view.ann_index is None:
        return [None] * len(vectors)
    way = plan(allowed, compared[0], FREE_RESULTS, ef_factor=ef_factor)
    if way.path is not ScanStrategy.GRAPH:
        return [None] * len(vectors)
    scores, rows = view.ann_index.graph.search_all(
        compared, FREE_RESULTS, max(way.candidates, FREE_RESULTS), allowed.bits
    )
    whole = (rows[:, -1] >= 0).tolist()
    if view.count != view.ann_rows:
        for number, is_whole in enumerate(whole):
            if is_whole:
                query = Query(compared[number], vectors[number], allowed, k, ef_factor=ef_factor)
                found_here = rows[number], scores[number]
                rows[number], scores[number] = with_newer(way, query, found_here, FREE_RESULTS)
    seen = scores
    familiar, tenth = view.ann_index.familiar_score, scores[:, FAMILIAR_RANK - 1].tolist()
    if view.transform is None:
        scores = _ONE - np.clip(_ONE - scores, _ZERO, _TWO)  # as exact as the distances that are told
        told = (_ONE - scores[:, :k]).tolist()
    found: list[Near | Looked | None] = []
    for number, values in enumerate(scores.tolist()):
        slots = rows[number]
        if tenth[number] < familiar or not whole[number] or values[-1] >= values[k - 1]:
            found.append(Looked(slots, seen[number]) if whole[number] else None)
            continue
        if len(set(values)) < len(values):  # equal ones in order of insertion
            slots = slots[np.lexsort((slots, -scores[number]))]
        slots = slots[:k]
        near = told[number] if view.transform is None else view.distances(vectors[number], slots).tolist()
        found.append(Near(slots.tolist(), near))
    return found
