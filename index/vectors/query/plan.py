"""Which way a search takes, from what is allowed and where it lies: the cheapest of those that keep the recall.

All rows are counted before anything is compared. Under a filter, what matters is not how much it lets through but how
much of that is near the query: a filter that leaves out just the query's surroundings makes a graph miss everything. So
the share of allowed rows is taken among the rows nearest to the query, by cluster. Costs are in nanoseconds per number
of a vector, measured on x86-64 with AVX2; only their ratios matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.query import ScanStrategy
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.faiss_index import Bits, Scores
from index.vectors.ann.signatures import BYTES
from index.vectors.query.filter_cache import FilteredRows

_TOGETHER, _GATHER, _SCAN, _GRAPH = 0.07, 0.3, 0.45, 7.0  # rows that lie together, are copied, are scanned; a step
_ALL = 0.16  # each row of all
_SKIP_NS, _MEMBER_NS = 2.0, 12.0  # per row that a scan passes over, per row that is looked up in the bits
_SKETCH_NS, _SKETCH_GATHER_NS = 1.2, 6.0  # per signature that lies together, that is copied
_PROMISING_NS = 65_000.0  # for comparing the rows whose signatures promise most
_LIST, _LIST_NS = 0.04, 8.0  # per number of a centroid, per list that is put in order
_LOCAL_ROWS, _LEAST_LOCAL, _MOST_CANDIDATES = 2048, 0.05, 1024
FREE_RESULTS = 28  # as many results cost no more than ten
MAX_ANN_RESULTS = 2048  # for more results than this every row is compared
_WORTH = 3.0  # where the best way known takes less than so many times the planning of others, those are not looked at
_SKETCH_BYTES = BYTES + 8  # and its row number


class Plan(NamedTuple):
    """How a search finds its rows.

    - `candidates`: for the graph (efSearch).
    - `rows`: which rows of the ANN index to compare, if the clusters chose them.
    - `gathers`: whether rows that are compared exactly are copied together first.
    - `keep`: whether what is copied together, vectors or signatures, is kept for the next search.
    """

    path: ScanStrategy
    candidates: int = 0
    rows: NDArray[np.int64] | None = None
    gathers: bool = False
    keep: bool = False


def plan(
    allowed: FilteredRows, query: Scores, count_wanted: int, *, ef_factor: float = 1.0, unlike: bool = False
) -> Plan:
    """Plans the search for the `count_wanted` nearest. `ef_factor` multiplies the measured efSearch.
    unlike: the query is unlike the rows.

    Graph and clusters were measured with queries like the rows, and for ten results. For others, and for more results,
    signatures say by themselves how far to look, and all rows are compared where that is nearly everywhere.
    """
    view = allowed.view
    if not allowed.count:
        return Plan(ScanStrategy.EMPTY)
    exact, exact_ns = exactly(allowed)
    if view.ann_index is None or count_wanted > MAX_ANN_RESULTS or allowed.count <= count_wanted:
        return exact
    if not allowed.everything and exact_ns <= min(_PROMISING_NS, _WORTH * _LOCAL_ROWS * _MEMBER_NS):
        return exact  # no signatures are faster, and no other way is worth a look
    candidates = int(view.ann_index.parameters.candidates * ef_factor)
    dimension = view.float16.shape[1]
    by_ann_index = count_wanted <= FREE_RESULTS and not unlike
    if allowed.everything and by_ann_index:
        return Plan(ScanStrategy.GRAPH, candidates) if candidates * dimension * _GRAPH < exact_ns else exact
    signatures_ns, keep = _by_signatures(allowed)
    cheapest = exact if exact_ns <= signatures_ns else Plan(ScanStrategy.SKETCHES_FILTERED, keep=keep)
    least_ns = min(exact_ns, signatures_ns)
    if not by_ann_index:
        return cheapest
    planning_ns = _LOCAL_ROWS * _MEMBER_NS + len(view.ann_index.clusters.centroids) * (dimension * _LIST + _LIST_NS)
    if least_ns < _WORTH * planning_ns:
        return cheapest
    return _under_filter(allowed, query, candidates, view.ann_index, least_ns) or cheapest


def expected_s(allowed: FilteredRows, count_wanted: int, *, ef_factor: float = 1.0) -> float:
    """About how many seconds the search for the `count_wanted` nearest takes, before anything is looked up."""
    view, (_, least_ns) = allowed.view, exactly(allowed)
    if view.ann_index is None or not allowed.count or count_wanted > MAX_ANN_RESULTS:
        return least_ns / 1e9
    if allowed.everything and count_wanted <= FREE_RESULTS:
        candidates, dimension = view.ann_index.parameters.candidates * ef_factor, view.float16.shape[1]
        newer_ns = (view.last_rows - view.ann_rows) * _SKETCH_NS + (view.count - view.last_rows) * dimension * _ALL
        return float(min(candidates * dimension * _GRAPH + newer_ns, least_ns)) / 1e9
    return min(_by_signatures(allowed)[0], least_ns) / 1e9


def exactly(allowed: FilteredRows) -> tuple[Plan, float]:
    """The cheapest way to compare each allowed row, and what it takes, in nanoseconds. Vectors are copied together for
    good from the second search on, where the view has room for them."""
    count, dimension = allowed.count, allowed.view.float16.shape[1]
    path = ScanStrategy.EXACT if allowed.everything else ScanStrategy.EXACT_FILTERED
    if allowed.everything and count == allowed.view.count:
        return Plan(path), count * dimension * _ALL
    keep = allowed.is_gathered or (allowed.asked > 1 and not allowed.everything and allowed.has_room(dimension * 2))
    gather_ns = count * dimension * (_TOGETHER if keep else _GATHER)
    scan_ns = allowed.view.count * _SKIP_NS + count * dimension * _SCAN
    return Plan(path, gathers=gather_ns < scan_ns, keep=keep), min(gather_ns, scan_ns)


def _by_signatures(allowed: FilteredRows) -> tuple[float, bool]:
    """What looking at each allowed row's signature takes, in nanoseconds, and whether to keep them together."""
    if allowed.everything:
        return _PROMISING_NS + allowed.view.count * _SKETCH_NS, False
    keep = allowed.has_signature_rows or (allowed.asked > 1 and allowed.has_room(_SKETCH_BYTES))
    return _PROMISING_NS + allowed.count * (_SKETCH_NS if keep else _SKETCH_GATHER_NS), keep


