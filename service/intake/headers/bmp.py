"""Reads BMP headers, in every version that OS/2 and Windows have written."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from service.errors import Reason, ServiceError
from service.intake.formats import Format
from service.intake.headers.header import Bytes, Encoding, Header

_RAW, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_NAMES = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_EMBEDDED = b"DEBM"
_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


@dataclass(frozen=True)
class BmpDetails:
    """What the BMP decoder needs.

    - `bits`: bits per pixel.
    - `compression`: 0 none, 1 run-length encoding of bytes, 2 of half bytes.
    - `masks`: bit masks of red, green, blue and alpha in a pixel of 16 or 32 bits.
    - `palette`: four bytes per colour, blue first.
    - `start`: offset of the pixels in the file.
    """

    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette: bytes = field(repr=False)
    start: int
    top_down: bool


def probe_bmp(data: Bytes) -> Header:
    """Reads a BMP header.

    Raises ServiceError for sub-formats that are not decoded; else ValueError, IndexError or struct.error.
    """
    (start, size) = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = colours = 0
    elif 16 <= size <= 1024:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
        compression = struct.unpack_from("<I", data, 30)[0] if size >= 20 else 0
        colours = struct.unpack_from("<I", data, 46)[0] if size >= 36 else 0
    else:
        raise ValueError
    if bits not in (1, 2, 4, 8, 16, 24, 32) or height == -(2**31):
        raise ValueError
    _check_compression(compression, size, bits)
    fields = compression in (_FIELDS, _ALPHA_FIELDS)
    masks = _masks(data, size, compression) if fields and bits in _MASKS else _MASKS.get(bits, (0, 0, 0, 0))
    after = 14 + size + ((16 if compression == _ALPHA_FIELDS else 12) if fields and size == 40 else 0)
    palette = _palette(data, after, start, (3 if size == 12 else 4, bits, colours))
    plain = 0 if fields else compression
    details = BmpDetails(bits, plain, masks, palette, start or after + len(palette), height < 0)
    profile, encoding = _colours(data, size)
    return Header(Format.BMP, width, abs(height), profile=profile, encoding=encoding, details=details)


def _check_compression(compression: int, size: int, bits: int) -> None:
    os2 = size in (16, 64)
    known = {_RLE8: 8, _RLE4: 4}.get(compression, bits) == bits
    if (known and compression in (_RAW, _RLE8, _RLE4)) or (compression in (_FIELDS, _ALPHA_FIELDS) and not os2):
        return
    name = {3: "Huffman", 4: "24-bit run-length"}.get(compression) if os2 else _NAMES.get(compression)
    if name is None:
        raise ValueError
    message = f"this is a BMP picture with {name} compression, which is not decoded"
    raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")


def _masks(data: Bytes, size: int, compression: int) -> tuple[int, int, int, int]:
    red, green, blue = struct.unpack_from("<III", data, 54)
    with_alpha = size >= 56 or compression == _ALPHA_FIELDS
    return red, green, blue, struct.unpack_from("<I", data, 66)[0] if with_alpha else 0


def _palette(data: Bytes, at: int, start: int, declared: tuple[int, int, int]) -> bytes:
    """The palette with four bytes per colour, as many as fit before the pixels.

    `declared`: bytes per colour, bits per pixel, number of colours.
    """
    step, bits, colours = declared
    if bits > 8:
        return b""
    count = min(colours or 1 << bits, 1 << bits)
    if start > at:
        count = min(count, (start - at) // step)
    raw = bytes(data[at : at + count * step])
    if step == 4:
        return raw
    return b"".join(raw[n : n + 3] + b"\0" for n in range(0, len(raw) - 2, 3))


def _colours(data: Bytes, size: int) -> tuple[bytes | None, Encoding | None]:
    """The embedded profile of a version 5 header, or the end points and gammas of a version 4 header."""
    if size < 108:
        return None, None
    if size >= 124 and bytes(data[70:74]) == _EMBEDDED:
        at, length = struct.unpack_from("<II", data, 126)
        return bytes(data[14 + at : 14 + at + length]), None
    (colour_space,) = struct.unpack_from("<I", data, 70)
    if colour_space:  # 0: calibrated
        return None, None
    points = [n / 2**30 for n in struct.unpack_from("<9i", data, 74)]
    gamma = sum(struct.unpack_from("<3I", data, 110)) / 3 / 65_536
    return None, _calibrated(points, gamma)


def _calibrated(points: list[float], gamma: float) -> Encoding | None:
    """The encoding from the CIE XYZ values of red, green and blue. Their sum is white."""
    if not 1.0 <= gamma <= 4.0:
        return None
    rows = [points[0:3], points[3:6], points[6:9]]
    rows.append([sum(column) for column in zip(*rows, strict=True)])
    if any(sum(row) <= 0 for row in rows):
        return Encoding(gamma)
    return Encoding(gamma, tuple(part for x, y, z in rows for part in (x / (x + y + z), y / (x + y + z))))
