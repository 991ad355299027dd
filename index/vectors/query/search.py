"""Search in a view: which slots are nearest, in an order that is the same on every page.

The order is by distance, equal distances in order of insertion (of the last write of a record); where a collection has
learnt, by the learnt likeness. Where every row is compared it is exactly that. Where the ANN index is asked, a deeper
look may find what a shallower one missed; that comes after what the shallower one had found, so that no page shows
anything twice or leaves out what the next one does not have.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from index.types.query import ScanStrategy
from index.vectors.ann.ann_index import FAMILIAR_RANK
from index.vectors.ann.faiss_index import Scores
from index.vectors.query.by_distance import nearest_by_distance
from index.vectors.query.distances import distance_scores
from index.vectors.query.execute import THROUGH_BASE, Hits, Query, run
from index.vectors.query.plan import FREE_RESULTS, MAX_ANN_RESULTS, Plan, exactly, plan
from index.vectors.query.rerank import TIE_MARGIN

_BEYOND = 16
_FURTHER = 8  # times as many candidates of the graph
_MORE = 4  # times as many are looked for where too many were too far
_ONE = np.array(1, np.float32)  # needs no conversion
# Results that are looked for at once, so that pages of one query fit together.
_STEPS = (FREE_RESULTS, 48, 128, 512, MAX_ANN_RESULTS)
_LIKE_ROWS = frozenset(
    {ScanStrategy.GRAPH, ScanStrategy.GRAPH_FILTERED, ScanStrategy.CLUSTERS_FILTERED}
)  # ways for queries like the rows


def nearest(query: Query) -> Hits:
    """The allowed slots of the part that is wanted, at most `query.k`, with their distances."""
    hits = within(query, query.end)
    if not query.offset and query.k + len(query.dropped) <= FREE_RESULTS - TIE_MARGIN:
        return hits
    start = query.offset
    order = np.lexsort((hits.slots[start:], -hits.scores[start:])) + start  # of several looks, one after another
    return hits.at(order)


def within(query: Query, count: int) -> Hits:
    """The first `count` of the order that are within the distance, or all that are; with their distances."""
    count_wanted = count
    while True:
        hits = with_distances(query, ordered(query, count_wanted))
        if query.max_distance is None:
            return hits
        near = hits.distances.astype(np.float64) <= query.max_distance
        if int(np.count_nonzero(near)) >= count or ends(query, hits):
            chosen = np.flatnonzero(near)[:count]
            return hits.at(chosen)
        count_wanted = max(count_wanted, TIE_MARGIN) * _MORE


def ends(query: Query, hits: Hits) -> bool:
    """Whether nothing within the distance comes after what was found: that is all, or it is in the order of distances,
    or, of another order, the last ones that the ANN index found are all too far."""
    if len(hits.slots) + len(query.dropped) >= query.allowed.count:
        return True
    if query.max_distance is None or not len(hits.distances):
        return False
    if orders_by_distance(query):
        return float(hits.distances[-1]) > query.max_distance
    return hits.path in THROUGH_BASE and float(hits.distances[-_BEYOND:].min()) > query.max_distance


def orders_by_distance(query: Query) -> bool:
    """Whether the order is that of distances."""
    return query.by_distance or query.allowed.view.transform is None


def with_distances(query: Query, hits: Hits) -> Hits:
    """The same with the distances that are told of them."""
    if orders_by_distance(query):
        distances = np.subtract(_ONE, hits.scores)
    else:
        distances = query.allowed.view.distances(query.original, hits.slots, query.scale)
    return Hits(hits.slots, hits.scores, hits.path, np.asarray(distances, np.float32))


def reported_scores(query: Query, scores: Scores) -> Scores:
    """Scores as exact as the distances that an answer tells, where those make the order: 1 minus a score near 0 drops
    its last bits, and one beyond 1 is a distance of 0. What has the same distance is then equal here too. The best
    first."""
    if not orders_by_distance(query):
        return scores
    return distance_scores(scores, query.scale)


def ordered(query: Query, k: int) -> Hits:
    """The first `k` of the order: whatever `k`, the first ones are the same. What only a deeper look finds comes after
    what a shallower one had found."""
    if query.by_distance and query.allowed.view.transform is not None:
        return _kept(query, Hits(*nearest_by_distance(query, k + len(query.dropped))), k)
    step = _step(query, k)
    deeper = _kept(query, _looked_up(query, k + len(query.dropped), step), k)
    if step == _STEPS[0] or query.exact or query.allowed.view.ann_index is None:
        return deeper
    shallower = max(s for s in _STEPS if s < step) - TIE_MARGIN - len(query.dropped)
    if shallower <= 0:
        return deeper
    first = ordered(query, shallower)
    rest = ~np.isin(deeper.slots, first.slots)
    slots, scores = (
        np.concatenate([first.slots, deeper.slots[rest]]),
        np.concatenate([first.scores, deeper.scores[rest]]),
    )
    # What comes first was found as the shallower look found it, and is no more exact than that.
    return Hits(slots[:k], scores[:k], first.path if first.path in THROUGH_BASE else deeper.path)


def _step(query: Query, k: int) -> int:
    """How many results to look for at once."""
    wanted = k + len(query.dropped) + TIE_MARGIN
    place = bisect_left(_STEPS, wanted)
    return _STEPS[place] if place < len(_STEPS) else wanted


def _looked_up(query: Query, k: int, count_wanted: int) -> Hits:
    """The `k` best slots, equal ones in order of insertion: ties at the cut are resolved by looking further."""
    while True:
        way = _way(query, count_wanted)
        if query.looked is None:
            slots, scores, path = run(way, query, count_wanted)
        else:
            (slots, scores), path, query = query.looked, way.path, query._replace(looked=None)
        if path in _LIKE_ROWS and not query.unlike and _is_unlike(query, scores):
            query = query._replace(unlike=True)
            if path is not ScanStrategy.GRAPH or not _is_settled(way, query, scores[:k]):
                continue
        scores = reported_scores(query, scores)
        values = scores.tolist()
        if len(set(values)) < len(values):  # some are equal
            order = np.lexsort((slots, -scores))
            slots, scores = slots[order], scores[order]
        if len(values) < count_wanted or values[count_wanted - 1] < values[k - 1]:
            return Hits(slots[:k], scores[:k], path)
        count_wanted *= 2


def _way(query: Query, count_wanted: int) -> Plan:
    if query.exact and query.allowed.count:
        return exactly(query.allowed)[0]
    return plan(query.allowed, query.vector, count_wanted, ef_factor=query.ef_factor, unlike=query.unlike)


def _is_unlike(query: Query, scores: Scores) -> bool:
    """Whether what was found says that the query is unlike the rows: its tenth nearest is farther than that of nearly
    all rows. Under a filter, the tenth of all is one of the first that are allowed."""
    allowed = query.allowed
    ann_index, rank = allowed.view.ann_index, FAMILIAR_RANK
    if not allowed.everything:
        rank = max(1, round(rank * allowed.count / max(1, allowed.view.records)))
    return ann_index is not None and len(scores) >= rank and float(scores[rank - 1]) < ann_index.familiar_score


def _is_settled(way: Plan, query: Query, best: Scores) -> bool:
    """Whether the graph, searched much further, gives the same best scores. Many queries that look unlike the rows are
    only at the edge of them, and comparing the signatures of all rows takes far longer than this."""
    further = run(way._replace(candidates=way.candidates * _FURTHER), query, len(best))[1]
    return bool(np.array_equal(further, best))


def _kept(query: Query, found: Hits, k: int) -> Hits:
    """The first `k` of what was found, without those that are to be left out."""
    if not query.dropped:
        return found
    keep = np.flatnonzero(~np.isin(found.slots, query.dropped))[:k]
    return Hits(found.slots[keep], found.scores[keep], found.path)
