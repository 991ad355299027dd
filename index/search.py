"""Search in a view: which slots are nearest, alone or by product."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from pyroaring import BitMap

from index.allowed import Allowed
from index.faiss_index import RowNumbers, Scores
from index.model import Path
from index.planner import FREE_REACH, MOST_REACH, exactly, plan
from index.ways import THROUGH_BASE, Asked, along

_TIE_MARGIN, _BEYOND = 12, 16
_ONE, _NONE = np.array(1, np.float32), np.array(0, np.float32)  # which numpy need not convert each time
_CANDIDATES, _LEAST_CANDIDATES = 4, 128  # for an order by distance where rows are compared otherwise
# Results that are looked for at once, so that pages of one query fit together.
_STEPS = (FREE_REACH, 48, 128, 512, MOST_REACH)


class Found(NamedTuple):
    """A slot and its cosine distance."""

    slot: int
    distance: float


class Ranked(NamedTuple):
    """Slots and their cosine distances, nearest first, and the way that they were found."""

    slots: RowNumbers
    distances: Scores
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
    """The allowed slots of the window, equal distances in order of insertion."""
    slots, distances, path = ranked = _ordered(asked, window.end)
    if not window.offset and window.max_distance is None and window.k <= _STEPS[0] - _TIE_MARGIN:
        return ranked
    slots, distances = slots[window.offset :], distances[window.offset :]
    if asked.allowed.view.frame is None:
        order = np.lexsort((slots, distances))
        slots, distances = slots[order], distances[order]
    if window.max_distance is not None:
        near = distances.astype(np.float64) <= window.max_distance
        slots, distances = slots[near], distances[near]
    return Ranked(slots, distances, path)


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
    found = nearest(asked._replace(allowed=within, exact=True), Window(size, 0, window.max_distance))
    return list(map(Found, found.slots.tolist(), found.distances.tolist()))


def _ordered(asked: Asked, k: int) -> Ranked:
    """The `k` nearest slots in a stable order: whatever `k`, the first ones are the same, so that pages of one query
    fit together. What only a deeper look finds comes after what a shallow one had found."""
    if asked.by_distance and asked.allowed.view.frame is not None:
        return _by_distance(asked, k)
    reach = _reach(asked, k)
    slots, distances, path = ranked = _looked_up(asked, k, reach)
    if reach == _STEPS[0] or asked.exact or asked.allowed.view.base is None:
        return ranked
    shallower = max(s for s in _STEPS if s < reach) - _TIE_MARGIN - len(asked.dropped)
    if shallower <= 0:
        return ranked
    first, first_distances, _ = _ordered(asked, shallower)
    rest = ~np.isin(slots, first)
    slots, distances = np.concatenate([first, slots[rest]]), np.concatenate([first_distances, distances[rest]])
    return Ranked(slots[:k], distances[:k], path)


def _looked_up(asked: Asked, k: int, reach: int) -> Ranked:
    """The `k` nearest slots, equal distances in order of insertion: ties at the cut are resolved by looking further."""
    allowed = asked.allowed
    k += len(asked.dropped)
    while True:
        if asked.exact:
            way = exactly(allowed)[0]._replace(path=Path.EXACT, keep=False)
        else:
            way = plan(allowed, asked.vector, reach, effort=asked.effort)
        slots, scores = along(way, asked, reach)
        if way.path in THROUGH_BASE and len(slots) < min(k, allowed.count):  # some are left that the way missed
            way = exactly(allowed)[0]._replace(path=Path.EXACT_FILTERED, keep=False)
            slots, scores = along(way, asked, reach)
        values = scores.tolist()
        if len(set(values)) < len(values):  # some are equal
            order = np.lexsort((slots, -scores))
            slots, scores = slots[order], scores[order]
        if len(values) < reach or len(values) >= allowed.count or values[reach - 1] < values[k - 1]:
            return _kept(asked, Ranked(slots[:k], _distances(asked, slots[:k], scores[:k]), way.path))
        reach *= 2


def _reach(asked: Asked, k: int) -> int:
    """How many results to look for at once."""
    wanted = k + len(asked.dropped) + _TIE_MARGIN
    place = bisect_left(_STEPS, wanted)
    return _STEPS[place] if place < len(_STEPS) else wanted


def _by_distance(asked: Asked, k: int) -> Ranked:
    """Candidates by the learnt likeness, ordered anew."""
    slots, distances, path = _ordered(asked._replace(by_distance=False), max(k * _CANDIDATES, _LEAST_CANDIDATES))
    order = np.lexsort((slots, distances))[:k]
    return Ranked(slots[order], distances[order], path)


def _distances(asked: Asked, slots: RowNumbers, scores: Scores) -> Scores:
    view = asked.allowed.view
    if view.frame is None:
        distances = np.subtract(_ONE, scores)
        return distances if not len(scores) or scores[0] <= 1.0 else np.maximum(distances, _NONE)
    return view.distances(asked.original, slots)


def _kept(asked: Asked, ranked: Ranked) -> Ranked:
    if not asked.dropped:
        return ranked
    keep = ~np.isin(ranked.slots, asked.dropped)
    return Ranked(ranked.slots[keep], ranked.distances[keep], ranked.path)


def _within(found: list[Found], max_distance: float | None) -> list[Found]:
    return found if max_distance is None else [f for f in found if f.distance <= max_distance]


def _beyond(distances: Scores, max_distance: float | None) -> bool:
    """Whether all that comes later is too far: the last few are, whose order may be another than that of distances."""
    return max_distance is not None and len(distances) > 0 and float(distances[-_BEYOND:].min()) > max_distance
