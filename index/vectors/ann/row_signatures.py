"""The signatures of the first rows, base and beyond, so that a search need not look at each vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.signatures import BYTES, Signatures
from index.vectors.arrays.float16_matrix import RowMatrix

_LEAST, _AT_ONCE = 512, 4096  # rows that are added together
NO_SKETCHES: Signatures = np.zeros((0, BYTES), np.uint8)


class RowSignatures:
    """The writer's side, of one ANN index. Rows are added a whole number of bytes of a bitmap at a time."""

    def __init__(self, ann_index: AnnIndex | None = None, capacity: int = 1) -> None:
        self._ann_index, self._matrix = ann_index, RowMatrix(BYTES, capacity, np.uint8)

    def rebased(self, ann_index: AnnIndex | None, signatures: Signatures) -> RowSignatures:
        """The same for another ANN index. `signatures`: of its rows; or, where it extends the one before, of those that
        it has besides that one's."""
        before = self._ann_index
        if ann_index is None:
            return RowSignatures()
        if before is None or len(signatures) == ann_index.rows:
            following = RowSignatures(ann_index, len(signatures))
            following._matrix.append(signatures)
            return following
        following = RowSignatures(ann_index, max(ann_index.rows, self.rows))
        following._matrix.append(self._matrix.view(0, before.rows))
        following._matrix.append(signatures)
        following._matrix.append(self._matrix.view(min(ann_index.rows, self.rows), self.rows))
        return following

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return self._matrix.rows

    @property
    def signatures(self) -> Signatures:
        """Of all rows that it covers, shape (rows, BYTES)."""
        return self._matrix.view(0, self.rows)

    def extend(self, matrix: RowMatrix) -> bool:
        """Adds some of the rows that are newer; whether there were enough."""
        count = min(matrix.rows - self.rows, _AT_ONCE) // 8 * 8
        if self._ann_index is None or count < _LEAST:
            return False
        self._matrix.append(self._ann_index.signature_encoder.rows(matrix.view(self.rows, self.rows + count)))
        return True

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrites the signatures of rows."""
        self._matrix.erase(rows[rows < self.rows])
