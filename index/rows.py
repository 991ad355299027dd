"""Rows of a collection in memory: half-precision vectors in one matrix, and what belongs to each slot.

A slot is a row's place; it is given once and never used again, until the rows are compacted into new ones. The writer
publishes a View after each commit; readers take the newest View and never wait. Rows below the base's end are searched
through the base; later ones, the delta, by the base's clusters, to which they are added some thousands at a time, and
the last of them exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from index.attributes import attributes_to_json
from index.base import Base
from index.bits import bitmap_bits
from index.columns import Columns
from index.faiss_index import Bits, FlatView, RowNumbers, Scores
from index.growing import GrowingArray, SlotTable
from index.halves import HalfMatrix, Halves
from index.learning import Frame
from index.model import Vector
from index.payloads import Payloads, pack_record
from index.store import RowChange
from index.turns import pause

_COPIED_ROWS = 16_384
_TURN = 32  # records that are taken over between two pauses
_LISTED_LEAST, _LISTED_AT_ONCE = 2048, 4096  # rows that are added to the base's lists together


@dataclass(frozen=True)
class View:
    """What readers see: the state after one commit. Slots at or above `count` belong to later commits."""

    count: int
    live: FrozenBitMap
    halves: Halves
    base: Base | None
    columns: Columns
    payloads: Payloads
    row_ids: NDArray[np.int64]
    sequences: NDArray[np.int64]
    products: NDArray[np.int32]
    sequence: int
    index_time_ms: int
    slot_of_row: SlotTable
    frame: Frame | None
    lengths: NDArray[np.float32]  # only where there is a frame
    listed: NDArray[np.int32]  # for each of the first rows of the delta, the base's list that it belongs to

    def distances(self, query: Vector, slots: RowNumbers) -> Scores:
        """Cosine distances, by the encoder's own vectors, of a query of length 1."""
        halves = gather(self, slots)
        if self.frame is None:
            cosines = halves.astype(np.float32) @ query
        else:
            cosines = self.frame.cosines(query, halves, self.lengths[slots])
        return np.asarray(np.maximum(1.0 - cosines, 0.0), np.float32)

    def originals(self, slots: RowNumbers) -> NDArray[np.float32]:
        """Vectors as the encoder made them, shape (n, dimension), as exact as half precision is."""
        halves = gather(self, slots)
        if self.frame is None:
            return halves.astype(np.float32)
        return self.frame.originals(halves, self.lengths[slots])

    def slots_of(self, row_ids: Iterable[int]) -> list[int]:
        """The live slots of those rows that have one."""
        found = []
        for row_id in row_ids:
            slot = self.slot_of_row.find(row_id)
            if not 0 <= slot < self.count or self.row_ids[slot] != row_id:  # written anew or deleted since the view
                slot = next((s for s in np.flatnonzero(self.row_ids == row_id).tolist() if s in self.live), -1)
            if slot >= 0 and slot in self.live:
                found.append(slot)
        return found

    def slots_of_product(self, product_id: str) -> list[int]:
        """The live slots of a product's records."""
        code = self.columns.products.find(product_id)
        slots = [] if code is None else np.flatnonzero(self.products[: self.count] == code).tolist()
        return [s for s in slots if s in self.live]

    @property
    def base_rows(self) -> int:
        """Where the delta begins."""
        return self.base.rows if self.base is not None else 0

    @cached_property
    def records(self) -> int:
        """How many rows are live."""
        return len(self.live)

    @cached_property
    def all_rows(self) -> FlatView:
        """An exact scan over all rows."""
        return FlatView(self.halves)

    @property
    def last_rows(self) -> int:
        """Where the rows begin that neither the base nor its lists know; a multiple of eight."""
        return self.base_rows + len(self.listed)

    @cached_property
    def last(self) -> FlatView:
        """An exact scan over those rows."""
        return FlatView(self.halves[self.last_rows :]) if self.last_rows else self.all_rows

    @cached_property
    def live_bits(self) -> Bits | None:
        """The live rows as bits; None where all are."""
        return None if self.records == self.count else bitmap_bits(self.live, self.count)


@dataclass
class _Dying:
    """Slots that died, until they are erased: those of this turn, and those of the turn before."""

    recent: BitMap
    earlier: BitMap
    turned: float


