"""Reads the size and the orientation of a JPEG XL picture, at the start of the codestream (ISO/IEC 18181-1)."""

from __future__ import annotations

from service.intake.formats import Format
from service.intake.headers.header import Bytes, Header, exactly

_CODESTREAM = b"\xff\x0a"
_HEAD_BYTES = 32
_MAX_BOXES = 256
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_BITS_OF_A_SIDE = (9, 13, 18, 30)


class _Bits:
    """Reads bits, starting at the lowest bit of each byte."""

    def __init__(self, content: bytes) -> None:
        self._number, self._left = int.from_bytes(content, "little"), 8 * len(content)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError
        found = self._number & (1 << count) - 1
        self._number >>= count
        self._left -= count
        return found


def probe_jxl(data: Bytes) -> Header:
    """Reads a JPEG XL header. Sides are as displayed. Raises ValueError."""
    at = 0 if bytes(data[:2]) == _CODESTREAM else _in_boxes(data)
    if exactly(data, at, 2) != _CODESTREAM:
        raise ValueError
    bits = _Bits(bytes(data[at + 2 : at + 2 + _HEAD_BYTES]))
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else _side(bits, small)
    turned = not bits.take(1) and bits.take(1) and bits.take(3) >= 4  # all_default, extra_fields, orientation
    return Header(Format.JXL, height, width) if turned else Header(Format.JXL, width, height)


def _side(bits: _Bits, small: int) -> int:
    return 8 * (bits.take(5) + 1) if small else bits.take(_BITS_OF_A_SIDE[bits.take(2)]) + 1


def _in_boxes(data: Bytes) -> int:
    """The offset of the codestream."""
    at = 0
    for _ in range(_MAX_BOXES):
        size, kind = int.from_bytes(exactly(data, at, 4), "big"), exactly(data, at + 4, 4)
        start = at + (16 if size == 1 else 8)
        if kind == b"jxlc":
            return start
        if kind == b"jxlp":
            return start + 4
        if size == 1:
            size = int.from_bytes(exactly(data, at + 8, 8), "big")
        if size < 8:
            raise ValueError
        at += size
    raise ValueError
