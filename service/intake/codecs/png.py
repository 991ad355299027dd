"""Decodes PNG. Only the chunks that the pixels need reach a decoder.

Palette and transparency are applied here, so that they work for every bit depth.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from service.intake.codecs.opencv import decode_as_stored
from service.intake.codecs.stored import Stored, damaged, split_alpha
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.header import Header
from service.intake.headers.png import CHANNELS, SIGNATURE, PngDetails

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_AFTER_PASS = ((8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2), (1, 1))  # steps between available pixels: x, y
_PALETTE = 3
_INFLATED_AT_ONCE = 1 << 20


def decode_png(picture: bytes | memoryview, header: Header, partial: bool) -> Stored:
    """Returns grey or RGB, 8 or 16 bits per sample. Raises ServiceError (IMAGE_DAMAGED)."""
    details = cast(PngDetails, header.details)
    if details.broken:
        raise damaged(Format.PNG)
    compressed = b"".join(picture[at : at + length] for at, length in details.pixels)
    try:
        samples = _samples(compressed, header, details)
        if not samples[-2:].any(axis=(1, 2)).all() and not _has_all_rows(compressed, header, details):
            raise Undecodable  # the zlib stream is valid but ends before the last row; Pillow would return black
        return _finished(samples, details)
    except Undecodable:
        if not partial:
            raise damaged(Format.PNG) from None
    part = _inflated_part(compressed, header, details)
    try:
        samples = _samples(zlib.compress(part.padded, 0), header, details)
    except Undecodable:
        raise damaged(Format.PNG) from None
    return _with_white(_finished(part.shown(samples), details), part.rows)


def _samples(compressed: bytes, header: Header, details: PngDetails) -> NDArray[Any]:
    """The samples as stored, shape (height, width, channels); palette indices if there is a palette.

    Raises Undecodable.
    """
    start = struct.pack(
        ">II5B", header.width, header.height, details.depth, details.colour, 0, 0, int(details.interlaced)
    )
    palette = _chunk(b"PLTE", details.palette) if details.colour == _PALETTE else b""
    bare = b"".join((SIGNATURE, _chunk(b"IHDR", start), palette, _chunk(b"IDAT", compressed), _chunk(b"IEND", b"")))
    if details.depth == 16:
        found = decode_as_stored(bare)
        if found is None:
            raise Undecodable
        return found
    opened = loaded(open_picture(Format.PNG, bare, (header.width, header.height)))
    samples = channels(opened, opened.mode)
    return samples.astype(np.uint8) * 255 if samples.dtype == bool else samples


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def _finished(samples: NDArray[Any], details: PngDetails) -> Stored:
    if details.colour == _PALETTE:
        return _from_palette(samples[:, :, 0], details)
    key = details.transparency
    if samples.shape[2] in (2, 4) or key is None:
        return split_alpha(samples)
    count = CHANNELS[details.colour]
    if len(key) < 2 * count:
        return Stored(samples)
    hidden = np.array(struct.unpack_from(f">{count}H", key), np.int64) & (1 << details.depth) - 1
    if details.depth < 8:
        hidden = hidden * 255 // ((1 << details.depth) - 1)
    opaque = (samples != hidden.astype(samples.dtype)).any(axis=2)
    return Stored(samples, opaque.astype(samples.dtype) * np.iinfo(samples.dtype).max)


def _from_palette(indices: NDArray[Any], details: PngDetails) -> Stored:
    colours = np.zeros((256, 3), np.uint8)
    given = np.frombuffer(details.palette[: len(details.palette) // 3 * 3], np.uint8).reshape(-1, 3)[:256]
    colours[: len(given)] = given
    if not details.transparency:
        return Stored(colours.take(indices, axis=0))
    alpha = np.full(256, 255, np.uint8)
    alpha[: len(details.transparency[:256])] = np.frombuffer(details.transparency[:256], np.uint8)
    return Stored(colours.take(indices, axis=0), alpha.take(indices))


@dataclass(frozen=True)
class _Part:
    """The available part of a truncated picture.

    - `padded`: the filtered rows, with zeros for missing ones.
    - `rows`: how many rows are available, from the top.
    - `steps`: steps across and down between the available pixels of an interlaced picture.
    """

    padded: bytes
    rows: int
    steps: tuple[int, int] = (1, 1)

    def shown(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Repeats each available pixel over its missing neighbours."""
        across, down = self.steps
        if self.steps == (1, 1):
            return samples
        height, width = samples.shape[:2]
        return samples[::down, ::across].repeat(down, 0).repeat(across, 1)[:height, :width]


def _inflated_part(compressed: bytes, header: Header, details: PngDetails) -> _Part:
    """Inflates as much of the pixels as possible. Raises ServiceError if the result is less than one row."""
    sizes, height = _pass_bytes(header, details), header.height
    stream = zlib.decompressobj()
    try:
        there = stream.decompress(compressed, sum(sizes))
    except zlib.error:
        there = b""
    padded = there + bytes(sum(sizes) - len(there))
    if not details.interlaced:
        rows = len(there) * height // sizes[0]
        if rows:
            return _Part(padded, rows)
    else:
        passes = sum(sum(sizes[: n + 1]) <= len(there) for n in range(7))
        if passes:
            return _Part(padded, height, _AFTER_PASS[passes - 1])
    raise damaged(Format.PNG)


def _pass_bytes(header: Header, details: PngDetails) -> list[int]:
    """The size in bytes of the filtered rows; for an interlaced picture, of each pass."""
    bits = details.depth * CHANNELS[details.colour]
    width, height = header.width, header.height
    if not details.interlaced:
        return [height * _row_bytes(width, bits)]
    sides = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    return [rows * _row_bytes(columns, bits) if columns > 0 and rows > 0 else 0 for columns, rows in sides]


def _has_all_rows(compressed: bytes, header: Header, details: PngDetails) -> bool:
    """Inflates the pixels again, in parts, and returns whether all rows are there."""
    stream, missing = zlib.decompressobj(), sum(_pass_bytes(header, details))
    while missing > 0:
        try:
            part = stream.decompress(compressed, min(missing, _INFLATED_AT_ONCE))
        except zlib.error:
            return False
        compressed = stream.unconsumed_tail
        if not part:
            return False
        missing -= len(part)
    return True


def _row_bytes(columns: int, bits: int) -> int:
    return 1 + -(-columns * bits // 8)


def _with_white(stored: Stored, rows: int) -> Stored:
    colour = stored.colour.copy()
    colour[rows:] = np.iinfo(colour.dtype).max
    alpha = stored.alpha
    if alpha is not None:
        alpha = alpha.copy()
        alpha[rows:] = 0
    return Stored(colour, alpha, complete=False)
