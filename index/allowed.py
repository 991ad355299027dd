"""Which rows a search may return, and keeping that for filters that are asked again.

A shop asks with the same few filters all day. So a view remembers the rows of the filters it was asked with last; from
the second time on also their vectors, copied together, where they are few enough: comparing rows that lie one after
another takes a quarter of the time that it takes to find them among all.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap, BitMap

from index.bits import bitmap_bits
from index.faiss_index import Bits, FlatView

if TYPE_CHECKING:
    from index.view import View

_FILTERS = 256
_LEAST_COPIED_BYTES, _COPIED_SHARE = 16 << 20, 8


@dataclass(frozen=True)
class Gathered:
    """Rows of a view copied together: row i of `flat` is slot slots[i]."""

    slots: NDArray[np.int64]
    flat: FlatView
    bytes: int


@dataclass
class Allowed:
    """The rows that a search may return, of one view. Its sets never change; what is worked out is kept.

    everything: no filter left anything out. asked: how often a search has used it.
    """

    view: View
    rows: AbstractBitMap
    everything: bool
    asked: int = 0
    held_by: weakref.ref[AllowedByFilter] | None = field(default=None, repr=False)
    _gathered: Gathered | None = field(default=None, repr=False)

    @cached_property
    def count(self) -> int:
        """How many."""
        return len(self.rows)

    @cached_property
    def bits(self) -> Bits | None:
        """As bits; None where no row of the view is left out."""
        if self.everything:
            return self.view.live_bits
        return bitmap_bits(self.rows, self.view.count)

    @property
    def copied_bytes(self) -> int:
        """How much of the vectors is held as a copy."""
        return 0 if self._gathered is None else self._gathered.bytes

    @property
    def is_gathered(self) -> bool:
        """Whether the vectors lie together."""
        return self._gathered is not None

    def has_room(self) -> bool:
        """Whether the vectors may be copied together for good."""
        holder = self.held_by() if self.held_by is not None else None
        return holder is not None and holder.has_room_for(self.count * self.view.halves.shape[1] * 2)

    def gathered(self, *, keep: bool) -> Gathered:
        """The vectors copied together; `keep` holds on to them for the next time."""
        if self._gathered is not None:
            return self._gathered
        slots = np.array(self.rows, np.int64)
        halves = np.take(self.view.halves, slots, axis=0)
        made = Gathered(slots, FlatView(halves), halves.nbytes)
        if keep:
            self._gathered = made
        return made

    def without(self, slots: Iterable[int]) -> Allowed:
        """The same rows but for these."""
        return Allowed(self.view, self.rows - BitMap(slots), False)


def copied_budget(view: View) -> int:
    """How many bytes of a view's vectors may be held as copies."""
    return max(_LEAST_COPIED_BYTES, view.halves.nbytes // _COPIED_SHARE)


class AllowedByFilter:
    """What is remembered of the filters that a view was asked with. Any number of threads may call it at once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._held: OrderedDict[str, Allowed] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, filter_text: str, make: Callable[[], Allowed]) -> Allowed:
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
        return made

    def has_room_for(self, more_bytes: int) -> bool:
        """Whether copies of so many further bytes are within the budget. The filters that come first take it, and keep
        it until they are forgotten."""
        return self.bytes + more_bytes <= copied_budget(self.view)

    @property
    def bytes(self) -> int:
        """How much is held as copies."""
        with self._lock:
            return sum(a.copied_bytes for a in self._held.values())
