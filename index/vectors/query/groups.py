"""Hits by product: the nearest groups of all, not the groups of the nearest hits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pyroaring import BitMap

from index.types.model import Path
from index.vectors.ann.faiss_index import Scores
from index.vectors.query.execute import Asked
from index.vectors.query.filter_cache import Allowed
from index.vectors.query.search import Ordered, Window, distances_of, ends, nearest, ordered, orders_by_distance

_AHEAD, _MORE = 4, 4


class Found(NamedTuple):
    """A slot and its cosine distance."""

    slot: int
    distance: float


def nearest_groups(asked: Asked, window: Window, size: int) -> tuple[list[list[Found]], Path]:
    """The groups of the window, each with up to `size` members, nearest first; groups come in the order of their best
    member. Slots without a product are groups of one. What is farther than the window's distance is in none."""
    reach = window.end * _AHEAD
    while True:
        found = ordered(asked, reach)
        distances = distances_of(asked, found)
        leaders = _leaders(asked, found, distances, window.max_distance)
        if len(leaders) >= window.end or ends(asked, found, distances, window.max_distance):
            break
        reach *= _MORE
    groups = [_members(asked, leader, window, size) for leader in leaders[window.offset : window.end]]
    if orders_by_distance(asked):  # a member that the look-up had missed may be nearer than its leader
        groups.sort(key=lambda group: (group[0].distance, group[0].slot))
    return groups, found.path


def _leaders(asked: Asked, found: Ordered, distances: Scores, max_distance: float | None) -> list[Found]:
    """The first slot of each product, and each slot without one, that is within the distance."""
    seen: set[int] = set()
    leaders = []
    codes = asked.allowed.view.products[found.slots].tolist()
    for slot, distance, code in zip(found.slots.tolist(), distances.tolist(), codes, strict=True):
        if (code and code in seen) or (max_distance is not None and distance > max_distance):
            continue
        seen.add(code)
        leaders.append(Found(slot, distance))
    return leaders


def _members(asked: Asked, leader: Found, window: Window, size: int) -> list[Found]:
    view = asked.allowed.view
    code = int(view.products[leader.slot])
    if code == 0 or size == 1:
        return [leader]
    product = BitMap(np.flatnonzero(view.products == code).astype(np.uint32))
    of_product = Allowed(view, product & asked.allowed.rows, False)
    found = nearest(asked._replace(allowed=of_product, exact=True), Window(size, 0, window.max_distance))
    return list(map(Found, found.slots.tolist(), found.distances.tolist()))
