"""The sketches of the first rows, base and beyond, so that a search need not look at each vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.signatures import BYTES, Signatures
from index.vectors.arrays.float16_matrix import RowMatrix

_LEAST, _AT_ONCE = 512, 4096  # rows that are added together
NO_SKETCHES: Signatures = np.zeros((0, BYTES), np.uint8)


class RowSignatures:
    """The writer's side, of one base. Rows are added a whole number of bytes of a bitmap at a time."""

    def __init__(self, base: AnnIndex | None = None, capacity: int = 1) -> None:
        self._base, self._matrix = base, RowMatrix(BYTES, capacity, np.uint8)

    def rebased(self, base: AnnIndex | None, sketches: Signatures) -> RowSignatures:
        """The same for another base. `sketches`: of its rows; or, where it extends the one before, of those that it has
        besides that one's."""
        before = self._base
        if base is None:
            return RowSignatures()
        if before is None or len(sketches) == base.rows:
            following = RowSignatures(base, len(sketches))
            following._matrix.append(sketches)
            return following
        following = RowSignatures(base, max(base.rows, self.rows))
        following._matrix.append(self._matrix.view(0, before.rows))
        following._matrix.append(sketches)
        following._matrix.append(self._matrix.view(min(base.rows, self.rows), self.rows))
        return following

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return self._matrix.rows

    @property
    def sketches(self) -> Signatures:
        """Of all rows that it covers, shape (rows, BYTES)."""
        return self._matrix.view(0, self.rows)

    def extend(self, matrix: RowMatrix) -> bool:
        """Adds some of the rows that are newer; whether there were enough."""
        count = min(matrix.rows - self.rows, _AT_ONCE) // 8 * 8
        if self._base is None or count < _LEAST:
            return False
        self._matrix.append(self._base.sketcher.rows(matrix.view(self.rows, self.rows + count)))
        return True

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrites the sketches of rows."""
        self._matrix.erase(rows[rows < self.rows])
