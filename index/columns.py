"""Attributes of the rows in memory, arranged by value, so that a filter becomes a set of rows.

Columns only grow: a row's attributes are entered once, under a slot (the row's place in memory) that is never used
again; a changed record gets a new slot. So readers share the columns with the writer without a lock. What they read
may hold slots newer than their view; they intersect it with their view's live slots.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from index.growing import GrowingArray
from index.model import Attributes

Numbers = NDArray[np.float64]


class _Column:
    def __init__(self) -> None:
        self.present = BitMap()
        self.strings: dict[str, BitMap] = {}
        self.members: dict[str, BitMap] = {}
        self.booleans = {True: BitMap(), False: BitMap()}
        self.number_slots = GrowingArray(np.uint32)
        self.numbers = GrowingArray(np.float64)


class Columns:
    """Attributes and product ids by slot. One writer, any number of readers."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._product_codes: dict[str, int] = {"": 0}
        self.product_names: list[str] = [""]

    def add(self, slot: int, attributes: Attributes) -> None:
        """Enters the attributes of a new slot."""
        for name, value in attributes.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _Column()
            column.present.add(slot)
            if isinstance(value, bool):
                column.booleans[value].add(slot)
            elif isinstance(value, str):
                column.strings.setdefault(value, BitMap()).add(slot)
            elif isinstance(value, tuple):
                for member in value:
                    column.members.setdefault(member, BitMap()).add(slot)
            else:
                column.numbers.append(value)  # before the slot, whose length readers go by
                column.number_slots.append(slot)

    def product_code(self, product_id: str) -> int:
        """A number for a product id, the same for the same id; 0 for the empty id."""
        code = self._product_codes.get(product_id)
        if code is None:
            code = len(self.product_names)
            self.product_names.append(product_id)
            self._product_codes[product_id] = code
        return code

    def find_product_codes(self, matches: Callable[[str], bool]) -> list[int]:
        """Codes of the product ids, the empty one left out, that match."""
        return [code for name, code in list(self._product_codes.items()) if name and matches(name)]

    def present(self, name: str) -> BitMap:
        """Slots that have the attribute."""
        column = self._columns.get(name)
        return BitMap(column.present) if column else BitMap()

    def strings(self, name: str, matches: Callable[[str], bool]) -> BitMap:
        """Slots whose string value matches."""
        column = self._columns.get(name)
        return _union(column.strings, matches) if column else BitMap()

    def string(self, name: str, value: str) -> BitMap:
        """Slots whose string value equals `value`."""
        column = self._columns.get(name)
        return BitMap(column.strings.get(value, ())) if column else BitMap()

    def members(self, name: str, matches: Callable[[str], bool]) -> BitMap:
        """Slots whose list value has a member that matches."""
        column = self._columns.get(name)
        return _union(column.members, matches) if column else BitMap()

    def member(self, name: str, value: str) -> BitMap:
        """Slots whose list value contains `value`."""
        column = self._columns.get(name)
        return BitMap(column.members.get(value, ())) if column else BitMap()

    def boolean(self, name: str, value: bool) -> BitMap:
        """Slots whose boolean value equals `value`."""
        column = self._columns.get(name)
        return BitMap(column.booleans[value]) if column else BitMap()

    def numbers(self, name: str, matches: Callable[[Numbers], NDArray[np.bool_]]) -> BitMap:
        """Slots whose number matches; `matches` maps an array of numbers to an array of truth values."""
        column = self._columns.get(name)
        if column is None:
            return BitMap()
        length = column.number_slots.length
        slots, values = column.number_slots.data[:length], column.numbers.data[:length]
        return BitMap(slots[matches(values)])


def _union(postings: dict[str, BitMap], matches: Callable[[str], bool]) -> BitMap:
    found = [bitmap for value, bitmap in list(postings.items()) if matches(value)]
    return BitMap.union(*found) if found else BitMap()
