"""Groups of records that look the same.

Leaders, not chains: rows are taken in order of insertion; a row without a group leads one, and every later row without
a group that lies within the distance joins it. So each member is near the first, and a chain of small steps cannot join
what is far apart.

Few rows are compared each with each. Many are looked up in the base's graph, block by block, so that the cost grows
with the rows and not with their square; a pair that the graph does not find is missed (less than one in a hundred).
Rows that the base does not cover yet are looked up there too, and compared with each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.allowed import Allowed
from index.base import Base
from index.bits import members
from index.errors import InvalidInput
from index.view import View

COMPARED_ROWS = 20_000
MAX_ROWS = 100_000  # without a base
_BLOCK = 1024
_NEIGHBOURS, _MOST_NEIGHBOURS = 16, 1024
_GRAPH_EFFORT = 64

Pairs = list[tuple[int, float]]


@dataclass(frozen=True)
class SlotGroup:
    """Slots that look the same, the earliest first, and the largest distance of one to the first."""

    slots: tuple[int, ...]
    max_distance: float


def duplicate_groups(allowed: Allowed, max_distance: float) -> Iterator[SlotGroup]:
    """Groups of two or more allowed slots, as they are found. Raises InvalidInput where too many rows are allowed of a
    collection that has no base yet."""
    view = allowed.view
    slots = members(allowed.rows)
    slots = slots[np.argsort(view.row_ids[slots], kind="stable")]
    if len(slots) <= COMPARED_ROWS or view.base is None:
        if len(slots) > MAX_ROWS:
            message = f"{len(slots)} records are more than {MAX_ROWS}, and the index is not built yet; narrow them"
            raise InvalidInput("filter", f"{message} with a filter")
        near = _compared(view, slots, max_distance)
    else:
        near = _looked_up(allowed, view.base, slots, max_distance)
    yield from _led(near)


def _led(near: Iterator[tuple[int, Pairs]]) -> Iterator[SlotGroup]:
    """Leaders and their members. `near`: each slot in order of insertion, with later or earlier ones that are near."""
    taken: set[int] = set()
    for slot, neighbours in near:
        if slot in taken:
            continue
        members = [(other, distance) for other, distance in neighbours if other not in taken and other != slot]
        taken.add(slot)
        if members:
            taken.update(other for other, _ in members)
            yield SlotGroup((slot, *(other for other, _ in members)), max(distance for _, distance in members))


def _compared(view: View, slots: NDArray[np.int64], max_distance: float) -> Iterator[tuple[int, Pairs]]:
    """Each slot with all later ones within the distance."""
    vectors = view.originals(slots)
    for start in range(0, len(slots), _BLOCK):
        distances = np.maximum(1.0 - vectors[start : start + _BLOCK] @ vectors[start:].T, 0.0)
        for offset, row in enumerate(distances):
            near = np.flatnonzero(row[offset + 1 :] <= max_distance) + offset + 1
            yield int(slots[start + offset]), [(int(slots[start + i]), float(row[i])) for i in near]


def _looked_up(
    allowed: Allowed, base: Base, slots: NDArray[np.int64], max_distance: float
) -> Iterator[tuple[int, Pairs]]:
    """Each slot with those within the distance that the graph finds, and those that the base does not cover."""
    later = slots[slots >= base.rows]
    from_later: dict[int, Pairs] = defaultdict(list)
    for slot, neighbours in _compared(allowed.view, later, max_distance):
        from_later[slot] += neighbours
    for slot, neighbours in _through_graph(allowed, base, later, max_distance):
        for other, distance in neighbours:
            from_later[other].append((slot, distance))
            from_later[slot].append((other, distance))
    order = {int(slot): place for place, slot in enumerate(slots)} if len(later) else {}
    alike = _Alike(allowed.view, slots)
    for slot, neighbours in _through_graph(allowed, base, slots[slots < base.rows], max_distance):
        whole = alike.completed(slot, neighbours + from_later.pop(slot, []))
        yield slot, sorted(whole, key=lambda n: order.get(n[0], n[0]))
    for slot in later.tolist():
        yield slot, from_later.pop(slot, [])


class _Alike:
    """Slots whose vectors are the same to the last bit. A graph leads to a few of very many equal rows only."""

    def __init__(self, view: View, slots: NDArray[np.int64]) -> None:
        self._view = view
        by_hash: dict[int, list[int]] = defaultdict(list)
        for slot in slots.tolist():
            by_hash[hash(view.halves[slot].tobytes())].append(slot)
        self._of = {slot: alike for alike in by_hash.values() if len(alike) > 1 for slot in alike}

    def completed(self, slot: int, pairs: Pairs) -> Pairs:
        """The neighbours of a slot, and those that equal it or one of them."""
        found = dict(pairs)
        for other, distance in [(slot, 0.0), *pairs]:
            for same in self._of.get(other, ()):
                if same != slot:
                    found.setdefault(same, distance)
        return list(found.items())


def _through_graph(
    allowed: Allowed, base: Base, slots: NDArray[np.int64], max_distance: float
) -> Iterator[tuple[int, Pairs]]:
    view, bits = allowed.view, allowed.bits
    for start in range(0, len(slots), _BLOCK):
        block = slots[start : start + _BLOCK]
        compared, originals = view.halves[block].astype(np.float32), view.originals(block)
        neighbours, wanted = _NEIGHBOURS, np.arange(len(block))
        found: dict[int, Pairs] = {}
        while len(wanted):
            rows = base.graph.search_many(compared[wanted], neighbours, max(_GRAPH_EFFORT, neighbours), bits)
            near = [_within(view, originals[i], rows[n], max_distance) for n, i in enumerate(wanted)]
            found.update(zip(wanted.tolist(), near, strict=True))
            full = [len(pairs) >= neighbours for pairs in near]
            wanted = wanted[np.array(full, bool)] if neighbours < _MOST_NEIGHBOURS else wanted[:0]
            neighbours *= 4
        for i, slot in enumerate(block.tolist()):
            yield slot, found[i]


def _within(view: View, query: NDArray[np.float32], rows: NDArray[np.int64], max_distance: float) -> Pairs:
    rows = rows[rows >= 0]
    distances = view.distances(query, rows)
    near = distances <= max_distance
    return list(zip(rows[near].tolist(), distances[near].tolist(), strict=True))
