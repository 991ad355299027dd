"""Width, height and orientation from a picture's header, without decoding it.

Pure Python over the first bytes of each structure, so that a hostile header is refused before any codec sees it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from service.errors import Reason, ServiceError
from service.intake.formats import SNIFF_BYTES, Format, describe, sniff

Bytes = bytes | memoryview
_MAX_SEGMENTS = 4096
_MAX_CHUNKS = 65_536  # of a PNG; many programs cut the pixels into chunks of a few kilobytes
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Header:
    """What a header says. Sides are as stored; `orientation` is EXIF's, 1 to 8, and 1 where there is none."""

    format: Format
    width: int
    height: int
    orientation: int = 1


def probe(picture: Bytes) -> Header:
    """Reads the header. Raises ServiceError (IMAGE_FORMAT_UNSUPPORTED, IMAGE_DAMAGED)."""
    kind = sniff(bytes(picture[:SNIFF_BYTES]))
    if kind is None:
        message = f"this is {describe(bytes(picture[:64]))}; accepted are {', '.join(f.value for f in Format)}"
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")
    try:
        return _PROBES[kind](picture)
    except (struct.error, IndexError, ValueError):
        raise ServiceError(
            Reason.IMAGE_DAMAGED, f"the {kind.value} header is cut short or invalid", field="image"
        ) from None


def _probe_jpeg(data: Bytes) -> Header:
    at, orientation = 2, 1
    for _ in range(_MAX_SEGMENTS):
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            raise ValueError
        marker = data[at + 1]
        if marker in (0x01, *range(0xD0, 0xD8)):
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _SOF_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header(Format.JPEG, width, height, orientation)
        if marker in (0xD9, 0xDA) or length < 2:
            raise ValueError
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    raise ValueError


def _probe_png(data: Bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise ValueError
    width, height = struct.unpack_from(">II", data, 16)
    at, orientation = 8, 1
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 8 + length > len(data):
            raise ValueError  # the codec would make room for what the chunk claims, up to four gigabytes
        if kind == b"eXIf":
            orientation = _orientation(data[at + 8 : at + 8 + length])
        if kind == b"IEND":
            break
        at += 12 + length
    else:
        raise ValueError
    return Header(Format.PNG, width, height, orientation)


def _probe_webp(data: Bytes) -> Header:
    kind = data[12:16]
    if kind == b"VP8X":
        flags = data[20]
        width = 1 + int.from_bytes(_exactly(data, 24, 3), "little")
        height = 1 + int.from_bytes(_exactly(data, 27, 3), "little")
        return Header(Format.WEBP, width, height, _webp_orientation(data) if flags & 0x08 else 1)
    if kind == b"VP8L":
        if data[20] != 0x2F:
            raise ValueError
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header(Format.WEBP, 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise ValueError
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(Format.WEBP, width & 0x3FFF, height & 0x3FFF)
    raise ValueError


def _webp_orientation(data: Bytes) -> int:
    at = 12
    for _ in range(_MAX_SEGMENTS):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            block = data[at + 8 : at + 8 + length]
            return _orientation(block[6:] if block[:6] == b"Exif\0\0" else block)
        at += 8 + length + (length & 1)
    return 1


def _probe_gif(data: Bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(Format.GIF, width, height)


def _probe_bmp(data: Bytes) -> Header:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    elif header_bytes >= 40:
        width, height = struct.unpack_from("<ii", data, 18)
    else:
        raise ValueError
    return Header(Format.BMP, width, abs(height))  # a negative height means that the top row comes first


def _orientation(tiff: Bytes) -> int:
    """EXIF orientation from a TIFF block; 1 where it is absent or makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(min(entries, 512)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _exactly(data: Bytes, at: int, count: int) -> Bytes:
    part = data[at : at + count]
    if len(part) < count:
        raise ValueError
    return part


_PROBES = {
    Format.JPEG: _probe_jpeg,
    Format.PNG: _probe_png,
    Format.WEBP: _probe_webp,
    Format.GIF: _probe_gif,
    Format.BMP: _probe_bmp,
}
