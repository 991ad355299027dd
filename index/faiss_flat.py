"""The only module that speaks to FAISS: blocks of half-precision vectors, searched exactly.

A block is an IndexScalarQuantizer(QT_fp16, inner product) that is complete when it is made and never changes, so any
number of threads may search it at once. FAISS sees row numbers within the block and nothing else. Set
OMP_NUM_THREADS=1 in the environment before this module is imported: requests, not single searches, run in parallel.
"""

from __future__ import annotations

from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotDamaged

FAISS_VERSION: str = faiss.__version__
Scores = NDArray[np.float32]


class FlatBlock:
    """An immutable block of normalised vectors, shape (rows, dimension), kept in half precision."""

    def __init__(self, faiss_index: faiss.IndexScalarQuantizer) -> None:
        self._faiss_index = faiss_index
        self.rows: int = faiss_index.ntotal
        self.dimension: int = faiss_index.d

    @classmethod
    def from_vectors(cls, vectors: NDArray[np.float32]) -> FlatBlock:
        """A block of float32 vectors, shape (rows, dimension)."""
        faiss_index = faiss.IndexScalarQuantizer(
            vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        faiss_index.is_trained = True  # half precision has nothing to learn
        faiss_index.add(np.ascontiguousarray(vectors, np.float32))
        return cls(faiss_index)

    @classmethod
    def from_bytes(cls, content: bytes, dimension: int) -> FlatBlock:
        """The block that `to_bytes` wrote. Check a checksum first: FAISS accepts flipped bits silently.

        Raises SnapshotDamaged where FAISS refuses it or it has another shape.
        """
        try:
            faiss_index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        except RuntimeError as error:
            raise SnapshotDamaged(f"FAISS does not read the vectors: {error}") from error
        if not isinstance(faiss_index, faiss.IndexScalarQuantizer) or faiss_index.d != dimension:
            raise SnapshotDamaged("the vectors have another shape or type than the collection")
        return cls(faiss_index)

    def to_bytes(self) -> bytes:
        """The block in FAISS's file format."""
        return bytes(faiss.serialize_index(self._faiss_index).tobytes())

    def search(self, query: NDArray[np.float32], k: int, allowed: bytes | None) -> tuple[Scores, NDArray[np.int64]]:
        """The `k` rows, or as many as there are, with the highest inner product: scores and row numbers.

        query: shape (dimension,), float32. allowed: a bitmap, least significant bit first, of the rows to look at.
        """
        parameters = None
        if allowed is not None:
            bits = np.frombuffer(allowed, np.uint8)
            selector = faiss.IDSelectorBitmap(len(bits) * 8, faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, rows = self._faiss_index.search(query[None, :], min(k, self.rows), params=parameters)
        found = rows[0] >= 0
        return scores[0][found], rows[0][found]

    def vectors(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """The vectors of some rows as float32, shape (n, dimension)."""
        return self._halves[rows].astype(np.float32)

    @cached_property
    def _halves(self) -> NDArray[np.float16]:
        """The codes in place, without a copy. The index owns the memory and outlives this view."""
        codes = self._faiss_index.codes
        flat = faiss.rev_swig_ptr(codes.data(), codes.size())
        return flat.view(np.float16).reshape(self.rows, self.dimension)
