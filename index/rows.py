"""Rows of a collection in memory: vectors in blocks, and what belongs to each slot.

A slot is a row's place; it is given once and never used again. New vectors go to a buffer (the tail) that is scanned
with numpy; when it is full it becomes a sealed FAISS block and a new tail begins. The writer publishes a View after
each commit; readers take the newest View and never wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from index.columns import Columns
from index.faiss_flat import FlatBlock
from index.growing import GrowingArray
from index.store import RowChange

TAIL_ROWS = 4096
_FIRST_TAIL_ROWS = 64


@dataclass(frozen=True)
class Block:
    """Consecutive slots from `start` on: a sealed FAISS block, or the used part of the tail."""

    start: int
    vectors: FlatBlock | NDArray[np.float32]

    @property
    def rows(self) -> int:
        return self.vectors.rows if isinstance(self.vectors, FlatBlock) else len(self.vectors)


@dataclass(frozen=True)
class View:
    """What readers see: the state after one commit. Slots at or above `count` belong to later commits."""

    count: int
    live: FrozenBitMap
    blocks: tuple[Block, ...]
    columns: Columns
    row_ids: NDArray[np.int64]
    sequences: NDArray[np.int64]
    products: NDArray[np.int32]
    sequence: int
    index_time_ms: int


class Rows:
    """The writer's side. All methods but `view` are called by one thread at a time."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._sealed: list[Block] = []
        self._tail_start = 0
        self._tail = np.zeros((_FIRST_TAIL_ROWS, dimension), np.float32)
        self._live = BitMap()
        self._columns = Columns()
        self._row_ids = GrowingArray(np.int64)
        self._sequences = GrowingArray(np.int64)
        self._products = GrowingArray(np.int32)
        self._slot_of_row: dict[int, int] = {}
        self.dead_since: float | None = None  # when the oldest dead row died, by the monotonic clock
        self.view = self._make_view(0)

    def load(self, block: FlatBlock, changes: Sequence[RowChange]) -> None:
        """Fills empty rows from a snapshot: its block, and a change without a vector for each of its rows."""
        self._sealed = [Block(0, block)]
        self._tail_start = block.rows
        for slot, change in enumerate(changes):
            self._enter(slot, change)

    def apply(self, changes: Sequence[RowChange], sequence: int) -> None:
        """Takes over the changes of a commit and publishes a new view."""
        for change in changes:
            old = self._slot_of_row.pop(change.row_id, None)
            if old is not None:
                self._live.discard(old)
                self.dead_since = self.dead_since or time.monotonic()
            if change.record is not None:
                assert change.record.vector is not None
                self._append_vector(change.record.vector)
                self._enter(self._row_ids.length, change)
        self.view = self._make_view(sequence)

    def _enter(self, slot: int, change: RowChange) -> None:
        record = change.record
        assert record is not None
        self._columns.add(slot, record.attributes)
        self._row_ids.append(record.row_id)
        self._sequences.append(record.sequence)
        self._products.append(self._columns.product_code(record.product_id))
        self._slot_of_row[record.row_id] = slot
        self._live.add(slot)

    def _append_vector(self, vector: NDArray[np.float32]) -> None:
        used = self._row_ids.length - self._tail_start
        if used == TAIL_ROWS:
            self._sealed.append(Block(self._tail_start, FlatBlock.from_vectors(self._tail)))
            self._tail_start, used = self._row_ids.length, 0
            self._tail = np.zeros((_FIRST_TAIL_ROWS, self._dimension), np.float32)
        elif used == len(self._tail):
            larger = np.zeros((min(used * 4, TAIL_ROWS), self._dimension), np.float32)
            larger[:used] = self._tail
            self._tail = larger
        self._tail[used] = vector.astype(np.float16)  # as a sealed block will hold it: scores do not jump

    def _make_view(self, sequence: int) -> View:
        count = self._row_ids.length
        tail = Block(self._tail_start, self._tail[: count - self._tail_start])
        blocks = (*self._sealed, tail) if tail.rows else tuple(self._sealed)
        return View(
            count, FrozenBitMap(self._live), blocks, self._columns, self._row_ids.data[:count],
            self._sequences.data[:count], self._products.data[:count], sequence, time.time_ns() // 1_000_000,
        )  # fmt: skip


def gather(view: View, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors of ascending slots as float32, shape (n, dimension)."""
    parts = []
    for block in view.blocks:
        low, high = np.searchsorted(slots, (block.start, block.start + block.rows))
        if low == high:
            continue
        rows = slots[low:high] - block.start
        parts.append(block.vectors.vectors(rows) if isinstance(block.vectors, FlatBlock) else block.vectors[rows])
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
