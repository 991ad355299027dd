"""Rows in the order of an attribute, page by page. `index.types.ordering` defines the order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap

from index.speed.roaring_arrays import members
from index.types.ordering import Order, Position, SortValue, sort_key

if TYPE_CHECKING:
    from index.vectors.segment.view import View

_NUMBERS, _TEXTS, _TRUTHS, _NONE = range(4)


def rows_in_order(view: View, rows: AbstractBitMap, order: Order, after: Position | None, limit: int) -> list[Position]:
    """Up to `limit` rows that come after a position, or the first ones."""
    walk = _Walk(view, rows, order, after, limit)
    key = sort_key(after.value) if after is not None else None
    start = None if after is None else _NONE if key is None else key[0]
    parts = [_NUMBERS, _TEXTS, _TRUTHS]
    if order.descending:
        parts.reverse()
    parts.append(_NONE)
    found: list[Position] = []
    for part in parts if start is None else parts[parts.index(start) :]:
        for position in walk.part(part, start == part):
            found.append(position)
            if len(found) == limit:
                return found
    return found


class _Walk:
    """Each part yields its rows in order, those after `after` where that is within the part."""

    def __init__(self, view: View, rows: AbstractBitMap, order: Order, after: Position | None, limit: int) -> None:
        self._view, self._rows, self._after, self._limit = view, rows, after, limit
        self._name, self._descending = order

    def part(self, kind: int, begins_within: bool) -> Iterator[Position]:
        after = self._after if begins_within else None
        made = (self._numbers, self._texts, self._truths, self._without)[kind]
        return made(after)

    def _numbers(self, after: Position | None) -> Iterator[Position]:
        slots, values = self._view.columns.number_entries(self._name)
        is_allowed = np.zeros(max(int(slots.max(initial=0)) + 1, self._view.count), np.bool_)
        is_allowed[members(self._rows)] = True
        allowed = is_allowed[slots]
        slots, values = slots[allowed], values[allowed]
        row_ids, keys = self._view.row_ids[slots], -values if self._descending else values
        if after is not None:
            last = -float(after.value or 0) if self._descending else float(after.value or 0)
            later = (keys > last) | ((keys == last) & (row_ids > after.row_id))
            row_ids, keys = row_ids[later], keys[later]
        for place in np.lexsort((row_ids, keys))[: self._limit].tolist():
            value = float(keys[place])
            yield Position(-value if self._descending else value, int(row_ids[place]))

    def _texts(self, after: Position | None) -> Iterator[Position]:
        values = sorted(self._view.columns.texts(self._name))
        if after is not None and self._descending:
            values = values[: bisect_right(values, str(after.value))]
        elif after is not None:
            values = values[bisect_left(values, str(after.value)) :]
        for value in reversed(values) if self._descending else values:
            yield from self._equal(value, self._view.columns.string(self._name, value), after)

    def _truths(self, after: Position | None) -> Iterator[Position]:
        truths = [True, False] if self._descending else [False, True]
        for value in truths if after is None else truths[truths.index(bool(after.value)) :]:
            yield from self._equal(value, self._view.columns.boolean(self._name, value), after)

    def _without(self, after: Position | None) -> Iterator[Position]:
        yield from self._equal(None, self._rows - self._view.columns.single_valued(self._name), after)

    def _equal(self, value: SortValue | None, slots: AbstractBitMap, after: Position | None) -> Iterator[Position]:
        row_ids: NDArray[np.int64] = np.sort(self._view.row_ids[members(slots & self._rows)])
        if after is not None and after.value == value:
            row_ids = row_ids[row_ids > after.row_id]
        for row_id in row_ids.tolist():
            yield Position(value, row_id)
