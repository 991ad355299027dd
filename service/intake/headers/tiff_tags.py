"""Reads TIFF tag directories, which EXIF uses too."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from service.intake.headers.header import Bytes

ORIENTATION = 0x0112
_MAX_ENTRIES = 512
_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i", 16: "Q"}  # type of a field: struct code


def first_directory(tiff: Bytes) -> dict[int, int]:
    """Maps the tags of the first directory to the first value of each integer field; empty if there is no directory.

    Fields of single bytes, and fields that point outside the block, are left out.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        return {}
    try:
        big = struct.unpack_from(order + "H", tiff, 2)[0] == 43
        return _directory(tiff, order, big)
    except (struct.error, OverflowError):  # an offset of eight bytes may exceed the address space
        return {}


def _directory(tiff: Bytes, order: str, big: bool) -> dict[int, int]:
    offset, count = ("Q", "Q") if big else ("I", "H")
    (start,) = struct.unpack_from(order + offset, tiff, 8 if big else 4)
    (entries,) = struct.unpack_from(order + count, tiff, start)
    step, inline, at = (20, 8, start + 8) if big else (12, 4, start + 2)
    found: dict[int, int] = {}
    for entry in range(min(entries, _MAX_ENTRIES)):
        here = at + step * entry
        try:
            tag, kind = struct.unpack_from(order + "HH", tiff, here)
            (values,) = struct.unpack_from(order + offset, tiff, here + 4)
            code = _NUMBERS.get(kind)
            if code is None or values < 1:
                continue
            value_at = here + 4 + struct.calcsize(offset)
            if values * struct.calcsize(code) > inline:
                (value_at,) = struct.unpack_from(order + offset, tiff, value_at)
            found.setdefault(tag, struct.unpack_from(order + code, tiff, value_at)[0])
        except (struct.error, OverflowError):
            continue
    return found


def exif_orientation(blocks: Sequence[Bytes]) -> int:
    """The orientation (1 to 8) from EXIF blocks, with or without the prefix "Exif"; 1 if there is none or all are
    damaged.

    Several blocks are either parts of one block, as large EXIF data is written, or separate blocks. The first
    orientation found is used.
    """
    bare = [block[6:] if bytes(block[:6]) == b"Exif\0\0" else block for block in blocks]
    whole = [b"".join(bytes(part) for part in bare)] if len(bare) > 1 else []
    for block in (*whole, *bare):
        value = first_directory(block).get(ORIENTATION, 0)
        if 1 <= value <= 8:
            return value
    return 1
