"""Reads AVIF and HEIC headers: boxes (ISO/IEC 14496-12) with the properties of a picture (ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from service.intake.formats import Format
from service.intake.headers.code_points import coded_encoding
from service.intake.headers.header import Bytes, Encoding, Header

_MAX_BOXES, _MAX_ITEMS = 4096, 4096


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    end: int


def probe_avif(data: Bytes) -> Header:
    """Reads an AVIF header. Sides are as displayed. Raises ValueError, IndexError or struct.error."""
    return _probe(data, Format.AVIF)


def probe_heic(data: Bytes) -> Header:
    """Reads a HEIC header. Sides are as displayed. Raises ValueError, IndexError or struct.error."""
    return _probe(data, Format.HEIC)


def _probe(data: Bytes, kind: Format) -> Header:
    """Reads the properties of the primary item. Tiles and thumbnails must not be larger than it."""
    meta = _one(data, _Box(b"", 0, len(data)), b"meta")
    inside = _Box(b"meta", meta.start + 4, meta.end)
    properties = _one(data, inside, b"iprp")
    properties_of_all = list(_boxes(data, _one(data, properties, b"ipco")))
    primary = _primary(data, _one(data, inside, b"pitm"))
    own = [
        properties_of_all[n - 1]
        for n in _associated(data, _one(data, properties, b"ipma"), primary)
        if 0 < n <= len(properties_of_all)
    ]
    width, height = max((_sides(data, box) for box in own if box.kind == b"ispe"), default=(0, 0))
    for box in properties_of_all:
        if box.kind == b"ispe" and max(_sides(data, box)) > max(width, height):
            raise ValueError
    if any(box.kind == b"irot" and data[box.start] & 1 for box in own):
        width, height = height, width
    profile, encoding = _colours(data, own)
    return Header(kind, width, height, profile=profile, encoding=encoding)


def missing_of_boxes(data: Bytes) -> int:
    """Returns the number of bytes that the last box of a file lacks."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return 0
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:
            return 0
        at += size
        if at > len(data):
            return int(at - len(data))
    return 0


def _boxes(data: Bytes, around: _Box) -> Iterator[_Box]:
    at = around.start
    for _ in range(_MAX_BOXES):
        if at + 8 > around.end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = around.end if size == 0 else at + size
        if end < start or end > around.end:
            raise ValueError
        yield _Box(kind, start, end)
        at = end


def _one(data: Bytes, around: _Box, kind: bytes) -> _Box:
    found = next((box for box in _boxes(data, around) if box.kind == kind), None)
    if found is None:
        raise ValueError
    return found


def _primary(data: Bytes, box: _Box) -> int:
    wide = data[box.start] > 0
    return int(struct.unpack_from(">I" if wide else ">H", data, box.start + 4)[0])


def _associated(data: Bytes, box: _Box, item: int) -> list[int]:
    """The numbers of the properties of an item, from 1."""
    wide_items, wide_numbers = data[box.start] > 0, data[box.start + 3] & 1
    (count,) = struct.unpack_from(">I", data, box.start + 4)
    at = box.start + 8
    for _ in range(min(count, _MAX_ITEMS)):
        (found,) = struct.unpack_from(">I" if wide_items else ">H", data, at)
        at += 4 if wide_items else 2
        numbers = data[at]
        step = 2 if wide_numbers else 1
        if found == item:
            listed = struct.unpack_from(f">{numbers}{'H' if wide_numbers else 'B'}", data, at + 1)
            return [number & (0x7FFF if wide_numbers else 0x7F) for number in listed]
        at += 1 + numbers * step
    raise ValueError


def _sides(data: Bytes, box: _Box) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, box.start + 4)
    return width, height


def _colours(data: Bytes, own: list[_Box]) -> tuple[bytes | None, Encoding | None]:
    profile: bytes | None = None
    encoding: Encoding | None = None
    for box in own:
        if box.kind != b"colr":
            continue
        kind = bytes(data[box.start : box.start + 4])
        if kind in (b"prof", b"rICC"):
            profile = bytes(data[box.start + 4 : box.end])
        elif kind == b"nclx":
            encoding = coded_encoding(*struct.unpack_from(">HH", data, box.start + 4))
    return profile, encoding
