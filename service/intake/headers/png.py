"""Reads the chunks of a PNG: those that its pixels need, its colour encoding and its orientation."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

from service.intake.formats import Format
from service.intake.headers.code_points import coded_encoding
from service.intake.headers.header import Bytes, Encoding, Header
from service.intake.headers.tiff_tags import exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 65_536  # many programs split the pixels into chunks of a few kilobytes
_MAX_PROFILE_BYTES = 4 << 20
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT")
_USED_CHUNKS = (b"eXIf", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tRNS", b"PLTE", b"IHDR")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@dataclass(frozen=True)
class PngDetails:
    """What the PNG decoder needs.

    - `depth`: bits per sample.
    - `colour`: the colour type, 0, 2, 3, 4 or 6.
    - `pixels`: start and length of each part of the compressed pixels.
    - `cut`: the last part is shorter than its declared length.
    - `broken`: the checksum of a chunk does not match.
    """

    depth: int
    colour: int
    interlaced: bool
    palette: bytes = field(repr=False)
    transparency: bytes | None
    pixels: tuple[tuple[int, int], ...] = field(repr=False)
    cut: bool = False
    broken: bool = False


_NO_DETAILS = PngDetails(0, 0, False, b"", None, ())


def probe_png(data: Bytes, partial: bool = False) -> Header:
    """Reads a PNG header. `partial`: accept a file that ends within a chunk.

    Raises ValueError, IndexError or struct.error.
    """
    if data[12:16] != b"IHDR":
        raise ValueError
    found: dict[bytes, bytes] = {}
    pixels: list[tuple[int, int]] = []
    at, cut, broken = 8, False, False
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 8 + length > len(data):
            if not partial:
                raise ValueError  # a codec would allocate the declared length, up to four gigabytes
            length, cut = len(data) - at - 8, True
        elif kind in _CRITICAL and not broken:
            broken = not _is_whole(data, at, length)
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            pixels.append((at + 8, length))
        elif kind in _USED_CHUNKS and kind not in found:
            found[kind] = bytes(data[at + 8 : at + 8 + length])
        at += 12 + length
    else:
        raise ValueError
    return _header(found, replace(_NO_DETAILS, pixels=tuple(pixels), cut=cut, broken=broken))


def _is_whole(data: Bytes, at: int, length: int) -> bool:
    stored = data[at + 8 + length : at + 12 + length]
    return len(stored) < 4 or zlib.crc32(data[at + 4 : at + 8 + length]) == int.from_bytes(stored, "big")


def _header(found: dict[bytes, bytes], chunks: PngDetails) -> Header:
    width, height, depth, colour, packing, filtering, interlace = struct.unpack_from(">II5B", found[b"IHDR"])
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlace > 1:
        raise ValueError
    palette = found.get(b"PLTE", b"")
    if colour == 3 and not palette:
        raise ValueError
    details = replace(
        chunks, depth=depth, colour=colour, interlaced=bool(interlace), palette=palette,
        transparency=found.get(b"tRNS"),
    )  # fmt: skip
    profile, damaged, encoding = _colours(found)
    orientation = exif_orientation([found[b"eXIf"]] if b"eXIf" in found else [])
    return Header(Format.PNG, width, height, orientation, profile, damaged, encoding, details)


def _colours(found: dict[bytes, bytes]) -> tuple[bytes | None, bool, Encoding | None]:
    """Returns the profile, whether it is damaged, and the encoding.

    The order of precedence is that of the standard: cICP, iCCP, sRGB, gAMA with cHRM.
    """
    if len(found.get(b"cICP", b"")) == 4:
        encoding = coded_encoding(found[b"cICP"][0], found[b"cICP"][1])
        if encoding is not None:
            return None, False, encoding
    damaged = False
    if b"iCCP" in found:
        profile = _inflated(found[b"iCCP"])
        if profile is not None:
            return profile, False, None
        damaged = True
    if b"sRGB" in found or len(found.get(b"gAMA", b"")) != 4:
        return None, damaged, None
    gamma = int.from_bytes(found[b"gAMA"], "big") / 100_000
    primaries: tuple[float, ...] = ()
    if len(found.get(b"cHRM", b"")) == 32:
        white_x, white_y, *rest = (n / 100_000 for n in struct.unpack(">8I", found[b"cHRM"]))
        primaries = (*rest, white_x, white_y)
    return None, damaged, Encoding(1 / gamma, primaries) if gamma else None


def _inflated(chunk: bytes) -> bytes | None:
    end = chunk.find(b"\0")
    if end < 0 or chunk[end + 1 : end + 2] != b"\0":
        return None
    try:
        return zlib.decompressobj().decompress(chunk[end + 2 :], _MAX_PROFILE_BYTES) or None
    except zlib.error:
        return None
