"""Reads the screen size and the first frame of a GIF."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from service.intake.formats import Format
from service.intake.headers.header import Bytes, Header

_MAX_BLOCKS = 65_536
_TABLE, _INTERLACED = 0x80, 0x40
_IMAGE, _EXTENSION, _APPLICATION = 0x2C, 0x21, 0xFF
_PROFILE_NAME = b"ICCRGBG1012"


@dataclass(frozen=True)
class GifDetails:
    """The position of the first frame on the screen, in pixels. `interlaced`: its rows come in four passes."""

    left: int
    top: int
    width: int
    height: int
    interlaced: bool


def probe_gif(data: Bytes) -> Header:
    """Reads a GIF header. The screen is enlarged to contain the first frame, as in browsers.

    Raises ValueError, IndexError or struct.error.
    """
    width, height = struct.unpack_from("<HH", data, 6)
    flags = data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & _TABLE else 0)
    profile: bytes | None = None
    for _ in range(_MAX_BLOCKS):
        kind = data[at]
        if kind == _IMAGE:
            left, top, across, down, packed = struct.unpack_from("<HHHHB", data, at + 1)
            frame = GifDetails(left, top, across, down, bool(packed & _INTERLACED))
            if frame.width and frame.height:
                sides = max(width, frame.left + frame.width), max(height, frame.top + frame.height)
                return Header(Format.GIF, *sides, profile=profile, details=frame)
            raise ValueError
        if kind == _EXTENSION:
            named = data[at + 1] == _APPLICATION and bytes(data[at + 3 : at + 14]) == _PROFILE_NAME
            at, content = _sub_blocks(data, at + 2, named)
            profile = content[11:] if named and profile is None else profile
        else:
            at += 1  # padding between blocks
    raise ValueError


def _sub_blocks(data: Bytes, at: int, wanted: bool) -> tuple[int, bytes]:
    """The offset after the sub-blocks, and their content if `wanted`, else b""."""
    content = bytearray()
    for _ in range(_MAX_BLOCKS):
        size = data[at]
        if size == 0:
            return at + 1, bytes(content)
        if wanted:
            content += data[at + 1 : at + 1 + size]
        at += 1 + size
    raise ValueError
