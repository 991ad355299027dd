"""Going the way that was planned: which rows of a view are best, before ties and pages are thought of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.ordering import Order
from index.types.query import ScanStrategy
from index.types.record import Vector
from index.vectors.ann.faiss_index import Bits, RowNumbers, Scores, differing_bits
from index.vectors.query.boost_values import Boosts
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.gathered_rows import SignatureRows
from index.vectors.query.plan import FREE_RESULTS, Plan, are_set, exactly
from index.vectors.query.rerank import FEW_ROWS, compared, promising, relied_on

THROUGH_BASE = frozenset(
    {ScanStrategy.SKETCHES_FILTERED, ScanStrategy.GRAPH, ScanStrategy.GRAPH_FILTERED, ScanStrategy.CLUSTERS_FILTERED}
)
_DEEPER = 1.25  # what is missed of many results moves all that come after it, on every later page
_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.float32))


class Query(NamedTuple):
    """A search in the terms of the rows that it compares.

    - `vector`: as rows are compared with it. `original`: as the encoder made it. float32, shape (dimension,).
    - `k`: hits, or groups. `offset`: how many to leave out before the first. `max_distance`: 0 to 2.
    - `dropped`: allowed slots that are left out of what is found. For a few that is cheaper than not allowing them.
    - `exact`: compare each row.
    - `ef_factor`: multiplies what was measured for the ANN index.
    - `by_distance`: in the order of the encoder's own distances, although rows are compared otherwise.
    - `unlike`: the query is unlike the rows. Graph and clusters are made for queries like them, and find less.
    - `scale`: cosines are multiplied by it before distances are computed.
    - `looked`: slots and scores that `run` would find first, where somebody has found them already.
    - `diversity`: 0 to 1; `order`: by an attribute; `boosts`: of each slot; None without. See `index.vectors.arrange`.
    """

    vector: Vector
    original: Vector
    allowed: FilteredRows
    k: int = 10
    offset: int = 0
    max_distance: float | None = None
    dropped: tuple[int, ...] = ()
    exact: bool = False
    ef_factor: float = 1.0
    by_distance: bool = False
    unlike: bool = False
    scale: float = 1.0
    diversity: float = 0.0
    order: Order | None = None
    boosts: Boosts | None = None
    looked: tuple[RowNumbers, Scores] | None = None

    @property
    def is_arranged(self) -> bool:
        """Whether the order is another than that of likeness."""
        return bool(self.diversity) or self.order is not None or self.boosts is not None

    @property
    def end(self) -> int:
        """How many come before the end of the wanted part."""
        return self.offset + self.k


Positions = slice | list[int] | NDArray[np.intp] | NDArray[np.bool_]


class Hits(NamedTuple):
    """The first slots of the order, what they are ordered by (the higher the better), the way that they were found,
    and the distances that are told of them, where those were worked out: float32, 0 to 2."""

    slots: RowNumbers
    scores: Scores
    path: ScanStrategy
    distances: Scores = _NOTHING[1]

    def at(self, positions: Positions) -> Hits:
        """The hits at these positions, in their order. Their distances must have been worked out."""
        return Hits(self.slots[positions], self.scores[positions], self.path, self.distances[positions])


def run(way: Plan, query: Query, count_wanted: int) -> tuple[RowNumbers, Scores, ScanStrategy]:
    """The `count_wanted` best slots, or nearly so, best first, their inner products with the query, and the way that it
    took: another than was planned where that would have missed some."""
    if way.path is ScanStrategy.EMPTY:
        return *_NOTHING, ScanStrategy.EMPTY
    found = _through_ann_index(way, query, count_wanted) if way.path in THROUGH_BASE else None
    if found is None or len(found[0]) < min(count_wanted, query.allowed.count):
        whole = exactly(query.allowed)[0]
        return *compared_all(whole, query, count_wanted), whole.path
    return *found, way.path


def compared_all(way: Plan, query: Query, count_wanted: int) -> tuple[RowNumbers, Scores]:
    """The `count_wanted` best slots, each allowed one compared."""
    allowed = query.allowed
    if way.gathers:
        gathered = allowed.gathered(keep=way.keep and not query.exact)
        scores, rows = gathered.flat.search(query.vector, count_wanted)
        return gathered.slots[rows], scores
    scores, slots = allowed.view.all_rows.search(query.vector, count_wanted, allowed.bits)
    return slots, scores


def _through_ann_index(way: Plan, query: Query, count_wanted: int) -> tuple[RowNumbers, Scores] | None:
    """What base and signatures find, and the last rows, which have neither; None where all must be compared."""
    found = _older(way, query, count_wanted)
    return None if found is None else with_newer(way, query, found, count_wanted)


def with_newer(
    way: Plan, query: Query, found: tuple[RowNumbers, Scores], count_wanted: int
) -> tuple[RowNumbers, Scores]:
    """The best of what was found in the ANN index and of the rows that are newer, best first."""
    view = query.allowed.view
    if view.count == view.ann_rows:
        return found
    parts = [found]
    if view.last_rows > view.ann_rows and way.path is not ScanStrategy.SKETCHES_FILTERED:
        parts.append(_newer(query, found, count_wanted))
    if view.count > view.last_rows:
        last, rows = view.last.search(query.vector, count_wanted, _tail_bits(query.allowed.bits, view.last_rows))
        parts.append((rows + view.last_rows, last))
    slots, scores = np.concatenate([s for s, _ in parts]), np.concatenate([s for _, s in parts])
    order = np.argsort(-scores)[:count_wanted]
    return slots[order], scores[order]


def _older(way: Plan, query: Query, count_wanted: int) -> tuple[RowNumbers, Scores] | None:
    view, allowed = query.allowed.view, query.allowed
    assert view.ann_index is not None
    if way.path is ScanStrategy.SKETCHES_FILTERED:
        return promising(
            view, query.vector, allowed.signature_rows(keep=way.keep), count_wanted, _spreads(query, count_wanted)
        )
    if way.rows is not None:
        return _among(way.rows, query, count_wanted)
    scores, slots = view.ann_index.graph.search(
        query.vector, count_wanted, max(way.candidates, count_wanted), allowed.bits
    )
    return slots, scores


def _newer(query: Query, found: tuple[RowNumbers, Scores], count_wanted: int) -> tuple[RowNumbers, Scores]:
    """Rows that are newer than the ANN index, and may by their signatures be as good as the last of those `found` in it
    that is relied on."""
    view, bits = query.allowed.view, query.allowed.bits
    assert view.ann_index is not None
    scores, last, signature_encoder = found[1], relied_on(count_wanted), view.ann_index.signature_encoder
    if len(scores) > last:
        within = signature_encoder.within(query.vector, float(scores[last]), spreads=_spreads(query, count_wanted))
        signatures = view.signatures[view.ann_rows : view.last_rows]
        rows = (
            np.flatnonzero(differing_bits(signature_encoder.query(query.vector), signatures) <= within) + view.ann_rows
        )
    else:
        rows = np.arange(view.ann_rows, view.last_rows)
    if bits is not None:
        rows = rows[are_set(bits, rows)]
    return _among(rows, query, count_wanted)


def _among(rows: RowNumbers, query: Query, count_wanted: int) -> tuple[RowNumbers, Scores]:
    """The best of rows that all have signatures."""
    view = query.allowed.view
    if len(rows) > FEW_ROWS:
        among = SignatureRows(rows, np.take(view.signatures, rows, axis=0))
        found = promising(view, query.vector, among, count_wanted, _spreads(query, count_wanted))
        if found is not None:
            return found
    return compared(view, query.vector, rows, count_wanted)


def _spreads(query: Query, count_wanted: int) -> float:
    """How far from what is expected a signature may be, as a multiple."""
    return query.ef_factor * (_DEEPER if count_wanted > FREE_RESULTS else 1.0)


def _tail_bits(bits: Bits | None, start: int) -> Bits | None:
    """The bits from row `start` on, which is a multiple of eight: an ANN index covers whole bytes."""
    return None if bits is None else bits[start // 8 :]
