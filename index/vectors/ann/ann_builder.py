"""Building an ANN index, as a process of its own: `python -m index.vectors.ann.ann_builder`.

It reads a Job as JSON from standard input, and maps the rows from the file descriptor that it was given. It writes the
ANN index to the other one, and after it the signatures of its rows; of those that are new if it extends another. Then
it says how many bytes each takes. It is to run when nothing else wants the processor. If FAISS aborts here, a server
goes on as it was.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import sys
from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.types.errors import AfterimageIndexError
from index.vectors.ann.ann_index import AnnIndex, Clusters, SearchParameters, packed
from index.vectors.ann.faiss_index import Centroids, FlatView, Graph, cluster
from index.vectors.ann.signatures import SignatureEncoder
from index.vectors.arrays.float16_matrix import Float16Matrix, mapped_float16

TARGET_RECALL = 0.994  # against rows in half precision; against single precision 0.001 to 0.003 less
_ROWS_PER_LIST, _MOST_LISTS, _FEWEST_LISTS = 128, 4096, 16
_SAMPLE, _ENOUGH, _K = 1024, 64, 10
_EFFORTS = (16, 24, 32, 36, 40, 44, 48, 56, 64, 72, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024)
_EXACT_BLOCK = 262_144
_VISITED_SHARE = 0.993
_SKETCHED_FROM = 16_384  # rows whose mean signatures are seen from


@dataclass(frozen=True)
class Job:
    """rows: how many of the matrix to build over; previous: size of the ANN index that lies in the output and is to be
    extended, 0 for none."""

    rows_descriptor: int
    output_descriptor: int
    rows: int
    dimension: int
    previous: int = 0


def main() -> int:
    """Builds; the exit status is 0 where it is done."""
    job = Job(**json.load(sys.stdin))
    float16 = mapped_float16(job.rows_descriptor, job.rows * job.dimension * 2, job.dimension)
    previous = None
    if job.previous:
        previous = AnnIndex.from_bytes(_read(job), float16)
    content, signature_encoder = build(float16, previous)
    signatures = signature_encoder.rows(float16[previous.rows if previous is not None else 0 :])
    os.ftruncate(job.output_descriptor, 0)
    written = 0
    for part in (content, signatures.reshape(-1).data):
        end = written + len(part)
        while written < end:
            written += os.pwrite(job.output_descriptor, part[len(part) - (end - written) :][: 1 << 30], written)
    print(json.dumps({"bytes": len(content), "sketches": signatures.nbytes}))
    return 0


def build(float16: Float16Matrix, previous: AnnIndex | None) -> tuple[memoryview, SignatureEncoder]:
    """The ANN index over all rows, extending `previous` where it is given. Rows that are all zero are erased ones.

    The parameters are measured with rows that the graph does not have yet, like queries that are new to the collection.
    These rows are added last.
    """
    known = max(len(float16) - _SAMPLE, len(float16) // 2, previous.rows if previous is not None else 0)
    if previous is None:
        centroids, trained = _centroids(float16), len(float16)
        signature_encoder = SignatureEncoder.of_sample(_sample(float16, 0, len(float16), _SKETCHED_FROM))
        lists = Centroids(centroids).nearest(float16)
        graph = Graph.build(float16[:known], None)
    else:
        centroids, trained = previous.clusters.centroids, previous.parameters.trained_rows
        signature_encoder = previous.signature_encoder
        lists = np.concatenate([previous.clusters.lists, Centroids(centroids).nearest(float16[previous.rows :])])
        graph = previous.graph.to_bytes()
        if known > previous.rows:
            graph = Graph.build(float16[:known], graph)
    queries = _sample(float16, known, len(float16), _SAMPLE)
    if previous is not None and len(queries) < _ENOUGH:
        parameters = previous.parameters
    else:
        seen = Graph.from_bytes(graph, float16[:known]), Clusters(centroids, lists[:known])
        parameters = replace(measured(float16[:known], queries, *seen), trained_rows=trained)
    whole = Graph.build(float16, graph)
    return packed(
        whole, Clusters(centroids, lists), signature_encoder, parameters, secrets.token_hex(8)
    ), signature_encoder


def measured(
    float16: Float16Matrix, queries: NDArray[np.float32], graph: Graph, clusters: Clusters
) -> SearchParameters:
    """The least ef_search that finds TARGET_RECALL of the ten nearest rows of the queries, for 97.5 % of the
    samples that could have been drawn: two standard errors above it."""
    nearest = _exact(float16, queries)
    reached: dict[int, float] = {}

    def enough(ef_search: int) -> bool:
        found = [graph.search(q, _K, ef_search)[1] for q in queries]
        shares = np.array([len(np.intersect1d(f, n)) for f, n in zip(found, nearest, strict=True)]) / _K
        reached[ef_search] = float(shares.mean())
        return reached[ef_search] - 2 * float(shares.std()) / math.sqrt(len(shares)) >= TARGET_RECALL

    ef_search = _EFFORTS[bisect_left(_EFFORTS[:-1], True, key=enough)]
    if ef_search not in reached:  # the last, which is taken whatever it reaches
        enough(ef_search)
    visits = np.sort(np.concatenate([_visited(clusters, q, n) for q, n in zip(queries, nearest, strict=True)]))
    visited = int(visits[min(len(visits) - 1, int(_VISITED_SHARE * len(visits)))])
    return SearchParameters(ef_search, visited, reached[ef_search], len(float16))


def _centroids(float16: Float16Matrix) -> NDArray[np.float32]:
    lists = int(np.clip(len(float16) // _ROWS_PER_LIST, _FEWEST_LISTS, _MOST_LISTS))
    sample = _sample(float16, 0, len(float16), lists * 64)
    return cluster(sample, min(lists, len(sample)))


def _sample(float16: Float16Matrix, start: int, end: int, count: int) -> NDArray[np.float32]:
    """Up to `count` rows of start..end that are not erased, in order of row number."""
    chosen = np.sort(np.random.default_rng(1).permutation(end - start)[: count * 5 // 4]) + start
    rows = float16[chosen]
    return rows[rows.any(axis=1)][:count].astype(np.float32)


def _exact(float16: Float16Matrix, queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows of the ten nearest of each query, shape (queries, 10)."""
    scores, rows = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(float16), _EXACT_BLOCK):
        block = FlatView(float16[start : start + _EXACT_BLOCK]).search_many(queries, _K)
        scores, rows = np.hstack([scores, block[0]]), np.hstack([rows, block[1] + start])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_K]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
    return rows


def _visited(clusters: Clusters, query: NDArray[np.float32], nearest: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the nearest rows, how many rows are seen when lists are walked by distance up to its own."""
    order = clusters.by_distance(query)
    seen = np.cumsum(clusters.sizes(order))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return np.asarray(seen[place[clusters.lists[nearest]]])


def _read(job: Job) -> bytes:
    parts, at = [], 0
    while at < job.previous:
        parts.append(os.pread(job.output_descriptor, min(1 << 30, job.previous - at), at))
        at += len(parts[-1])
    return b"".join(parts)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AfterimageIndexError as error:
        sys.exit(f"the ANN index was not built: {error}")
