"""What makes a large collection fast: a graph over its first rows, and the same rows by cluster.

The graph answers searches that may return most of what is near. The clusters answer those under a filter: their lists
are walked by distance until enough allowed rows have been seen, whatever the filter has to do with the query. Both hold
row numbers and centroids only, no copy of a vector, so that a row that is erased from the matrix is erased here. What
signatures are seen from belongs to an ANN index, too; the signatures themselves lie beside the rows and are erased with
them.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.speed.buffers import joined
from index.types.errors import SnapshotDamaged
from index.vectors.ann.faiss_index import Graph, Scores
from index.vectors.ann.signatures import SignatureEncoder
from index.vectors.arrays.float16_matrix import Float16Matrix

_HEAD = struct.Struct("<I")
_LEANING_ROWS = 1024
FAMILIAR_RANK, _FAMILIAR_ROWS, _FAMILIAR_EF_SEARCH, _UNFAMILIAR_SHARE = 10, 128, 48, 0.005


@dataclass(frozen=True)
class SearchParameters:
    """What a search needs for its recall, as measured when the index was built. Stored under the name `effort`.

    - `candidates`: efSearch of the graph for the ten nearest.
    - `visited`: how many allowed rows the clusters must offer for the ten nearest.
    - `recall`: recall@10 that this reached on the collection's own vectors.
    - `trained_rows`: how many rows there were when the centroids were made.
    """

    candidates: int
    visited: int
    recall: float
    trained_rows: int


class Clusters:
    """Row numbers by their nearest centroid."""

    def __init__(self, centroids: NDArray[np.float32], lists: NDArray[np.int32]) -> None:
        """centroids: shape (lists, dimension); lists: for each row the number of its list."""
        self.centroids, self.lists = centroids, lists
        # Short numbers are sorted by their digits, in a tenth of the time.
        short = lists.astype(np.min_scalar_type(len(centroids)))
        self._order = np.argsort(short, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(lists[self._order], np.arange(len(centroids) + 1)).astype(np.int64)

    def by_distance(self, query: Scores) -> NDArray[np.int64]:
        """The numbers of the lists, the nearest first."""
        return np.argsort(-(self.centroids @ query))

    def sizes(self, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows each of the lists has."""
        return self._starts[lists + 1] - self._starts[lists]

    def rows(self, lists: NDArray[np.int64]) -> NDArray[np.int32]:
        """The row numbers of the lists, one list after another."""
        parts = [self._order[self._starts[i] : self._starts[i + 1]] for i in lists.tolist()]
        return np.concatenate(parts) if parts else self._order[:0]


@dataclass(frozen=True)
class AnnIndex:
    """Complete when it is made; covers the rows below `rows`."""

    rows: int
    graph: Graph
    clusters: Clusters
    signature_encoder: SignatureEncoder
    parameters: SearchParameters
    uid: str  # random, told to snapshots, so that they know it again

    @cached_property
    def familiar_score(self) -> float:
        """The inner product with its tenth nearest row that a query has which is like the rows themselves: nearly all
        rows have a higher one. The graph was measured with such queries; of others it finds less."""
        sample = spread_out(self.graph.float16, _FAMILIAR_ROWS).astype(np.float32)
        ef_search = max(self.parameters.candidates, _FAMILIAR_EF_SEARCH)
        found = [self.graph.search(row, FAMILIAR_RANK + 1, ef_search)[0] for row in sample]  # each row finds itself
        tenth = [scores[FAMILIAR_RANK] for scores in found if len(scores) > FAMILIAR_RANK]
        return float(np.quantile(tenth, _UNFAMILIAR_SHARE)) if tenth else -1.0

    def to_bytes(self) -> memoryview:
        """Everything but the rows themselves."""
        return packed(self.graph.to_bytes(), self.clusters, self.signature_encoder, self.parameters, self.uid)

    @classmethod
    def from_bytes(cls, content: bytes | bytearray | memoryview, float16: Float16Matrix) -> AnnIndex:
        """What `to_bytes` wrote, over rows of which the first belong to it. Raises SnapshotDamaged."""
        try:
            (size,) = _HEAD.unpack_from(content)
            head = json.loads(bytes(content[_HEAD.size : _HEAD.size + size]))
            parameters, rows, uid = SearchParameters(**head["effort"]), head["rows"], head["uid"]
            at = _HEAD.size + size
            centroids = np.frombuffer(content, np.float32, head["centroids"] * float16.shape[1], at)
            at += centroids.nbytes
            mean = np.frombuffer(content, np.float32, float16.shape[1], at)
            at += mean.nbytes
            lists = np.frombuffer(content, np.int32, rows, at)
            graph = memoryview(content)[at + lists.nbytes :]
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise SnapshotDamaged(f"the ANN index cannot be parsed: {error}") from error
        if rows > len(float16):
            raise SnapshotDamaged(f"the ANN index covers {rows} rows of {len(float16)}")
        clusters = Clusters(centroids.reshape(-1, float16.shape[1]).copy(), lists.copy())
        # Rows may still be on their way into memory.
        signature_encoder = SignatureEncoder(mean.copy(), lambda: spread_out(float16[:rows], _LEANING_ROWS))
        return cls(rows, Graph.from_bytes(graph, float16[:rows]), clusters, signature_encoder, parameters, uid)


def spread_out(float16: Float16Matrix, count: int) -> Float16Matrix:
    """Up to `count` rows, as many between each and the next; erased ones are left out."""
    rows = float16[:: max(1, len(float16) // count)]
    return rows[rows.any(axis=1)]


def packed(
    graph: memoryview, clusters: Clusters, signature_encoder: SignatureEncoder, parameters: SearchParameters, uid: str
) -> memoryview:
    """An ANN index as bytes: length of the head (uint32), head (JSON), centroids (float32), what signatures are seen
    from (float32), lists (int32), graph (FAISS)."""
    centroids, lists = clusters.centroids, clusters.lists
    fields = {"uid": uid, "rows": len(lists), "centroids": len(centroids), "effort": asdict(parameters)}
    head = json.dumps(fields).encode()
    arrays = (centroids.reshape(-1).data, signature_encoder.mean.data, lists.data)
    return joined(_HEAD.pack(len(head)), head, *arrays, graph)
