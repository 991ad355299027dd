"""Attributes of the rows in memory, arranged by value, so that a filter becomes a set of rows.

Columns only grow, but for what is erased: a row's attributes are entered once, under a slot (the row's place in memory)
that is never used again; a changed record gets a new slot. So readers share the columns with the writer without a lock.
What they read may hold slots newer than their view; they intersect it with their view's live slots.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap, BitMap

from index.speed.roaring_arrays import members
from index.types.facets import NumberRange
from index.types.record import Attributes, AttributeValue
from index.vectors.fields.numeric_field import Numbers
from index.vectors.fields.operators import BELOW, Operator
from index.vectors.fields.postings import Postings, SlotMap, moved_bitmap
from index.vectors.fields.product_dictionary import Products

_LENGTH = struct.Struct("<I")


class _Column:
    def __init__(self) -> None:
        self.present, self.true, self.false = BitMap(), BitMap(), BitMap()
        self.strings, self.members = Postings(), Postings()
        self.numbers = Numbers()

    def extend(self, slots: Sequence[int], values: Sequence[AttributeValue]) -> None:
        self.present.update(slots)
        texts: list[tuple[str, int]] = []
        numbers: list[tuple[int, float]] = []
        for slot, value in zip(slots, values, strict=True):
            if isinstance(value, str):
                texts.append((value, slot))
            elif isinstance(value, bool):
                (self.true if value else self.false).add(slot)
            elif isinstance(value, tuple):
                self.members.extend([(member, slot) for member in value])
            else:
                numbers.append((slot, value))
        self.strings.extend(texts)
        if numbers:
            self.numbers.extend(*zip(*numbers, strict=True))


class Columns:
    """Attributes and product ids by slot. One writer, any number of readers."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self.products = Products()

    def extend(self, start: int, many: Sequence[Attributes]) -> None:
        """Enters the attributes of new slots, one after another from `start`."""
        by_name: dict[str, tuple[list[int], list[AttributeValue]]] = {}
        for slot, attributes in enumerate(many, start):
            for name, value in attributes.items():
                slots, values = by_name.get(name) or by_name.setdefault(name, ([], []))
                slots.append(slot)
                values.append(value)
        for name, (slots, values) in by_name.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _Column()
            column.extend(slots, values)

    def names(self, live: AbstractBitMap) -> set[str]:
        """Attributes that a live slot has."""
        return {name for name, column in list(self._columns.items()) if column.present.intersect(live)}

    def kinds(self, name: str, live: AbstractBitMap) -> frozenset[str]:
        """Of what types the values are: `text`, `number`, `truth`, `list`, those of rows that died lately included;
        none where no live slot has the attribute."""
        column = self._columns.get(name)
        if column is None or not column.present.intersect(live):
            return frozenset()
        truths = column.true.intersect(live) or column.false.intersect(live)
        held = {"truth": truths, "number": column.numbers.any(), "text": column.strings.any()}
        held["list"] = column.members.any() or not any(held.values())  # lists can be empty
        return frozenset(kind for kind, is_held in held.items() if is_held)

    def present(self, name: str) -> BitMap:
        """Slots that have the attribute."""
        column = self._columns.get(name)
        return BitMap(column.present) if column else BitMap()

    def strings(self, name: str, matches: Callable[[str], bool]) -> BitMap:
        """Slots whose string value matches."""
        column = self._columns.get(name)
        return column.strings.matching(matches) if column else BitMap()

    def string(self, name: str, value: str) -> BitMap:
        """Slots whose string value equals `value`."""
        column = self._columns.get(name)
        return column.strings.equal(value) if column else BitMap()

    def members(self, name: str, matches: Callable[[str], bool]) -> BitMap:
        """Slots whose list value has a member that matches."""
        column = self._columns.get(name)
        return column.members.matching(matches) if column else BitMap()

    def member(self, name: str, value: str) -> BitMap:
        """Slots whose list value contains `value`."""
        column = self._columns.get(name)
        return column.members.equal(value) if column else BitMap()

    def boolean(self, name: str, value: bool) -> BitMap:
        """Slots whose boolean value equals `value`."""
        column = self._columns.get(name)
        return BitMap(column.true if value else column.false) if column else BitMap()

    def numbers(self, name: str, operator: Operator, value: float) -> BitMap:
        """Slots whose number matches `operator` with `value` on its right side."""
        column = self._columns.get(name)
        return column.numbers.matching(operator, value) if column else BitMap()

    def number_entries(self, name: str) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """Slots and their numbers, in no particular order; those of rows that died lately included."""
        column = self._columns.get(name)
        return (column or _Column()).numbers.entries()

    def texts(self, name: str) -> list[str]:
        """String values of the attribute; those of rows that died lately included."""
        column = self._columns.get(name)
        return column.strings.values() if column else []

    def single_valued(self, name: str) -> BitMap:
        """Slots whose value is a number, a string or a boolean, not a list."""
        column = self._columns.get(name)
        if column is None:
            return BitMap()
        numbers = BitMap(column.numbers.entries()[0])
        return BitMap.union(numbers, column.strings.matching(lambda _: True), column.true, column.false)

    def range_counts(self, name: str, ranges: Sequence[NumberRange], allowed: AbstractBitMap) -> list[int]:
        """How many of the allowed slots have a number in each of some ranges that follow one another."""
        numbers = (self._columns.get(name) or _Column()).numbers
        below = [numbers.matching(BELOW, r.low).intersection_cardinality(allowed) for r in ranges if r.low is not None]
        total = numbers.matching(BELOW, math.inf).intersection_cardinality(allowed)
        ends = [0, *below, total]
        return [high - low for low, high in pairwise(ends)]

    def facet(self, name: str, allowed: AbstractBitMap) -> list[tuple[str | bool, int]]:
        """Strings, members of lists and booleans of the attribute, with how many of the allowed slots have them."""
        column = self._columns.get(name)
        if column is None:
            return []
        counts: dict[str | bool, int] = dict(column.strings.counts(allowed))
        for value, count in column.members.counts(allowed):
            counts[value] = counts.get(value, 0) + count
        for truth, bitmap in ((True, column.true), (False, column.false)):
            if count := bitmap.intersection_cardinality(allowed):
                counts[truth] = count
        return list(counts.items())

    def keep(self, live: AbstractBitMap, products: NDArray[np.int32]) -> None:
        """Forgets what only rows had that are not live. The writer calls it."""
        for column in self._columns.values():
            for bitmap in (column.present, column.true, column.false):
                bitmap &= live
            column.strings.keep(live)
            column.members.keep(live)
            column.numbers.keep(live)
        self.products.keep(np.unique(products[members(live)]))

    def moved(self, places: SlotMap) -> Columns:
        """A copy with slot s as places[s]; slots without a place are left out."""
        copy = Columns()
        copy.products = self.products
        for name, column in list(self._columns.items()):
            other = copy._columns[name] = _Column()
            other.present, other.true, other.false = (
                moved_bitmap(b, places) for b in (column.present, column.true, column.false)
            )
            other.strings, other.members = column.strings.moved(places), column.members.moved(places)
            other.numbers = column.numbers.moved(places)
        return copy

    def to_bytes(self, live: AbstractBitMap) -> bytes:
        """What the live rows have: the size of the head (uint32), the head (JSON: names and sizes), and the parts."""
        parts, head = [self.products.to_bytes()], []
        for name, column in list(self._columns.items()):
            bitmaps = [(b & live).serialize() for b in (column.present, column.true, column.false)]
            slots, values = column.numbers.entries()
            kept = np.isin(slots, members(live))
            packed = [column.strings.to_bytes(live), column.members.to_bytes(live), slots[kept].tobytes(),
                      values[kept].tobytes()]  # fmt: skip
            head.append([name, [len(p) for p in bitmaps + packed]])
            parts += bitmaps + packed
        names = json.dumps([len(parts[0]), head]).encode()
        return b"".join((_LENGTH.pack(len(names)), names, *parts))

    @classmethod
    def from_bytes(cls, content: bytes) -> Columns:
        """The columns that `to_bytes` wrote. Raises ValueError or struct.error where it did not."""
        columns = cls()
        (size,) = _LENGTH.unpack_from(content)
        at = _LENGTH.size + size
        products_bytes, head = json.loads(content[_LENGTH.size : at])
        columns.products = Products(content[at : at + products_bytes])
        at += products_bytes
        for name, sizes in head:
            parts = []
            for length in sizes:
                parts.append(content[at : at + length])
                at += length
            column = columns._columns[name] = _Column()
            column.present, column.true, column.false = (BitMap.deserialize(p) for p in parts[:3])
            column.strings, column.members = Postings(parts[3]), Postings(parts[4])
            column.numbers = Numbers(np.frombuffer(parts[5], np.uint32), np.frombuffer(parts[6], np.float64))
        return columns
