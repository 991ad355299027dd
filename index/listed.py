"""What is known of the first rows besides their vectors, so that a search need not look at each: the sketches of all of
them, and of those that are newer than the base the list of the base that they belong to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.base import Base
from index.growing import GrowingArray
from index.halves import RowMatrix
from index.sketch import BYTES, Sketches

_LEAST, _AT_ONCE = 2048, 4096  # rows that are added together
NO_SKETCHES: Sketches = np.zeros((0, BYTES), np.uint8)


class Listed:
    """The writer's side, of one base. Rows are added a whole number of bytes of a bitmap at a time."""

    def __init__(self, base: Base | None = None, lists: NDArray[np.int32] | None = None, capacity: int = 1) -> None:
        self._base, self._lists = base, GrowingArray(np.int32, lists)
        self._sketches = RowMatrix(BYTES, capacity, np.uint8)

    def rebased(self, base: Base | None, sketches: Sketches) -> Listed:
        """The same for another base. `sketches`: of its rows; or, where it extends the one before, of those that it has
        besides that one's."""
        before = self._base
        if base is None:
            return Listed()
        if before is None or len(sketches) == base.rows:
            following = Listed(base, None, len(sketches))
            following._sketches.append(sketches)
            return following
        following = Listed(base, self.lists[base.rows - before.rows :], max(base.rows, self.rows))
        following._sketches.append(self._sketches.view(0, before.rows))
        following._sketches.append(sketches)
        following._sketches.append(self._sketches.view(min(base.rows, self.rows), self.rows))
        return following

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return self._sketches.rows

    @property
    def lists(self) -> NDArray[np.int32]:
        """The list of each row that is newer than the base."""
        return self._lists.data[: self._lists.length]

    @property
    def sketches(self) -> Sketches:
        """Of all rows that it covers, shape (rows, BYTES)."""
        return self._sketches.view(0, self.rows)

    def extend(self, matrix: RowMatrix) -> bool:
        """Adds some of the rows that are newer; whether there were enough."""
        count = min(matrix.rows - self.rows, _AT_ONCE) // 8 * 8
        if self._base is None or count < _LEAST:
            return False
        halves = matrix.view(self.rows, self.rows + count)
        self._lists.extend(self._base.clusters.nearest(halves))
        self._sketches.append(self._base.sketcher.rows(halves))
        return True

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrites what is known of rows."""
        self._sketches.erase(rows[rows < self.rows])
