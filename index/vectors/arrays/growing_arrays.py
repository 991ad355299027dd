"""Arrays that only grow at the end, so that readers need no lock.

Entries below a length that was published never change. A reader takes `data` once and looks only below the length that
its view names; when the array grows into a larger buffer, readers keep the one they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """A one-dimensional array with amortised append. One writer, any number of readers."""

    def __init__(self, dtype: DTypeLike, initial: NDArray[Any] | None = None) -> None:
        self.length = 0 if initial is None else len(initial)
        self.data: NDArray[Any] = np.zeros(max(64, self.length), dtype)
        if initial is not None:
            self.data[: self.length] = initial

    def extend(self, values: Sequence[Any] | NDArray[Any]) -> None:
        """Adds entries."""
        self._make_room(len(values))
        self.data[self.length : self.length + len(values)] = values
        self.length += len(values)

    def _make_room(self, entries: int) -> None:
        if self.length + entries > len(self.data):
            larger = np.zeros(max(self.length + entries, self.length * 2), self.data.dtype)
            larger[: self.length] = self.data[: self.length]
            self.data = larger


class SlotTable:
    """The slot of each row id. Row ids are given in order by the store, hence an array and not a dict. One writer; what
    a reader finds may be newer than its view, and older where the table has just grown."""

    def __init__(self) -> None:
        self._slots = np.full(64, -1, np.int64)

    def put(self, row_id: int, slot: int) -> None:
        """Notes where a row is."""
        if row_id >= len(self._slots):
            self._grow(row_id)
        self._slots[row_id] = slot

    def find(self, row_id: int) -> int:
        """Where a row is; below 0 where it is not known."""
        slots = self._slots
        return int(slots[row_id]) if row_id < len(slots) else -1

    def pop(self, row_id: int) -> int | None:
        """Forgets where a row was, and returns it; None where it was not known."""
        if row_id >= len(self._slots) or self._slots[row_id] < 0:
            return None
        slot = int(self._slots[row_id])
        self._slots[row_id] = -1
        return slot

    def fill(self, row_ids: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        """Notes many at once."""
        if len(row_ids):
            self._grow(int(row_ids.max()))
            self._slots[row_ids] = slots

    def _grow(self, row_id: int) -> None:
        larger = np.full(max(row_id + 1, len(self._slots) * 2), -1, np.int64)
        larger[: len(self._slots)] = self._slots
        self._slots = larger
