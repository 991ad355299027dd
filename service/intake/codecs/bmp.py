"""Decodes BMP. Reads 2, 16, 24 and 32 bits per pixel here, with any masks; Pillow decodes the rest under a plain
header."""

from __future__ import annotations

import struct
from typing import cast

import numpy as np
from numpy.typing import NDArray

from service.intake.codecs.stored import Stored, damaged
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.bmp import BmpDetails
from service.intake.headers.header import Header

_INFO_HEADER_BYTES = 40
_END_OF_PICTURE, _SKIP = 1, 2  # escape codes of the run-length encoding, after a zero byte
_SKIP_100_ROWS = bytes((0, _SKIP, 0, 100))


def decode_bmp(picture: bytes | memoryview, header: Header, partial: bool) -> Stored:
    """Returns RGB, with alpha if the header has a mask for it. Raises ServiceError (IMAGE_DAMAGED)."""
    details = cast(BmpDetails, header.details)
    if details.compression:
        return _by_runs(bytes(picture[details.start :]), header, partial)
    row = (header.width * details.bits + 31) // 32 * 4
    content = bytes(picture[details.start : details.start + row * header.height])
    padding = row - -(-header.width * details.bits // 8)
    there = (len(content) + padding) // row  # some programs omit the padding of the last row
    if there < header.height and not (partial and there):
        raise damaged(Format.BMP)
    content = content.ljust(row * header.height, b"\0")
    if details.bits in (2, 16, 24, 32):
        rows = np.frombuffer(content, np.uint8).reshape(header.height, row)
        rows = rows if details.top_down else rows[::-1]
        stored = _by_rows(rows, header.width, details)
    else:
        stored = Stored(_by_pillow(content, header, details))
    return stored if there == header.height else _with_white(stored, there, details.top_down)


def _by_runs(runs: bytes, header: Header, partial: bool) -> Stored:
    details = cast(BmpDetails, header.details)
    rows, end, whole = _whole_rows(runs, header, details.bits)
    if not whole:  # Pillow would fill missing pixels with the first colour of the palette
        if not partial or not rows:
            raise damaged(Format.BMP)
        runs = runs[:end] + bytes((0, _END_OF_PICTURE))
    stored = Stored(_by_pillow(_extended_to_last_row(runs, header.height, details.bits), header, details))
    return stored if whole else _with_white(stored, rows, details.top_down)


def _by_pillow(pixels: bytes, header: Header, details: BmpDetails) -> NDArray[np.uint8]:
    """Decodes to RGB with Pillow, under a standard 40-byte header and a complete palette."""
    colours = 1 << details.bits if details.bits <= 8 else 0
    palette = details.palette[: 4 * colours].ljust(4 * colours, b"\0")
    start = 14 + _INFO_HEADER_BYTES + len(palette)
    height = -header.height if details.top_down else header.height
    what = (1, details.bits, details.compression, 0, 0, 0, colours, 0)
    info = struct.pack("<IiiHHIIiiII", _INFO_HEADER_BYTES, header.width, height, *what)
    file = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + palette + pixels
    try:
        return channels(loaded(open_picture(Format.BMP, file, (header.width, header.height))), "RGB")
    except Undecodable:
        raise damaged(Format.BMP) from None


def _extended_to_last_row(runs: bytes, height: int, bits: int) -> bytes:
    """Extends run lengths whose end mark comes before the last row.

    Pixels that the runs skip get the first colour of the palette, here as in the middle of the picture.
    """
    at = 0
    while at + 1 < len(runs):
        count, what = runs[at : at + 2]
        if count == 0 and what == _END_OF_PICTURE:
            return runs[:at] + _SKIP_100_ROWS * (height // 100 + 1) + bytes((0, _END_OF_PICTURE))
        at += 2
        if count == 0 and what == _SKIP:
            at += 2
        elif count == 0 and what > _SKIP:  # that many literal pixels
            size = what if bits == 8 else (what + 1) // 2
            at += size + size % 2
    return runs


def _whole_rows(runs: bytes, header: Header, bits: int) -> tuple[int, int, bool]:
    """Returns the number of complete rows, the offset in the run lengths where they end, and whether the picture is
    complete."""
    at = rows = end = column = 0
    while at + 1 < len(runs):
        count, what = runs[at : at + 2]
        at += 2
        if count == 0 and what == _END_OF_PICTURE:
            return rows, end, True
        if count == 0 and what == _SKIP:
            across, down = runs[at : at + 2].ljust(2, b"\0")
            column, rows, at = column + across, rows + down, at + 2
        elif count == 0 and what > _SKIP:
            size = what if bits == 8 else (what + 1) // 2
            at += size + size % 2
            column += what if at - size % 2 <= len(runs) else 0
        elif count == 0:
            rows, end, column = rows + 1, at, 0
        else:
            column += count
    last = rows == header.height - 1 and column >= header.width
    return min(rows, header.height), end, rows >= header.height or last


def _with_white(stored: Stored, there: int, top_down: bool) -> Stored:
    missing = slice(there, None) if top_down else slice(0, len(stored.colour) - there)
    colour, alpha = stored.colour.copy(), stored.alpha
    colour[missing] = 255
    if alpha is not None:
        alpha = alpha.copy()
        alpha[missing] = 0
    return Stored(colour, alpha, complete=False)


def _by_rows(rows: NDArray[np.uint8], width: int, details: BmpDetails) -> Stored:
    if details.bits == 24:
        return Stored(rows[:, : 3 * width].reshape(len(rows), width, 3)[:, :, ::-1])
    return _by_palette(rows, width, details) if details.bits == 2 else _by_masks(rows, width, details)


def _by_palette(rows: NDArray[np.uint8], width: int, details: BmpDetails) -> Stored:
    indices = np.stack([rows >> shift & 3 for shift in (6, 4, 2, 0)], axis=2).reshape(len(rows), -1)[:, :width]
    colours = np.zeros((4, 4), np.uint8)
    given = np.frombuffer(details.palette[: len(details.palette) // 4 * 4], np.uint8).reshape(-1, 4)[:4]
    colours[: len(given)] = given
    return Stored(colours[indices][:, :, 2::-1])


def _by_masks(rows: NDArray[np.uint8], width: int, details: BmpDetails) -> Stored:
    pixels = np.ascontiguousarray(rows).view("<u2" if details.bits == 16 else "<u4")[:, :width]
    red, green, blue, alpha = (_field(pixels, mask) for mask in details.masks)
    colour = np.stack([red, green, blue], axis=2)
    # Many programs declare an alpha channel and leave it at zero. Such a picture would be fully transparent.
    return Stored(colour, alpha if details.masks[3] and alpha.any() else None)


def _field(pixels: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """The bits of a mask, scaled to 0 to 255."""
    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    max_value = mask >> shift
    bits = (pixels.astype(np.uint32) & np.uint32(mask)) >> np.uint32(shift)
    if max_value == 255:
        return bits.astype(np.uint8)
    return (bits.astype(np.float64) * 255 / max_value + 0.5).astype(np.uint8)
