"""Reads the chunks of a WebP picture."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from service.intake.formats import Format
from service.intake.headers.header import Bytes, Header, exactly, riff_chunks
from service.intake.headers.tiff_tags import exif_orientation

_MAX_CHUNKS = 4096
_ANIMATED, _HAS_EXIF, _HAS_PROFILE = 0x02, 0x08, 0x20  # flags of the header; chunks without their flag are ignored


@dataclass(frozen=True)
class WebpDetails:
    """`animated`: the pixels are in frames."""

    animated: bool


def probe_webp(data: Bytes) -> Header:
    """Reads a WebP header. Raises ValueError, IndexError or struct.error."""
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return _extended(data)
    if kind == b"VP8L":
        if data[20] != 0x2F:
            raise ValueError
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise ValueError
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError
    return Header(Format.WEBP, width, height, details=WebpDetails(False))


def _extended(data: Bytes) -> Header:
    width = 1 + int.from_bytes(exactly(data, 24, 3), "little")
    height = 1 + int.from_bytes(exactly(data, 27, 3), "little")
    exif: list[Bytes] = []
    profile: bytes | None = None
    for kind, start, length in riff_chunks(data, 12, _MAX_CHUNKS):
        if kind == b"EXIF" and data[20] & _HAS_EXIF:
            exif.append(data[start : start + length])
        if kind == b"ICCP" and data[20] & _HAS_PROFILE and profile is None:
            profile = bytes(data[start : start + length])
    animated = WebpDetails(bool(data[20] & _ANIMATED))
    return Header(Format.WEBP, width, height, exif_orientation(exif), profile, details=animated)
