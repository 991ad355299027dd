"""For each value of an attribute the slots that have it. A value of a single slot costs no bitmap."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap, BitMap

from index.speed.roaring_arrays import members

_HEAD = struct.Struct("<II")
SlotMap = NDArray[np.int64]


class Postings:
    """Slots by value. One writer, any number of readers. What was loaded is unpacked when it is first needed."""

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._unpacking = threading.Lock()
        self._slots: dict[str, int | BitMap] = {}

    def extend(self, entries: Iterable[tuple[str, int]]) -> None:
        """Enters slots, each under a value."""
        slots = self._unpacked()
        for value, slot in entries:
            held = slots.get(value)
            if held is None:
                slots[value] = slot
            elif isinstance(held, int):
                slots[value] = BitMap((held, slot))
            else:
                held.add(slot)

    def any(self) -> bool:
        """Whether any slot has a value."""
        return bool(self._unpacked())

    def values(self) -> list[str]:
        """All values."""
        return list(self._unpacked())

    def equal(self, value: str) -> BitMap:
        """Slots under this value."""
        held = self._unpacked().get(value)
        return BitMap() if held is None else BitMap((held,)) if isinstance(held, int) else BitMap(held)

    def matching(self, matches: Callable[[str], bool]) -> BitMap:
        """Slots under any value that matches."""
        found = [held for value, held in list(self._unpacked().items()) if matches(value)]
        many = [held for held in found if not isinstance(held, int)]
        return BitMap.union(BitMap([held for held in found if isinstance(held, int)]), *many)

    def counts(self, allowed: AbstractBitMap) -> Iterator[tuple[str, int]]:
        """Values with how many of the allowed slots are under them, those without any left out."""
        for value, held in list(self._unpacked().items()):
            count = int(held in allowed) if isinstance(held, int) else held.intersection_cardinality(allowed)
            if count:
                yield value, count

    def keep(self, live: AbstractBitMap) -> None:
        """Forgets all other slots, and values that are left without one. The writer calls it."""
        slots = self._unpacked()
        for value, held in list(slots.items()):
            if isinstance(held, int):
                if held not in live:
                    del slots[value]
            else:
                held &= live
                if not held:
                    del slots[value]

    def moved(self, places: SlotMap) -> Postings:
        """A copy with slot s as places[s]; slots without a place are left out."""
        copy = Postings()
        for value, held in list(self._unpacked().items()):
            if isinstance(held, int):
                if held < len(places) and places[held] >= 0:
                    copy._slots[value] = int(places[held])
            elif left := moved_bitmap(held, places):
                copy._slots[value] = left
        return copy

    def to_bytes(self, live: AbstractBitMap) -> bytes:
        """The live slots and their values: lengths of both parts (uint32), JSON of the values and of one number each
        (below 0: -1 - slot; else the size of its bitmap), and the bitmaps in Roaring's portable format."""
        values, sizes, bitmaps = [], [], []
        for value, held in list(self._unpacked().items()):
            if isinstance(held, int):
                if held in live:
                    values.append(value)
                    sizes.append(-1 - held)
            elif kept := held & live:
                bitmaps.append(kept.serialize())
                values.append(value)
                sizes.append(len(bitmaps[-1]))
        names, content = json.dumps([values, sizes], ensure_ascii=False).encode(), b"".join(bitmaps)
        return _HEAD.pack(len(names), len(content)) + names + content

    def _unpacked(self) -> dict[str, int | BitMap]:
        if self._packed:
            with self._unpacking:
                if self._packed:
                    self._slots = _unpack(self._packed)
                    self._packed = b""
        return self._slots


def moved_bitmap(bitmap: AbstractBitMap, places: SlotMap) -> BitMap:
    """The bitmap with slot s as places[s], in the same order; slots without a place are left out. The writer may go on:
    what is looked at is a copy, and what it adds has no place yet."""
    slots = members(BitMap(bitmap))
    return BitMap(moved_slots(slots, places)[0].astype(np.uint32))


def moved_slots(slots: NDArray[Any], places: SlotMap) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The new places of the slots that have one, and which of them have. Slots newer than `places` have none."""
    known = slots < len(places)
    known[known] = places[slots[known]] >= 0
    return places[slots[known]], known


def _unpack(packed: bytes) -> dict[str, int | BitMap]:
    names_bytes, _ = _HEAD.unpack_from(packed)
    values, sizes = json.loads(packed[_HEAD.size : _HEAD.size + names_bytes])
    slots: dict[str, int | BitMap] = {}
    at = _HEAD.size + names_bytes
    for value, size in zip(values, sizes, strict=True):
        if size < 0:
            slots[value] = -1 - size
        else:
            slots[value] = BitMap.deserialize(packed[at : at + size])
            at += size
    return slots
