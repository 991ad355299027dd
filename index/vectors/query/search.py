"""Search in a view: which slots are nearest, in an order that is the same on every page.

The order is by distance, equal distances in order of insertion (of the last write of a record); where a collection has
learnt, by the learnt likeness. Where every row is compared it is exactly that. Where the base is asked, a deeper look
may find what a shallower one missed; that comes after what the shallower one had found, so that no page shows anything
twice or leaves out what the next one does not have.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np

from index.types.model import Path
from index.vectors.ann.ann_index import FAMILIAR_RANK
from index.vectors.ann.faiss_index import RowNumbers, Scores
from index.vectors.query.by_distance import nearest_by_distance
from index.vectors.query.distances import told_scores
from index.vectors.query.execute import THROUGH_BASE, Asked, along
from index.vectors.query.plan import FREE_REACH, MOST_REACH, Plan, exactly, plan
from index.vectors.query.rerank import TIE_MARGIN

_BEYOND = 16
_FURTHER = 8  # times as many candidates of the graph
_MORE = 4  # times as many are looked for where too many were too far
_ONE = np.array(1, np.float32)  # needs no conversion
# Results that are looked for at once, so that pages of one query fit together.
_STEPS = (FREE_REACH, 48, 128, 512, MOST_REACH)
_LIKE_ROWS = frozenset({Path.GRAPH, Path.GRAPH_FILTERED, Path.CLUSTERS_FILTERED})  # ways for queries like the rows


class Ranked(NamedTuple):
    """Slots and the distances that are told of them, nearest first, and the way that they were found."""

    slots: RowNumbers
    distances: Scores
    path: Path


class Ordered(NamedTuple):
    """The first slots of the whole order, what they are ordered by (the higher the better), and the way."""

    slots: RowNumbers
    scores: Scores
    path: Path


class Window(NamedTuple):
    """Which part of the ordered answer is wanted."""

    k: int
    offset: int
    max_distance: float | None

    @property
    def end(self) -> int:
        return self.offset + self.k


def nearest(asked: Asked, window: Window) -> Ranked:
    """The allowed slots of the window, at most `window.k`."""
    found, distances = within(asked, window.end, window.max_distance)
    slots, scores, path = found
    if window.offset or window.k + len(asked.dropped) > FREE_REACH - TIE_MARGIN:
        slots, scores, distances = slots[window.offset :], scores[window.offset :], distances[window.offset :]
        order = np.lexsort((slots, -scores))  # of several looks, one after another
        slots, distances = slots[order], distances[order]
    return Ranked(slots, distances, path)


def within(asked: Asked, count: int, max_distance: float | None) -> tuple[Ordered, Scores]:
    """The first `count` of the order that are within the distance, or all that are; and their distances."""
    reach = count
    while True:
        found = ordered(asked, reach)
        distances = distances_of(asked, found)
        if max_distance is None:
            return found, distances
        near = distances.astype(np.float64) <= max_distance
        if int(np.count_nonzero(near)) >= count or ends(asked, found, distances, max_distance):
            chosen = np.flatnonzero(near)[:count]
            return Ordered(found.slots[chosen], found.scores[chosen], found.path), distances[chosen]
        reach = max(reach, TIE_MARGIN) * _MORE


def ends(asked: Asked, found: Ordered, distances: Scores, max_distance: float | None) -> bool:
    """Whether nothing within the distance comes after what was found: that is all, or it is in the order of distances,
    or, of another order, the last ones that the base found are all too far."""
    if len(found.slots) + len(asked.dropped) >= asked.allowed.count:
        return True
    if max_distance is None or not len(distances):
        return False
    if orders_by_distance(asked):
        return float(distances[-1]) > max_distance
    return found.path in THROUGH_BASE and float(distances[-_BEYOND:].min()) > max_distance


def orders_by_distance(asked: Asked) -> bool:
    """Whether the order is that of distances."""
    return asked.by_distance or asked.allowed.view.frame is None


def distances_of(asked: Asked, found: Ordered) -> Scores:
    """The distances that are told of what was found, 0 to 2."""
    if not orders_by_distance(asked):
        return asked.allowed.view.distances(asked.original, found.slots)
    return np.asarray(np.subtract(_ONE, found.scores), np.float32)


def as_told(asked: Asked, scores: Scores) -> Scores:
    """Scores as exact as the distances that an answer tells, where those make the order: 1 minus a score near 0 drops
    its last bits, and one beyond 1 is a distance of 0. What has the same distance is then equal here too. The best
    first."""
    if not orders_by_distance(asked):
        return scores
    return told_scores(scores, asked.scale)


def ordered(asked: Asked, k: int) -> Ordered:
    """The first `k` of the order: whatever `k`, the first ones are the same. What only a deeper look finds comes after
    what a shallower one had found."""
    if asked.by_distance and asked.allowed.view.frame is not None:
        return _kept(asked, Ordered(*nearest_by_distance(asked, k + len(asked.dropped))), k)
    step = _step(asked, k)
    deeper = _kept(asked, _looked_up(asked, k + len(asked.dropped), step), k)
    if step == _STEPS[0] or asked.exact or asked.allowed.view.base is None:
        return deeper
    shallower = max(s for s in _STEPS if s < step) - TIE_MARGIN - len(asked.dropped)
    if shallower <= 0:
        return deeper
    first = ordered(asked, shallower)
    rest = ~np.isin(deeper.slots, first.slots)
    slots, scores = (
        np.concatenate([first.slots, deeper.slots[rest]]),
        np.concatenate([first.scores, deeper.scores[rest]]),
    )
    # What comes first was found as the shallower look found it, and is no more exact than that.
    return Ordered(slots[:k], scores[:k], first.path if first.path in THROUGH_BASE else deeper.path)


def _step(asked: Asked, k: int) -> int:
    """How many results to look for at once."""
    wanted = k + len(asked.dropped) + TIE_MARGIN
    place = bisect_left(_STEPS, wanted)
    return _STEPS[place] if place < len(_STEPS) else wanted


def _looked_up(asked: Asked, k: int, reach: int) -> Ordered:
    """The `k` best slots, equal ones in order of insertion: ties at the cut are resolved by looking further."""
    allowed = asked.allowed
    while True:
        way = _way(asked, reach)
        slots, scores, path = along(way, asked, reach)
        if path in _LIKE_ROWS and not asked.unlike and _is_unlike(asked, scores):
            asked = asked._replace(unlike=True)
            if path is not Path.GRAPH or not _is_settled(way, asked, scores[:k]):
                continue
        scores = as_told(asked, scores)
        values = scores.tolist()
        if len(set(values)) < len(values):  # some are equal
            order = np.lexsort((slots, -scores))
            slots, scores = slots[order], scores[order]
        if len(values) < reach or len(values) >= allowed.count or values[reach - 1] < values[k - 1]:
            return Ordered(slots[:k], scores[:k], path)
        reach *= 2


def _way(asked: Asked, reach: int) -> Plan:
    if asked.exact and asked.allowed.count:
        return exactly(asked.allowed)[0]
    return plan(asked.allowed, asked.vector, reach, effort=asked.effort, unlike=asked.unlike)


def _is_unlike(asked: Asked, scores: Scores) -> bool:
    """Whether what was found says that the query is unlike the rows: its tenth nearest is farther than that of nearly
    all rows. Under a filter, the tenth of all is one of the first that are allowed."""
    allowed = asked.allowed
    base, rank = allowed.view.base, FAMILIAR_RANK
    if not allowed.everything:
        rank = max(1, round(rank * allowed.count / max(1, allowed.view.records)))
    return base is not None and len(scores) >= rank and float(scores[rank - 1]) < base.familiar_score


def _is_settled(way: Plan, asked: Asked, best: Scores) -> bool:
    """Whether the graph, searched much further, gives the same best scores. Many queries that look unlike the rows are
    only at the edge of them, and comparing the sketches of all rows takes far longer than this."""
    further = along(way._replace(candidates=way.candidates * _FURTHER), asked, len(best))[1]
    return bool(np.array_equal(further, best))


def _kept(asked: Asked, found: Ordered, k: int) -> Ordered:
    """The first `k` of what was found, without those that are to be left out."""
    if not asked.dropped:
        return found
    keep = np.flatnonzero(~np.isin(found.slots, asked.dropped))[:k]
    return Ordered(found.slots[keep], found.scores[keep], found.path)
