"""Rows of a collection in memory: half-precision vectors in one matrix, and what belongs to each slot.

A slot is a row's place; it is given once and never used again, until the rows are compacted into new ones. The writer
publishes a View after each commit; readers take the newest View and never wait. Rows below the ANN index's end are
searched through the ANN index; later ones, the delta, by signatures, which they are given some hundreds at a time, the
last exactly.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyroaring import BitMap, FrozenBitMap

from index.speed.gil_yield import batches_yielding
from index.speed.roaring_arrays import members
from index.types.attributes import attributes_to_json
from index.types.changes import RowChange
from index.types.record import StoredRecord, Vector
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.row_signatures import NO_SKETCHES, RowSignatures
from index.vectors.ann.signatures import Signatures
from index.vectors.arrays.float16_matrix import RowMatrix
from index.vectors.arrays.growing_arrays import GrowingArray, SlotTable
from index.vectors.fields.columns import Columns
from index.vectors.segment.payloads import Payloads, pack_record
from index.vectors.segment.view import View

_COPIED_ROWS = 16_384
_TOGETHER = 32  # records that are entered between two pauses


@dataclass
class _Dying:
    """Slots that died, until they are erased: those of this turn, and those of the turn before."""

    recent: BitMap
    earlier: BitMap
    turned: float


@dataclass(frozen=True)
class StagedRows:
    """Changes whose slots are filled and that no view shows yet."""

    rows: Rows
    changes: Sequence[RowChange]

    def publish(self, sequence: int) -> None:
        """Publishes a view with the changes. sequence: number of the last write in them."""
        self.rows._publish(self.changes, sequence)

    def discard(self) -> None:
        """Leaves the slots dead."""
        self.rows._discard()


class Rows:
    """The writer's side. All methods but `view` are called by one thread at a time."""

    def __init__(self, dimension: int, capacity: int = 64, transform: CenteringTransform | None = None) -> None:
        """`transform`: how the vectors are compared; None: as they are."""
        self.matrix = RowMatrix(dimension, capacity)
        self.transform = transform
        self._lengths = GrowingArray(np.float32)
        self.ann_index: AnnIndex | None = None
        self._signatures = RowSignatures()
        self._live = BitMap()
        self._columns, self._payloads = Columns(), Payloads()
        self._row_ids, self._sequences = GrowingArray(np.int64), GrowingArray(np.int64)
        self._products = GrowingArray(np.int32)
        self._slot_of_row = SlotTable()
        self._dying = _Dying(BitMap(), BitMap(), time.monotonic())
        self.view = self._make_view(0)

    @classmethod
    def of(cls, view: View, matrix: RowMatrix) -> Rows:
        """Rows that begin as `view`, whose vectors are in `matrix`. Nobody else may write to the view's parts."""
        rows = cls(matrix.width, 1, view.transform)
        rows._lengths = GrowingArray(np.float32, view.lengths)
        rows.matrix, rows.ann_index = matrix, view.ann_index
        rows._live, rows._columns, rows._payloads = BitMap(view.live), view.columns, view.payloads
        rows._row_ids, rows._sequences = GrowingArray(np.int64, view.row_ids), GrowingArray(np.int64, view.sequences)
        rows._products = GrowingArray(np.int32, view.products)
        live = members(view.live)
        rows._slot_of_row.fill(view.row_ids[live], live)
        rows._dying.earlier = BitMap(range(view.count)) - view.live
        rows.view = rows._make_view(view.sequence)
        return rows

    def apply(self, changes: Sequence[RowChange], sequence: int) -> None:
        """Takes over the changes of a commit and publishes a new view."""
        self.stage(changes).publish(sequence)

    def stage(self, changes: Sequence[RowChange]) -> StagedRows:
        """Fills the next slots, which no view shows until the changes are published."""
        for block in batches_yielding(changes, _TOGETHER):
            self._enter([(c, c.record) for c in block if c.record is not None])
        return StagedRows(self, changes)

    def _enter(self, written: Sequence[tuple[RowChange, StoredRecord]]) -> None:
        if not written:
            return
        records = [record for _, record in written]
        vectors = np.stack([r.vector for r in records])  # type: ignore[misc]
        if self.transform is not None:
            vectors, lengths = self.transform.rows(vectors)
            self._lengths.extend(lengths)
        self.matrix.append(vectors)
        self._columns.extend(self._row_ids.length, [r.attributes for r in records])
        for change, record in written:
            attributes = change.attributes_json or attributes_to_json(record.attributes)
            self._payloads.append(pack_record(record, attributes))
        self._sequences.extend([r.sequence for r in records])
        self._products.extend([self._columns.products.code(r.product_id) for r in records])
        self._row_ids.extend([r.row_id for r in records])

    def _publish(self, changes: Sequence[RowChange], sequence: int) -> None:
        """Publishes a view with the staged changes."""
        self._signatures.extend(self.matrix)
        slot = self.view.count
        for block in batches_yielding(changes, _TOGETHER):
            for change in block:
                old = self._slot_of_row.pop(change.row_id)
                if old is not None:
                    self._live.discard(old)
                    self._dying.recent.add(old)
                if change.record is not None:
                    self._slot_of_row.put(change.row_id, slot)
                    self._live.add(slot)
                    slot += 1
        self.view = self._make_view(sequence)

    def _discard(self) -> None:
        """Takes back what was staged: its slots are dead, and are erased as such."""
        self._dying.recent.update(range(self.view.count, self._row_ids.length))
        self.view = self._make_view(self.view.sequence, self.view.index_time_ms)

    def set_query_mean(self, query_mean: Vector) -> None:
        """Publishes a view whose queries are centred so; the rows stay as they are."""
        if self.transform is not None:
            self.transform = replace(self.transform, query_mean=query_mean)
            self.view = self._make_view(self.view.sequence, self.view.index_time_ms)

    def set_ann_index(self, ann_index: AnnIndex | None, signatures: Signatures = NO_SKETCHES) -> None:
        """Publishes a view with this ANN index. `signatures`: of its rows; or, where it extends the one before, of
        those that it has besides that one's."""
        self.ann_index, self._signatures = ann_index, self._signatures.rebased(ann_index, signatures)
        self._signatures.erase(members(BitMap(range(self._signatures.rows)) - self._live))
        self.view = self._make_view(self.view.sequence, self.view.index_time_ms)

    def sign_newer_rows(self) -> bool:
        """Computes signatures of some rows newer than the ANN index, and publishes a view. Returns whether there were
        enough."""
        if not self._signatures.extend(self.matrix):
            return False
        self.view = self._make_view(self.view.sequence, self.view.index_time_ms)
        return True

    @property
    def erasures_wait(self) -> bool:
        """Whether rows died that are not erased yet."""
        return bool(self._dying.recent or self._dying.earlier)

    def erase_dead(self, turn_s: float) -> int:
        """Overwrites rows that died at least `turn_s` ago, so that no search still uses them; returns how many.

        A row is erased at the second call after its death, calls within `turn_s` of the last one doing nothing.
        """
        now = time.monotonic()
        if now - self._dying.turned < turn_s:
            return 0
        gone = members(self._dying.earlier)
        self._dying = _Dying(BitMap(), self._dying.recent, now)
        if len(gone):
            self.matrix.erase(gone)
            self._signatures.erase(gone)
            self._payloads.erase(gone)
            self._columns.keep(self._live, self.view.products)
        return len(gone)

    def _make_view(self, sequence: int, index_time_ms: int | None = None) -> View:
        rows = self._row_ids.length
        return View(
            rows, FrozenBitMap(self._live), self.matrix.view(0, rows), self.ann_index, self._columns, self._payloads,
            self._row_ids.data[:rows], self._sequences.data[:rows], self._products.data[:rows], sequence,
            time.time_ns() // 1_000_000 if index_time_ms is None else index_time_ms, self._slot_of_row,
            self.transform, self._lengths.data[: self._lengths.length], self._signatures.signatures,
        )  # fmt: skip


