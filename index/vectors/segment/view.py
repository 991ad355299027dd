"""What readers see of a collection: the state after one commit, immutable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyroaring import FrozenBitMap

from index.speed.roaring_arrays import bitmap_bits
from index.types.record import AttributeValue, Vector
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.faiss_index import Bits, FlatView, RowNumbers, Scores
from index.vectors.ann.signatures import Signatures
from index.vectors.arrays.float16_matrix import Float16Matrix
from index.vectors.arrays.growing_arrays import SlotTable
from index.vectors.fields.columns import Columns
from index.vectors.segment.payloads import Payloads, unpack_records


@dataclass(frozen=True)
class View:
    """What readers see: the state after one commit. Slots at or above `count` belong to later commits."""

    count: int
    live: FrozenBitMap
    float16: Float16Matrix
    ann_index: AnnIndex | None
    columns: Columns
    payloads: Payloads
    row_ids: NDArray[np.int64]
    sequences: NDArray[np.int64]
    products: NDArray[np.int32]
    sequence: int
    index_time_ms: int
    slot_of_row: SlotTable
    transform: CenteringTransform | None
    lengths: NDArray[np.float32]  # only where there is a transform
    signatures: (
        Signatures  # of the ANN index's rows and of the first ones that are newer; none where there is no ANN index
    )

    def distances(self, query: Vector, slots: RowNumbers, scale: float = 1.0) -> Scores:
        """Cosine distances, 0 to 2, by the encoder's own vectors, of a query of length 1. Cosines are multiplied by
        `scale` first."""
        float16 = gather(self, slots)
        if self.transform is None:
            cosines = float16.astype(np.float32) @ query
        else:
            cosines = self.transform.cosines(query, float16, self.lengths[slots])
        return np.asarray(np.clip(1.0 - scale * cosines, 0.0, 2.0), np.float32)

    def originals(self, slots: RowNumbers) -> NDArray[np.float32]:
        """Vectors as the encoder made them, shape (n, dimension), as exact as half precision is."""
        float16 = gather(self, slots)
        if self.transform is None:
            return float16.astype(np.float32)
        return self.transform.originals(float16, self.lengths[slots])

    def attribute_values(self, slots: Sequence[int], name: str) -> list[AttributeValue | None]:
        """An attribute's value of each slot; None where a record has none."""
        records = unpack_records(self.payloads.records(slots), slots, slots, "")
        return [record.attributes.get(name) for record in records]

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
    def ann_rows(self) -> int:
        """Where the delta begins."""
        return self.ann_index.rows if self.ann_index is not None else 0

    @cached_property
    def records(self) -> int:
        """How many rows are live."""
        return len(self.live)

    @cached_property
    def all_rows(self) -> FlatView:
        """An exact scan over all rows."""
        return FlatView(self.float16)

    @property
    def last_rows(self) -> int:
        """Where the rows begin that have no signature; a multiple of eight."""
        return len(self.signatures)

    @cached_property
    def last(self) -> FlatView:
        """An exact scan over those rows."""
        return FlatView(self.float16[self.last_rows :]) if self.last_rows else self.all_rows

    @cached_property
    def live_bits(self) -> Bits | None:
        """The live rows as bits; None where all are."""
        return None if self.records == self.count else bitmap_bits(self.live, self.count)


def gather(view: View, slots: NDArray[np.int64]) -> Float16Matrix:
    """The vectors of some slots, shape (n, dimension), in half precision."""
    return np.take(view.float16, slots, axis=0)