def _under_filter(
    allowed: FilteredRows, query: Scores, candidates: int, ann_index: AnnIndex, least_ns: float
) -> Plan | None:
    bits, dimension = allowed.bits, allowed.view.float16.shape[1]
    assert bits is not None
    order = ann_index.clusters.by_distance(query)
    seen = np.cumsum(ann_index.clusters.sizes(order))
    near = ann_index.clusters.rows(order[: int(np.searchsorted(seen, _LOCAL_ROWS)) + 1])
    local = float(are_set(bits, near).mean()) if len(near) else 0.0
    wanted = ann_index.parameters.visited
    graph_ns = lists_ns = float("inf")
    if local >= _LEAST_LOCAL and candidates / local <= _MOST_CANDIDATES:
        graph_ns = candidates / local * dimension * _GRAPH
    if wanted < allowed.count:
        rows_ns = min(wanted * dimension * _GATHER, _PROMISING_NS + wanted * _SKETCH_GATHER_NS)
        lists_ns = rows_ns + wanted / max(local, allowed.count / len(bits) / 8) * _MEMBER_NS
    if least_ns <= min(graph_ns, lists_ns):
        return None
    if graph_ns <= lists_ns:
        return Plan(ScanStrategy.GRAPH_FILTERED, int(candidates / local))
    return Plan(ScanStrategy.CLUSTERS_FILTERED, rows=_offered(ann_index, order, seen, bits, wanted))


def _offered(
    ann_index: AnnIndex, order: NDArray[np.int64], seen: NDArray[np.int64], bits: Bits, wanted: int
) -> NDArray[np.int64]:
    """Allowed rows of the nearest lists, until they are `wanted`."""
    found: list[NDArray[np.int32]] = []
    total, start, look_at = 0, 0, wanted
    while total < wanted and start < len(order):
        end = int(np.searchsorted(seen, (seen[start - 1] if start else 0) + look_at)) + 1
        rows = ann_index.clusters.rows(order[start:end])
        rows = rows[are_set(bits, rows)]
        found.append(rows)
        total, start, look_at = total + len(rows), end, look_at * 2
    return np.sort(np.concatenate(found)).astype(np.int64)


def are_set(bits: Bits, rows: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the rows are set."""
    return np.asarray((bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1, np.bool_)