class Rows:
    """The writer's side. All methods but `view` are called by one thread at a time."""

    def __init__(self, dimension: int, capacity: int = 64, frame: Frame | None = None) -> None:
        """`frame`: how the vectors are compared; None: as they are."""
        self.matrix = HalfMatrix(dimension, capacity)
        self.frame = frame
        self._lengths = GrowingArray(np.float32)
        self.base: Base | None = None
        self._listed = GrowingArray(np.int32)
        self._live = BitMap()
        self._columns, self._payloads = Columns(), Payloads()
        self._row_ids, self._sequences = GrowingArray(np.int64), GrowingArray(np.int64)
        self._products = GrowingArray(np.int32)
        self._slot_of_row = SlotTable()
        self._dying = _Dying(BitMap(), BitMap(), time.monotonic())
        self.view = self._make_view(0)

    @classmethod
    def of(cls, view: View, matrix: HalfMatrix) -> Rows:
        """Rows that begin as `view`, whose vectors are in `matrix`. Nobody else may write to the view's parts."""
        rows = cls(matrix.dimension, 1, view.frame)
        rows._lengths = GrowingArray(np.float32, view.lengths)
        rows.matrix, rows.base = matrix, view.base
        rows._live, rows._columns, rows._payloads = BitMap(view.live), view.columns, view.payloads
        rows._row_ids, rows._sequences = GrowingArray(np.int64, view.row_ids), GrowingArray(np.int64, view.sequences)
        rows._products = GrowingArray(np.int32, view.products)
        live = np.array(view.live, np.int64)
        rows._slot_of_row.fill(view.row_ids[live], live)
        rows._dying.earlier = BitMap(range(view.count)) - view.live
        rows._listed = GrowingArray(np.int32, view.listed)
        rows.view = rows._make_view(view.sequence)
        return rows

    def apply(self, changes: Sequence[RowChange], sequence: int) -> None:
        """Takes over the changes of a commit and publishes a new view."""
        self._enter([c for c in changes if c.record is not None])
        self._list_later()
        slot = self.view.count
        for change in changes:
            old = self._slot_of_row.pop(change.row_id)
            if old is not None:
                self._live.discard(old)
                self._dying.recent.add(old)
            if change.record is not None:
                self._slot_of_row.put(change.row_id, slot)
                self._live.add(slot)
                slot += 1
        self.view = self._make_view(sequence)

    def set_query_mean(self, query_mean: Vector) -> None:
        """Publishes a view whose queries are centred so; the rows stay as they are."""
        if self.frame is not None:
            self.frame = replace(self.frame, query_mean=query_mean)
            self.view = self._make_view(self.view.sequence, self.view.index_time_ms)

    def set_base(self, base: Base | None) -> None:
        """Publishes a view with this base."""
        before, self.base = self.base, base
        kept = base is not None and before is not None and base.extends(before)
        listed = self._listed.data[base.rows - before.rows : self._listed.length] if kept else None  # type: ignore[union-attr]
        self._listed = GrowingArray(np.int32, listed)
        self.view = self._make_view(self.view.sequence, self.view.index_time_ms)

    def list_later(self) -> bool:
        """Adds some rows that are newer than the base to its lists, and publishes a view; whether there were enough."""
        if not self._list_later():
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
        gone = np.array(self._dying.earlier, np.int64)
        self._dying = _Dying(BitMap(), self._dying.recent, now)
        if len(gone):
            self.matrix.erase(gone)
            self._payloads.erase(gone)
            self._columns.keep(self._live, self.view.products)
        return len(gone)

    def _enter(self, changes: Sequence[RowChange]) -> None:
        """Fills the next slots, which no view shows yet."""
        records = [c.record for c in changes if c.record is not None]
        if not records:
            return
        vectors = np.stack([r.vector for r in records])  # type: ignore[misc]
        if self.frame is not None:
            vectors, lengths = self.frame.rows(vectors)
            self._lengths.extend(lengths)
        self.matrix.append(vectors)
        for slot, record, change in zip(count(self._row_ids.length), records, changes, strict=False):
            if slot % _TURN == 0:
                pause()
            self._columns.add(slot, record.attributes)
            self._payloads.append(pack_record(record, change.attributes_json or attributes_to_json(record.attributes)))
        self._sequences.extend([r.sequence for r in records])
        self._products.extend([self._columns.products.code(r.product_id) for r in records])
        self._row_ids.extend([r.row_id for r in records])

    def _list_later(self) -> bool:
        if self.base is None:
            return False
        start = self.base.rows + self._listed.length
        count = min(self.matrix.rows - start, _LISTED_AT_ONCE) // 8 * 8
        if count < _LISTED_LEAST:
            return False
        self._listed.extend(self.base.clusters.nearest(self.matrix.view(start, start + count)))
        return True

    def _make_view(self, sequence: int, index_time_ms: int | None = None) -> View:
        rows = self._row_ids.length
        return View(
            rows, FrozenBitMap(self._live), self.matrix.view(0, rows), self.base, self._columns, self._payloads,
            self._row_ids.data[:rows], self._sequences.data[:rows], self._products.data[:rows], sequence,
            time.time_ns() // 1_000_000 if index_time_ms is None else index_time_ms, self._slot_of_row,
            self.frame, self._lengths.data[: self._lengths.length], self._listed.data[: self._listed.length],
        )  # fmt: skip


def compacted(view: View) -> Rows:
    """New rows with the live ones of `view` alone, without a base. Needs memory for a second copy of them."""
    live = np.array(view.live, np.int64)
    places = np.full(view.count, -1, np.int64)
    places[live] = np.arange(len(live))
    matrix = HalfMatrix(view.halves.shape[1], max(64, len(live)))
    payloads = Payloads()
    for start in range(0, len(live), _COPIED_ROWS):
        slots = live[start : start + _COPIED_ROWS]
        matrix.append(view.halves[slots])
        for slot in slots.tolist():
            payloads.append(view.payloads.record(slot))
    alone = replace(
        view, count=len(live), live=FrozenBitMap(range(len(live))), halves=matrix.view(0, len(live)), base=None,
        columns=view.columns.moved(places), payloads=payloads, row_ids=view.row_ids[live],
        sequences=view.sequences[live], products=view.products[live],
        lengths=view.lengths[live] if view.frame is not None else view.lengths, listed=view.listed[:0],
    )  # fmt: skip
    return Rows.of(alone, matrix)


def memory_of(view: View) -> int:
    """About how many bytes the rows of a view take: vectors, records, row numbers and the base."""
    base = (
        0
        if view.base is None
        else 2 * len(view.base.content) + view.base.clusters.centroids.nbytes + 12 * view.base_rows
    )
    return view.halves.nbytes + view.payloads.bytes + 28 * view.count + base


def gather(view: View, slots: NDArray[np.int64]) -> Halves:
    """The vectors of some slots, shape (n, dimension), in half precision."""
    return np.take(view.halves, slots, axis=0)
