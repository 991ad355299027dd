"""Which rows a search may return, and keeping that for filters that are asked again.

A shop asks with the same few filters all day. So a view remembers the rows of the filters it was asked with last.
From the second time on it also keeps their vectors or signatures, copied together, if they are few enough. Comparing
what lies together takes a quarter of the time that it takes to find it among all. Beside the vectors lie the records
that hits showed: to read ten of them anew takes as long as to compare a hundred rows.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap, BitMap

from index.speed.roaring_arrays import bitmap_bits, members
from index.types.answer import MOST_FACET_VALUES, Facet, FilterHints
from index.types.facets import parse_facet
from index.types.ordering import Order, Position
from index.types.record import StoredRecord
from index.vectors.ann.faiss_index import Bits, FlatView
from index.vectors.query.boost_values import BoostKey, Boosts
from index.vectors.query.gathered_rows import Gathered, SignatureRows
from index.vectors.segment.ordered_rows import rows_in_order

if TYPE_CHECKING:
    from index.vectors.segment.view import View

_FILTERS, _BOOSTS = 256, 4
_LEAST_COPIED_BYTES, _COPIED_SHARE = 16 << 20, 8
_SHOWN_BYTES, _MOST_SHOWN = 1024, 4096  # about what a record takes once it is read; of all filters
_FEW_ROWS = 1024  # of more, reading ten records is a small part of a search


@dataclass
class FilteredRows:
    """The rows that a search may return, of one view. Its sets never change; what is worked out is kept.

    everything: no filter left anything out. find_hints: looks for what is odd about the filter. asked: how often a
    search has used it. shown: records that hits showed, by slot, where that is kept.
    """

    view: View
    rows: AbstractBitMap
    everything: bool
    asked: int = 0
    shown: dict[int, StoredRecord] | None = field(default=None, repr=False)
    held_by: weakref.ref[FilterCache] | None = field(default=None, repr=False)
    find_hints: Callable[[], FilterHints] = FilterHints
    _gathered: Gathered | None = field(default=None, repr=False)
    _signature_rows: SignatureRows | None = field(default=None, repr=False)

    @cached_property
    def count(self) -> int:
        """How many."""
        return len(self.rows)

    def facet(self, text: str) -> Facet:
        """How many of the rows have each value of an attribute, or a number in each of its ranges."""
        attribute, edges = wanted = parse_facet(text)
        if edges:
            counted = self.view.columns.range_counts(attribute, wanted.ranges, self.rows)
            return Facet(attribute, tuple(zip(wanted.ranges, counted, strict=True)), len(counted))
        counts = self.view.columns.facet(attribute, self.rows)
        counts.sort(key=lambda entry: (-entry[1], str(entry[0])))
        return Facet(attribute, tuple(counts[:MOST_FACET_VALUES]), len(counts))

    def row_ids(self, after: int, limit: int) -> list[int]:
        """Up to `limit` row ids higher than `after`, in order."""
        row_ids = self.view.row_ids[members(self.rows)]
        found: list[int] = np.sort(row_ids[row_ids > after])[:limit].tolist()
        return found

    def row_ids_at(self, positions: Sequence[int]) -> list[int]:
        """The row ids at some positions of their order, as the positions come."""
        found: list[int] = np.sort(self.view.row_ids[members(self.rows)])[positions].tolist()
        return found

    def in_order(self, order: Order, after: Position | None, limit: int) -> list[Position]:
        """Up to `limit` rows by an attribute, those that come after a position or the first ones."""
        return rows_in_order(self.view, self.rows, order, after, limit)

    def versions(self) -> list[tuple[int, int]]:
        """Row id and sequence number of each row, in order of row id."""
        slots = members(self.rows)
        row_ids, sequences = self.view.row_ids[slots], self.view.sequences[slots]
        order = np.argsort(row_ids, kind="stable")
        return list(zip(row_ids[order].tolist(), sequences[order].tolist(), strict=True))

    @cached_property
    def hints(self) -> FilterHints:
        """What is odd about the filter."""
        return self.find_hints()

    @cached_property
    def bits(self) -> Bits | None:
        """As bits; None where no row of the view is left out."""
        if self.everything:
            return self.view.live_bits
        return bitmap_bits(self.rows, self.view.count)

    @property
    def copied_bytes(self) -> int:
        """How much memory copies of vectors and signatures take."""
        return sum(copy.bytes for copy in (self._gathered, self._signature_rows) if copy is not None)

    @property
    def is_gathered(self) -> bool:
        """Whether the vectors lie together."""
        return self._gathered is not None

    @property
    def has_signature_rows(self) -> bool:
        """Whether the signatures lie together."""
        return self._signature_rows is not None

    def has_room(self, bytes_each: int) -> bool:
        """Whether so much of each row may be copied together for good."""
        holder = self._holder
        return holder is not None and holder.has_room_for(self.count * bytes_each)

    def gathered(self, *, keep: bool) -> Gathered:
        """The vectors copied together; `keep` holds on to them for the next time."""
        if self._gathered is not None:
            return self._gathered
        slots = members(self.rows)
        float16 = np.take(self.view.float16, slots, axis=0)
        made = Gathered(slots, FlatView(float16), float16.nbytes)
        if keep and self._gathered is None:
            self._gathered = made
            self._note(made.bytes)
            if self.count <= _FEW_ROWS:
                self.shown = {}
        return made

    def show_again(self, slots: list[int], records: list[StoredRecord]) -> None:
        """Keeps records that were read for the next time, where that is done and there is room."""
        if self.shown is None:
            return
        holder = self._holder
        if holder is not None and holder.shown + len(slots) <= _MOST_SHOWN:
            before = len(self.shown)
            self.shown.update(zip(slots, records, strict=True))
            holder.note(0, len(self.shown) - before)

    def signature_rows(self, *, keep: bool) -> SignatureRows:
        """The signatures copied together; `keep` holds on to them for the next time."""
        if self._signature_rows is not None:
            return self._signature_rows
        if self.everything:
            return SignatureRows(None, self.view.signatures, self._without_signature())
        slots = members(self.rows)
        slots = slots[: int(np.searchsorted(slots, self.view.last_rows))]
        made = SignatureRows(slots, np.take(self.view.signatures, slots, axis=0))
        if keep and self._signature_rows is None:
            self._signature_rows = made
            self._note(made.bytes)
        return made

    def _without_signature(self) -> NDArray[np.bool_] | None:
        """Which of the rows that have signatures may not be returned; None for none."""
        if self.bits is None:
            return None
        return np.asarray(np.unpackbits(self.bits, count=self.view.last_rows, bitorder="little") == 0, np.bool_)

    def without(self, slots: Iterable[int]) -> FilteredRows:
        """The same rows but for these."""
        return FilteredRows(self.view, self.rows - BitMap(slots), False)

    def only(self, slots: Iterable[int]) -> FilteredRows:
        """Those of the rows that are among these."""
        return FilteredRows(self.view, self.rows & BitMap(slots), False, find_hints=lambda: self.hints)

    @property
    def _holder(self) -> FilterCache | None:
        return self.held_by() if self.held_by is not None else None

    def _note(self, copied: int) -> None:
        holder = self._holder
        if holder is not None:
            holder.note(copied)


def copied_budget(view: View) -> int:
    """How many bytes of a view's vectors may be held as copies."""
    return max(_LEAST_COPIED_BYTES, view.float16.nbytes // _COPIED_SHARE)


class FilterCache:
    """What is remembered of the filters that a view was asked with. Any number of threads may call it at once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.copied_bytes, self.shown = 0, 0  # copies of vectors and signatures; records that are shown again
        self._held: OrderedDict[str, FilteredRows] = OrderedDict()
        self._boosts: OrderedDict[BoostKey, Boosts] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, filter_text: str, make: Callable[[], FilteredRows]) -> FilteredRows:
        """The rows for a filter, worked out where they are not remembered. Raises what `make` raises."""
        with self._lock:
            held = self._held.get(filter_text)
            if held is not None:
                self._held.move_to_end(filter_text)
                held.asked += 1
                return held
        made = make()
        made.asked, made.held_by = 1, weakref.ref(self)
        with self._lock:
            self._held[filter_text] = made
            if len(self._held) > _FILTERS:
                self._held.popitem(last=False)
                # Summed anew: a search may still copy for what has just been forgotten.
                self.copied_bytes = sum(a.copied_bytes for a in self._held.values())
                self.shown = sum(len(a.shown or ()) for a in self._held.values())
        return made

    def remembered(self, filter_text: str) -> FilteredRows | None:
        """The rows for a filter where they are remembered. Does not count as a use."""
        return self._held.get(filter_text)

    def boosts(self, key: BoostKey, make: Callable[[], Boosts]) -> Boosts:
        """What boosts add to each slot, worked out where it is not remembered. Raises what `make` raises."""
        with self._lock:
            held = self._boosts.get(key)
            if held is not None:
                self._boosts.move_to_end(key)
                return held
        made = make()
        with self._lock:
            self._boosts[key] = made
            if len(self._boosts) > _BOOSTS:
                self._boosts.popitem(last=False)
        return made

    def note(self, copied_bytes: int, shown: int = 0) -> None:
        """Counts a copy of so many bytes, and records that are to be shown again."""
        with self._lock:
            self.copied_bytes += copied_bytes
            self.shown += shown

    @property
    def bytes(self) -> int:
        """How much memory all that takes."""
        boosts = sum(b.parts.nbytes + b.totals.nbytes for b in list(self._boosts.values()))
        return self.copied_bytes + self.shown * _SHOWN_BYTES + boosts

    def has_room_for(self, more_bytes: int) -> bool:
        """Whether copies of so many further bytes are within the budget. The filters that come first take it, and keep
        it until they are forgotten."""
        return self.copied_bytes + more_bytes <= copied_budget(self.view)
