"""Hits by product: the nearest groups of all, not the groups of the nearest hits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pyroaring import BitMap

from index.types.query import ScanStrategy
from index.vectors.query.execute import Hits, Query
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.search import ends, nearest, ordered, orders_by_distance, with_distances

_AHEAD, _MORE = 4, 4

Best = Callable[[Query, int], Hits]
Member = tuple[int, float]  # a slot and its cosine distance


def nearest_groups(query: Query, size: int) -> tuple[list[list[Member]], ScanStrategy]:
    """The groups of the part that is wanted, each with up to `size` members, nearest first; groups come in the order of
    their best member. Slots without a product are groups of one. What is farther than the query's limit is in none."""
    leaders = leading(query, query.end)
    wanted = slice(query.offset, query.end)
    groups = members_of(query, leaders.slots[wanted].tolist(), leaders.distances[wanted].tolist(), size)
    if orders_by_distance(query):  # a member that the look-up had missed may be nearer than its leader
        groups.sort(key=lambda group: (group[0][1], group[0][0]))
    return groups, leaders.path


def members_of(
    query: Query, slots: list[int], distances: list[float], size: int, best: Best | None = None
) -> list[list[Member]]:
    """The groups of leaders, each with up to `size` members, nearest first, or the first ones of another order."""
    return [_members(query, leader, size, best) for leader in zip(slots, distances, strict=True)]


def leading(query: Query, count: int, best: Best | None = None) -> Hits:
    """The first `count` leaders of the order, or all that are within the distance. A leader is the first slot of a
    product, or one without a product. best: the first ones of another order than that of likeness."""
    count_wanted = count * _AHEAD
    while True:
        hits = best(query, count_wanted) if best else with_distances(query, ordered(query, count_wanted))
        leaders = _leaders(query, hits)
        is_all = len(hits.slots) < count_wanted if best else ends(query, hits)
        if len(leaders) >= count or is_all:
            chosen = leaders[:count]
            return hits.at(chosen)
        count_wanted *= _MORE


def _leaders(query: Query, hits: Hits) -> list[int]:
    """Positions of the leaders that are within the distance."""
    seen: set[int] = set()
    leaders = []
    codes, most = query.allowed.view.products[hits.slots].tolist(), query.max_distance
    for position, (distance, code) in enumerate(zip(hits.distances.tolist(), codes, strict=True)):
        if (code and code in seen) or (most is not None and distance > most):
            continue
        seen.add(code)
        leaders.append(position)
    return leaders


def _members(query: Query, leader: Member, size: int, best: Best | None) -> list[Member]:
    view = query.allowed.view
    code = int(view.products[leader[0]])
    if not code or size == 1:
        return [leader]
    product = BitMap(np.flatnonzero(view.products == code).astype(np.uint32))
    of_product = FilteredRows(view, product & query.allowed.rows, False)
    among = query._replace(allowed=of_product, exact=True, k=size, offset=0)
    hits = best(among, size) if best else nearest(among)
    return list(zip(hits.slots.tolist(), hits.distances.tolist(), strict=True))
