"""The only module that speaks to FAISS: exact scans, graphs and clusters over half-precision rows.

FAISS never owns the rows. It is lent the memory of a RowMatrix (`_lend`), so that a scan of any range and a graph over
the same rows cost no copy; it sees row numbers and nothing else. A graph is complete when it is made and never changes,
so any number of threads may search it at once. Set OMP_NUM_THREADS=1 in the environment before this module is imported:
requests, not single searches, run in parallel.
"""

from __future__ import annotations

import threading
from typing import Any

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

from index.types.errors import SnapshotDamaged
from index.vectors.arrays.float16_matrix import Float16Matrix

faiss: Any = untyped_faiss  # its stubs lack half of what is used here
FAISS_VERSION: str = faiss.__version__
Scores = NDArray[np.float32]
RowNumbers = NDArray[np.int64]
Bits = NDArray[np.uint8]
LINKS, BUILD_EFFORT = 20, 200
_BLOCK = 16_384
_KMEANS_ROUNDS, _POINTS_PER_CENTROID = 8, 64


class FlatView:
    """An exact scan over rows that lie one after another in memory, shape (rows, dimension), float16."""

    def __init__(self, float16: Float16Matrix) -> None:
        self.float16 = float16  # the memory must outlive the loan
        self._rows = len(float16)
        self.index = _lend(float16)
        self._own = self.index.this

    def search(self, query: Scores, k: int, allowed: Bits | None = None) -> tuple[Scores, RowNumbers]:
        """The `k` rows, or as many as there are, with the highest inner product: scores and row numbers.

        query: shape (dimension,). allowed: a bitmap, least significant bit first, of the rows to look at.
        """
        parameters = None if allowed is None else faiss.SearchParameters(sel=_selector(allowed))
        return _one(_search_rows, self._own, query, min(k, self._rows), parameters)

    def search_many(self, queries: Scores, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `search` for queries of shape (n, dimension): scores and row numbers of shape (n, k), missing ones -1."""
        scores, rows = self.index.search(np.ascontiguousarray(queries), min(k, max(self._rows, 1)))
        return scores, rows


class Graph:
    """A navigable graph (HNSW, Malkov and Yashunin, 2016) over the first rows of a matrix."""

    def __init__(self, faiss_index: Any, float16: Float16Matrix) -> None:
        """`float16`: the rows that the graph was built over."""
        self._rows = FlatView(float16)
        faiss_index.storage = self._rows.index
        faiss_index.own_fields = False
        self._index, self._own = faiss_index, faiss_index.this
        self._parameters: dict[int, Any] = {}

    @classmethod
    def build(cls, float16: Float16Matrix, previous: memoryview | None) -> memoryview:
        """The graph over all rows of `float16`, without them, as bytes; extends `previous`, the graph over the first of
        them. Uses as many threads as OMP_NUM_THREADS says, and memory for a second copy of the rows."""
        dimension = float16.shape[1]
        if previous is None:
            index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
            index.is_trained = True
        else:
            index = faiss.deserialize_index(np.frombuffer(previous, np.uint8), faiss.IO_FLAG_SKIP_STORAGE)
            own = _new_scalar_quantizer(dimension)
            _add(own, float16[: index.ntotal])
            index.storage, index.own_fields = own, False
        index.hnsw.efConstruction = BUILD_EFFORT
        # Lists are filled up with the nearest of the rows that the pruning left out, as Malkov and Yashunin propose
        # (keepPrunedConnections): half as many searches a second again at the same recall.
        index.keep_max_size_level0 = True
        _add(index, float16[index.ntotal :])
        return _serialised(index)

    @classmethod
    def from_bytes(cls, content: bytes | memoryview, float16: Float16Matrix) -> Graph:
        """The graph that `build` made of these rows. Check a checksum first: FAISS accepts flipped bits silently.

        Raises SnapshotDamaged where FAISS refuses it or it belongs to another number of rows.
        """
        try:
            index = faiss.deserialize_index(np.frombuffer(content, np.uint8), faiss.IO_FLAG_SKIP_STORAGE)
        except RuntimeError as error:
            raise SnapshotDamaged(f"FAISS cannot read the graph: {error}") from error
        if not isinstance(index, faiss.IndexHNSWSQ) or index.ntotal != len(float16) or index.d != float16.shape[1]:
            raise SnapshotDamaged("the graph belongs to other rows")
        return cls(index, float16)

    def to_bytes(self) -> memoryview:
        """What `from_bytes` reads: the links, without the rows."""
        return _serialised(self._index)

    @property
    def float16(self) -> Float16Matrix:
        """The rows that it leads to."""
        return self._rows.float16

    @property
    def bytes(self) -> int:
        """How much memory the links take."""
        links = self._index.hnsw
        return int(4 * links.neighbors.size() + 8 * links.offsets.size() + 4 * links.levels.size())

    def search(self, query: Scores, k: int, ef_search: int, allowed: Bits | None = None) -> tuple[Scores, RowNumbers]:
        """About the `k` best rows; `ef_search`: how many candidates are kept on the way, at least k."""
        return _one(_search_graph, self._own, query, k, self._effort(ef_search, allowed))

    def search_all(
        self, queries: Scores, k: int, ef_search: int, allowed: Bits | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `search` for queries of shape (n, dimension), one after another in memory: scores and row numbers, shape
        (n, k); -1 in place of missing rows."""
        scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        parameters = self._effort(ef_search, allowed)
        _search_graph(self._own, len(queries), _pointer(queries), k, _pointer(scores), _pointer(rows), parameters)
        return scores, rows

    def _effort(self, ef_search: int, allowed: Bits | None) -> Any:
        if allowed is not None:
            return faiss.SearchParametersHNSW(efSearch=ef_search, sel=_selector(allowed))
        parameters = self._parameters.get(ef_search)
        if parameters is None:  # only ever read by FAISS, hence shared by all threads
            parameters = self._parameters[ef_search] = faiss.SearchParametersHNSW(efSearch=ef_search)
        return parameters

    def search_many(self, queries: Scores, k: int, ef_search: int, allowed: Bits | None = None) -> RowNumbers:
        """As `search` for queries of shape (n, dimension): row numbers of shape (n, k), missing ones -1."""
        return self.search_all(np.ascontiguousarray(queries), k, ef_search, allowed)[1]


def best_of(float16: Float16Matrix, query: Scores, k: int) -> tuple[Scores, RowNumbers]:
    """As `FlatView(float16).search`, for rows that are looked at once: an index of this thread is lent them."""
    index = _passing.index(float16.shape[1])
    codes = index.codes
    _set_pointer(codes, faiss.swig_ptr(float16.view(np.uint8).reshape(-1)))
    _set_size(codes, float16.nbytes)
    _set_count(index, len(float16))
    return _one(_search_rows, index.this, query, min(k, len(float16)), None)


class _Passing(threading.local):
    """Indexes that are lent one block of rows after another, by dimension."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def index(self, dimension: int) -> Any:
        made = self._made.get(dimension)
        if made is None:
            made = self._made[dimension] = _new_scalar_quantizer(dimension)
            made.codes.is_owned = False
        return made


_passing = _Passing()
# The generated setters: those of faiss's wrapper check and remember what is set, which takes longer than the search.
_set_pointer = faiss.MaybeOwnedVectorUInt8.c_ptr.fset
_set_size = faiss.MaybeOwnedVectorUInt8.c_size.fset
_set_count = faiss.IndexScalarQuantizer.ntotal.fset
_search_rows, _search_graph = faiss.IndexScalarQuantizer.search_c, faiss.IndexHNSW.search_c
_pointer = faiss.swig_ptr


def differing_bits(signature: Bits, signatures: NDArray[np.uint8]) -> NDArray[np.int32]:
    """In how many bits each of some signatures, shape (n, bytes), differs from one."""
    differing = np.empty(len(signatures), np.int32)
    pointer = faiss.swig_ptr
    faiss.hammings(pointer(signature), pointer(signatures), 1, len(signatures), signatures.shape[1], pointer(differing))
    return differing


def differing_bits_of_each(some: NDArray[np.uint8], signatures: NDArray[np.uint8]) -> NDArray[np.int32]:
    """As `differing_bits` for each of some signatures: shape (some, signatures)."""
    differing = np.empty((len(some), len(signatures)), np.int32)
    pointer = faiss.swig_ptr
    faiss.hammings(
        pointer(some), pointer(signatures), len(some), len(signatures), signatures.shape[1], pointer(differing)
    )  # fmt: skip
    return differing


def cluster(sample: NDArray[np.float32], lists: int) -> NDArray[np.float32]:
    """Centroids of length 1, shape (lists, dimension), by spherical k-means over the sample."""
    kmeans = faiss.Kmeans(
        sample.shape[1], lists, niter=_KMEANS_ROUNDS, spherical=True, seed=1, min_points_per_centroid=1,
        max_points_per_centroid=_POINTS_PER_CENTROID,
    )  # fmt: skip
    kmeans.train(np.ascontiguousarray(sample))
    return np.asarray(kmeans.centroids, np.float32)


class Centroids:
    """Finds the nearest of some centroids, shape (lists, dimension), for many rows."""

    def __init__(self, centroids: NDArray[np.float32]) -> None:
        self._flat = faiss.IndexFlatIP(centroids.shape[1])
        self._flat.add(np.ascontiguousarray(centroids))

    def nearest(self, float16: Float16Matrix) -> NDArray[np.int32]:
        """The centroid with the highest inner product for each row."""
        blocks = [float16[i : i + _BLOCK].astype(np.float32) for i in range(0, len(float16), _BLOCK)]
        return np.concatenate([self._flat.search(block, 1)[1][:, 0] for block in blocks] or [[]]).astype(np.int32)


def _lend(float16: Float16Matrix) -> Any:
    """An index whose codes are the memory of `float16`; nothing may ever be added to it."""
    index = _new_scalar_quantizer(float16.shape[1])
    if len(float16):
        memory = faiss.swig_ptr(float16.view(np.uint8).reshape(-1))
        codes = index.codes
        codes.is_owned, codes.view_data, codes.view_size = False, memory, float16.nbytes
        codes.c_ptr, codes.c_size = memory, float16.nbytes
        index.ntotal = len(float16)
    return index


def _new_scalar_quantizer(dimension: int) -> Any:
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True  # half precision has nothing to learn
    return index


def _add(index: Any, float16: Float16Matrix) -> None:
    for start in range(0, len(float16), _BLOCK):
        index.add(float16[start : start + _BLOCK].astype(np.float32))


def _serialised(index: Any) -> memoryview:
    writer = faiss.VectorIOWriter()
    faiss.write_index(index, writer, faiss.IO_FLAG_SKIP_STORAGE)
    content: NDArray[np.uint8] = faiss.vector_to_array(writer.data)
    return content.data


def _selector(allowed: Bits) -> Any:
    return faiss.IDSelectorBitmap(len(allowed) * 8, faiss.swig_ptr(allowed))


def _one(search: Any, own: Any, query: Scores, k: int, parameters: Any) -> tuple[Scores, RowNumbers]:
    """Searches with one query, past the checks of FAISS's wrapper, which take longer than a small search. own: the
    index as the generated wrapper itself holds it, which saves it looking for that."""
    scores, rows = np.empty(k, np.float32), np.empty(k, np.int64)
    if not k:
        return scores, rows
    search(own, 1, _pointer(query), k, _pointer(scores), _pointer(rows), parameters)
    if rows[-1] < 0:
        found = rows >= 0
        return scores[found], rows[found]
    return scores, rows