def compacted(view: View) -> Rows:
    """New rows with the live ones of `view` alone, without an ANN index. Needs memory for a second copy of them."""
    live = members(view.live)
    places = np.full(view.count, -1, np.int64)
    places[live] = np.arange(len(live))
    matrix = RowMatrix(view.float16.shape[1], max(64, len(live)))
    payloads = Payloads()
    for start in range(0, len(live), _COPIED_ROWS):
        slots = live[start : start + _COPIED_ROWS]
        matrix.append(view.float16[slots])
        for slot in slots.tolist():
            payloads.append(view.payloads.record(slot))
    alone = replace(
        view, count=len(live), live=FrozenBitMap(range(len(live))), float16=matrix.view(0, len(live)), ann_index=None,
        columns=view.columns.moved(places), payloads=payloads, row_ids=view.row_ids[live],
        sequences=view.sequences[live], products=view.products[live],
        lengths=view.lengths[live] if view.transform is not None else view.lengths, signatures=NO_SKETCHES,
    )  # fmt: skip
    return Rows.of(alone, matrix)


def memory_of(view: View) -> int:
    """About how many bytes the rows of a view take: vectors, records, row numbers, signatures and the ANN index."""
    ann_index = (
        0
        if view.ann_index is None
        else view.ann_index.graph.bytes + view.ann_index.clusters.centroids.nbytes + 12 * view.ann_rows
    )
    return view.float16.nbytes + view.signatures.nbytes + view.payloads.bytes + 28 * view.count + ann_index
