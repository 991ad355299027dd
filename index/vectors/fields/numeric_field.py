"""The numbers of one attribute, arranged so that a range is found without looking at each.

New entries lie in order of arrival and are compared one by one; when they are many they are merged into a sorted part,
whose slots are also held as one bitmap per _BUCKETS-th. A range is then the union of whole buckets and a look into two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap, BitMap

from index.speed.roaring_arrays import members
from index.vectors.arrays.growing_arrays import GrowingArray
from index.vectors.fields.operators import Operator
from index.vectors.fields.postings import SlotMap, moved_slots

_UNSORTED, _BUCKETS = 4096, 64


class _Sorted:
    """Immutable: slots in order of their numbers."""

    def __init__(self, slots: NDArray[np.uint32], values: NDArray[np.float64]) -> None:
        order = np.argsort(values, kind="stable")
        self.slots, self.values = slots[order], values[order]
        self._step = max(1, -(-len(slots) // _BUCKETS))

    @cached_property
    def _buckets(self) -> list[BitMap]:
        starts = range(0, len(self.slots), self._step)
        return [BitMap(np.sort(self.slots[i : i + self._step])) for i in starts]

    def matching(self, operator: Operator, value: float) -> BitMap:
        left = int(np.searchsorted(self.values, value, "left"))
        right = int(np.searchsorted(self.values, value, "right"))
        first, *others = (self._between(*r) for r in operator.ranges(left, right, len(self.values)))
        return BitMap.union(first, *others) if others else first

    def _between(self, start: int, stop: int) -> BitMap:
        first, last = -(-start // self._step), stop // self._step
        if first >= last:
            return BitMap(np.sort(self.slots[start:stop]))
        edges = BitMap(np.sort(self.slots[start : first * self._step]))
        edges |= BitMap(np.sort(self.slots[last * self._step : stop]))
        return BitMap.union(edges, *self._buckets[first:last])


class Numbers:
    """Slots and their numbers. One writer, any number of readers."""

    def __init__(self, slots: NDArray[np.uint32] | None = None, values: NDArray[np.float64] | None = None) -> None:
        ordered = _Sorted(np.zeros(0, np.uint32) if slots is None else slots, np.zeros(0) if values is None else values)
        # Replaced as one, so that a reader has parts that belong together.
        self._parts = (ordered, GrowingArray(np.uint32), GrowingArray(np.float64))

    def extend(self, slots: Sequence[int], values: Sequence[float]) -> None:
        """Enters new slots and their numbers."""
        ordered, unsorted, _ = self._parts
        if unsorted.length >= max(_UNSORTED, len(ordered.slots) // 4):
            self._parts = (_Sorted(*self.entries()), GrowingArray(np.uint32), GrowingArray(np.float64))
        _, new_slots, new_values = self._parts
        new_values.extend(values)  # before the slots, whose length readers go by
        new_slots.extend(slots)

    def matching(self, operator: Operator, value: float) -> BitMap:
        """Slots whose number matches `operator` with `value` on its right side."""
        slots, values, ordered = self._unsorted()
        return ordered.matching(operator, value) | BitMap(slots[operator.compare(values, value)])

    def any(self) -> bool:
        """Whether any slot has a number."""
        ordered, unsorted, _ = self._parts
        return bool(len(ordered.slots) or unsorted.length)

    def entries(self) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """All slots and their numbers, in no particular order."""
        slots, values, ordered = self._unsorted()
        return np.concatenate([ordered.slots, slots]), np.concatenate([ordered.values, values])

    def keep(self, live: AbstractBitMap) -> None:
        """Forgets all other slots. The writer calls it."""
        slots, values = self.entries()
        kept = np.isin(slots, members(live))
        self._parts = (_Sorted(slots[kept], values[kept]), GrowingArray(np.uint32), GrowingArray(np.float64))

    def moved(self, places: SlotMap) -> Numbers:
        """A copy with slot s as places[s]; slots without a place are left out."""
        slots, values = self.entries()
        moved, known = moved_slots(slots, places)
        return Numbers(moved.astype(np.uint32), values[known])

    def _unsorted(self) -> tuple[NDArray[np.uint32], NDArray[np.float64], _Sorted]:
        ordered, slots, values = self._parts
        length = slots.length
        return slots.data[:length], values.data[:length], ordered
