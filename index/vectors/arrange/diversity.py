"""Hits that differ from each other: maximal marginal relevance, computed exactly over the best of the order.

Each place takes the candidate with the highest `(1 - diversity) * likeness to the query - diversity * likeness to the
most similar hit before it`. The first place is the nearest record. Candidates are the best DIVERSITY_REACH times `k` of
the order; each further page adds as many. So the order is the same on every page, as long as `k` is the same, and what
was passed over may come on a later page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.query import DIVERSITY_REACH
from index.vectors.ann.faiss_index import RowNumbers
from index.vectors.query.execute import Hits, Query
from index.vectors.query.search import orders_by_distance
from index.vectors.segment.view import gather

First = Callable[[Query, int], Hits]  # the first ones of the order, or their leaders where they are grouped


class Diverse(NamedTuple):
    """A page of hits, and what was passed over: positions in `candidates`, the nearest first, each with the position of
    the hit that it is most like."""

    hits: Hits
    candidates: Hits
    passed_over: list[tuple[int, int]]


def diversified(query: Query, first: First) -> Diverse:
    """The part of the order that is wanted. `first` returns the candidates."""
    candidates = first(query, _reach(query, query.end - 1))
    rows = _rows(query, candidates.slots)
    scale = query.scale if orders_by_distance(query) else 1.0
    likeness = _rounded(scale * (rows @ query.vector.astype(np.float64)))
    if query.boosts is not None:
        likeness += query.boosts.totals[candidates.slots]
    picked = _picked(query, likeness, rows)
    page = picked[query.offset :]
    return Diverse(candidates.at(page), candidates, _passed_over(picked, page, rows))


def _reach(query: Query, place: int) -> int:
    """How many candidates a place chooses from."""
    return DIVERSITY_REACH * query.k * (place // query.k + 1)


def _rows(query: Query, slots: RowNumbers) -> NDArray[np.float64]:
    """The vectors that are compared, shape (n, dimension). In double precision, so that a likeness does not depend on
    how many are compared at once."""
    view = query.allowed.view
    return (view.originals(slots) if orders_by_distance(query) else gather(view, slots)).astype(np.float64)


def _picked(query: Query, likeness: NDArray[np.float32], rows: NDArray[np.float64]) -> list[int]:
    """Positions of the candidates in the order of the places up to the end of the page."""
    closest = np.full(len(likeness), -np.inf, np.float32)
    left = np.zeros(len(likeness), np.float32)  # minus infinity where a candidate has a place
    picked: list[int] = []
    for place in range(min(query.end, len(likeness))):
        reach = _reach(query, place)
        best = 0
        if picked:
            gain = (1 - query.diversity) * likeness[:reach] - query.diversity * closest[:reach] + left[:reach]
            best = int(np.argmax(gain))
        picked.append(best)
        left[best] = -np.inf
        closest = np.maximum(closest, _rounded(rows @ rows[best]))
    return picked


def _passed_over(picked: list[int], page: list[int], rows: NDArray[np.float64]) -> list[tuple[int, int]]:
    if not page:
        return []
    passed = sorted(set(range(max(page))) - set(picked))
    like = np.argmax(_rounded(rows[passed] @ rows[picked].T), axis=1) if passed else []
    return [(position, picked[int(hit)]) for position, hit in zip(passed, like, strict=True)]


def _rounded(likeness: NDArray[np.float64]) -> NDArray[np.float32]:
    """Equal rows get equal numbers, whatever the order of the sums."""
    return likeness.astype(np.float32)
