"""Search in a view: which slots are nearest, alone or by product."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from pyroaring import BitMap

from index.allowed import Allowed
from index.faiss_index import RowNumbers, Scores
from index.model import Path
from index.planner import MOST_REACH, Plan, plan
from index.ways import THROUGH_BASE, Asked, along, exactly

_TIE_MARGIN, _BEYOND = 16, 16
_CANDIDATES, _LEAST_CANDIDATES = 4, 128  # for an order by distance where rows are compared otherwise
_STEPS = (32, 128, 512, MOST_REACH)  # results that are looked for at once, so that pages of one query fit together


class Found(NamedTuple):
    """A slot and its cosine distance."""

    slot: int
    distance: float


class Window(NamedTuple):
    """Which part of the ordered answer is wanted."""

    k: int
    offset: int
    max_distance: float | None

    @property
    def end(self) -> int:
        return self.offset + self.k


def nearest(asked: Asked, window: Window) -> tuple[list[Found], Path]:
    """The allowed slots of the window, nearest first, equal distances in order of insertion; and the way taken."""
    slots, distances, path = _ordered(asked, window.end)
    found = list(map(Found, slots[window.offset :].tolist(), distances[window.offset :].tolist()))
    if window.end > _STEPS[0] - _TIE_MARGIN and asked.allowed.view.frame is None:
        found.sort(key=lambda f: (f.distance, f.slot))
    return _within(found, window.max_distance), path


def nearest_groups(asked: Asked, window: Window, size: int) -> tuple[list[list[Found]], Path]:
    """The groups of the window, by their nearest member, each with up to `size` members; slots without a product are
    groups of one. The nearest groups of all, not the groups of the nearest hits."""
    reach = window.end * 4
    while True:
        slots, distances, path = _ordered(asked, reach)
        complete = len(slots) + len(asked.dropped) >= asked.allowed.count
        leaders = _leaders(asked, slots, distances, window)
        if complete or len(leaders) >= window.end or _beyond(distances, window.max_distance):
            break
        reach *= 4
    return [_members(asked, leader, window, size) for leader in leaders[window.offset : window.end]], path


def _leaders(asked: Asked, slots: RowNumbers, distances: Scores, window: Window) -> list[Found]:
    seen: set[int] = set()
    leaders = []
    codes = asked.allowed.view.products[slots].tolist()
    for slot, distance, code in zip(slots.tolist(), distances.tolist(), codes, strict=True):
        if code and code in seen:
            continue
        seen.add(code)
        leaders.append(Found(slot, distance))
    return _within(leaders, window.max_distance)


def _members(asked: Asked, leader: Found, window: Window, size: int) -> list[Found]:
    view = asked.allowed.view
    code = int(view.products[leader.slot])
    if code == 0 or size == 1:
        return [leader]
    product = BitMap(np.flatnonzero(view.products == code).astype(np.uint32))
    within = Allowed(view, product & asked.allowed.rows, False)
    return nearest(replace(asked, allowed=within, exact=True), Window(size, 0, window.max_distance))[0]


def _ordered(asked: Asked, k: int) -> tuple[RowNumbers, Scores, Path]:
    """The `k` nearest slots in a stable order: whatever `k`, the first ones are the same, so that pages of one query
    fit together. What only a deeper look finds comes after what a shallow one had found."""
    if asked.by_distance and asked.allowed.view.frame is not None:
        return _by_distance(asked, k)
    reach = _reach(asked, k)
    slots, distances, path = _looked_up(asked, k, reach)
    if reach == _STEPS[0] or asked.exact or asked.allowed.view.base is None:
        return slots, distances, path
    shallower = max(s for s in _STEPS if s < reach) - _TIE_MARGIN - len(asked.dropped)
    if shallower <= 0:
        return slots, distances, path
    first, first_distances, _ = _ordered(asked, shallower)
    rest = ~np.isin(slots, first)
    return np.concatenate([first, slots[rest]])[:k], np.concatenate([first_distances, distances[rest]])[:k], path


def _looked_up(asked: Asked, k: int, reach: int) -> tuple[RowNumbers, Scores, Path]:
    """The `k` nearest slots, equal distances in order of insertion: ties at the cut are resolved by looking further."""
    count = asked.allowed.count
    k += len(asked.dropped)
    while True:
        way = Plan(Path.EXACT) if asked.exact else plan(asked.allowed, asked.vector, reach, effort=asked.effort)
        slots, scores = along(way, asked, reach)
        if way.path in THROUGH_BASE and len(slots) < min(k, count):  # some are left that the way missed
            way = Plan(Path.EXACT_FILTERED)
            slots, scores = exactly(asked, reach, keep=False)
        order = np.lexsort((slots, -scores))
        slots, scores = slots[order], scores[order]
        if len(slots) < reach or len(slots) >= count or scores[reach - 1] < scores[k - 1]:
            return *_kept(asked, slots[:k], _distances(asked, slots[:k], scores[:k])), way.path
        reach *= 2


def _reach(asked: Asked, k: int) -> int:
    """How many results to look for at once."""
    wanted = k + len(asked.dropped) + _TIE_MARGIN
    place = bisect_left(_STEPS, wanted)
    return _STEPS[place] if place < len(_STEPS) else wanted


def _by_distance(asked: Asked, k: int) -> tuple[RowNumbers, Scores, Path]:
    """Candidates by the learnt likeness, ordered anew."""
    slots, distances, path = _ordered(replace(asked, by_distance=False), max(k * _CANDIDATES, _LEAST_CANDIDATES))
    order = np.lexsort((slots, distances))[:k]
    return slots[order], distances[order], path


def _distances(asked: Asked, slots: RowNumbers, scores: Scores) -> Scores:
    view = asked.allowed.view
    if view.frame is None:
        return np.asarray(np.maximum(1.0 - scores, 0.0), np.float32)
    return view.distances(asked.original, slots)


def _kept(asked: Asked, slots: RowNumbers, distances: Scores) -> tuple[RowNumbers, Scores]:
    if not asked.dropped:
        return slots, distances
    keep = ~np.isin(slots, asked.dropped)
    return slots[keep], distances[keep]


def _within(found: list[Found], max_distance: float | None) -> list[Found]:
    return found if max_distance is None else [f for f in found if f.distance <= max_distance]


def _beyond(distances: Scores, max_distance: float | None) -> bool:
    """Whether all that comes later is too far: the last few are, whose order may be another than that of distances."""
    return max_distance is not None and len(distances) > 0 and float(distances[-_BEYOND:].min()) > max_distance
