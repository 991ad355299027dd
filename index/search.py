"""Search in a view: which slots are nearest, alone or by product. Exact: every allowed row is compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from index.faiss_flat import FlatBlock
from index.model import Vector
from index.rows import Block, View, gather

_GATHER_SHARE = 16  # gather the allowed rows where they are fewer than 1 in this many, else scan under a bitmap
_TIE_MARGIN = 16


@dataclass(frozen=True)
class Found:
    """A slot and its cosine distance."""

    slot: int
    distance: float


@dataclass(frozen=True)
class Window:
    """Which part of the ordered answer is wanted."""

    k: int
    offset: int
    max_distance: float | None

    @property
    def end(self) -> int:
        return self.offset + self.k


def nearest(view: View, query: Vector, allowed: BitMap, window: Window) -> list[Found]:
    """The allowed slots of the window, nearest first; equal distances in order of insertion."""
    slots, distances = _ordered(view, query, allowed, window.end)
    found = [Found(int(s), float(d)) for s, d in zip(slots, distances, strict=True)]
    return _within(found, window.max_distance)[window.offset : window.end]


def nearest_groups(view: View, query: Vector, allowed: BitMap, window: Window, size: int) -> list[list[Found]]:
    """The groups of the window, by their nearest member, each with up to `size` members; slots without a product are
    groups of one. Exact: the nearest groups of all, not the groups of the nearest hits."""
    reach = window.end * 4
    while True:
        slots, distances = _ordered(view, query, allowed, reach)
        complete = len(slots) >= len(allowed)
        leaders = _leaders(view, slots, distances, window)
        if complete or len(leaders) >= window.end or _beyond(distances, window.max_distance):
            break
        reach *= 4
    return [_members(view, query, allowed, leader, window, size) for leader in leaders[window.offset : window.end]]


def _leaders(view: View, slots: NDArray[np.int64], distances: NDArray[np.float32], window: Window) -> list[Found]:
    seen: set[int] = set()
    leaders = []
    for slot, distance in zip(slots.tolist(), distances.tolist(), strict=True):
        code = int(view.products[slot])
        if code and code in seen:
            continue
        seen.add(code)
        leaders.append(Found(slot, distance))
    return _within(leaders, window.max_distance)


def _members(view: View, query: Vector, allowed: BitMap, leader: Found, window: Window, size: int) -> list[Found]:
    code = int(view.products[leader.slot])
    if code == 0 or size == 1:
        return [leader]
    product = BitMap(np.flatnonzero(view.products == code).astype(np.uint32))
    return nearest(view, query, product & allowed, Window(size, 0, window.max_distance))


def _ordered(view: View, query: Vector, allowed: BitMap, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` nearest slots in a stable order. Ties at the cut are resolved by looking further, so that pages of one
    query fit together."""
    reach = k + _TIE_MARGIN
    while True:
        slots, scores = _scan(view, query, allowed, reach)
        order = np.lexsort((slots, -scores))
        slots, scores = slots[order], scores[order]
        exhausted = len(slots) < reach or len(slots) >= len(allowed)
        if exhausted or scores[reach - 1] < scores[k - 1]:
            return slots[:k], np.maximum(1.0 - scores[:k], 0.0)
        reach *= 2


def _scan(view: View, query: Vector, allowed: BitMap, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if len(allowed) * _GATHER_SHARE < view.count or len(allowed) <= k:
        slots = np.array(allowed, np.int64)
        scores = gather(view, slots) @ query if len(slots) else np.zeros(0, np.float32)
        return _top(slots, scores, k)
    parts = [_scan_block(block, query, allowed, k) for block in view.blocks]
    return _top(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), k)


def _scan_block(block: Block, query: Vector, allowed: BitMap, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    end = block.start + block.rows
    count = allowed.range_cardinality(block.start, end)
    if count == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if isinstance(block.vectors, FlatBlock):
        bits = None if count == block.rows else _bits(allowed, block.start, end)
        scores, rows = block.vectors.search(query, k, bits)
        return rows + block.start, scores
    scores = block.vectors @ query
    slots = np.arange(block.start, end)
    if count < block.rows:
        inside = np.unpackbits(np.frombuffer(_bits(allowed, block.start, end), np.uint8), bitorder="little")
        keep = inside[: block.rows].astype(bool)
        slots, scores = slots[keep], scores[keep]
    return _top(slots, scores, k)


def _bits(allowed: BitMap, start: int, end: int) -> bytes:
    """A bitmap of the slots start..end, least significant bit first."""
    mask = np.zeros(end - start, np.uint8)
    within = allowed & BitMap(range(start, end))
    mask[np.array(within, np.int64) - start] = 1
    return np.packbits(mask, bitorder="little").tobytes()


def _top(
    slots: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if len(slots) <= k:
        return slots, scores
    best = np.argpartition(-scores, k - 1)[:k]
    return slots[best], scores[best]


def _within(found: list[Found], max_distance: float | None) -> list[Found]:
    return found if max_distance is None else [f for f in found if f.distance <= max_distance]


def _beyond(distances: NDArray[np.float32], max_distance: float | None) -> bool:
    return max_distance is not None and len(distances) > 0 and float(distances[-1]) > max_distance
