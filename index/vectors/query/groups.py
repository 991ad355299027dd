"""Hits by product: the nearest groups of all, not the groups of the nearest hits."""

from __future__ import annotations

import numpy as np
from pyroaring import BitMap

from index.types.query import ScanStrategy
from index.vectors.query.execute import Hits, Query
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.search import ends, nearest, ordered, orders_by_distance, with_distances

_AHEAD, _MORE = 4, 4

Member = tuple[int, float]  # a slot and its cosine distance


def nearest_groups(query: Query, size: int) -> tuple[list[list[Member]], ScanStrategy]:
    """The groups of the part that is wanted, each with up to `size` members, nearest first; groups come in the order of
    their best member. Slots without a product are groups of one. What is farther than the query's limit is in none."""
    count_wanted = query.end * _AHEAD
    while True:
        hits = with_distances(query, ordered(query, count_wanted))
        leaders = _leaders(query, hits)
        if len(leaders) >= query.end or ends(query, hits):
            break
        count_wanted *= _MORE
    groups = [_members(query, leader, size) for leader in leaders[query.offset : query.end]]
    if orders_by_distance(query):  # a member that the look-up had missed may be nearer than its leader
        groups.sort(key=lambda group: (group[0][1], group[0][0]))
    return groups, hits.path


def _leaders(query: Query, hits: Hits) -> list[Member]:
    """The first slot of each product, and each slot without one, that is within the distance."""
    seen: set[int] = set()
    leaders = []
    codes, most = query.allowed.view.products[hits.slots].tolist(), query.max_distance
    for slot, distance, code in zip(hits.slots.tolist(), hits.distances.tolist(), codes, strict=True):
        if (code and code in seen) or (most is not None and distance > most):
            continue
        seen.add(code)
        leaders.append((slot, distance))
    return leaders


def _members(query: Query, leader: Member, size: int) -> list[Member]:
    view = query.allowed.view
    code = int(view.products[leader[0]])
    if not code or size == 1:
        return [leader]
    product = BitMap(np.flatnonzero(view.products == code).astype(np.uint32))
    of_product = FilteredRows(view, product & query.allowed.rows, False)
    hits = nearest(query._replace(allowed=of_product, exact=True, k=size, offset=0))
    return list(zip(hits.slots.tolist(), hits.distances.tolist(), strict=True))
