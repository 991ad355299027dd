"""Decodes WebP: still pictures with OpenCV, the first frame of an animation with Pillow.

If the file is truncated, its first frame is decoded as a separate file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from service.intake.codecs.cut_short import part_of
from service.intake.codecs.opencv import decode_as_stored
from service.intake.codecs.stored import Stored, damaged, split_alpha
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.header import Header
from service.intake.headers.webp import WebpDetails, probe_webp

_MAX_CHUNKS = 4096
_BITSTREAMS = (b"VP8 ", b"VP8L")
_HAS_ALPHA = 0x10
_FRAME_HEADER = 16
_MAX_BYTES_PER_BLOCK, _MAX_FILLED = 400, 8 << 20  # per 16 x 16 pixels, and in total


@dataclass(frozen=True)
class _Frame:
    """The first frame.

    - `box`: left, top, width and height on the canvas, in pixels.
    - `body`: the available part of its bitstream, of which `missing` bytes are absent.
    - `alpha`: the alpha chunk of a lossy frame.
    """

    kind: bytes
    box: tuple[int, int, int, int]
    body: bytes = field(repr=False)
    missing: int
    alpha: bytes = field(repr=False)

    def decoded(self, filling: bytes) -> Stored:
        """Returns its pixels. Raises ServiceError, ValueError."""
        _, _, width, height = self.box
        chunks = _chunk(self.kind, self.body + filling)
        if self.alpha and self.kind == b"VP8 ":
            sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            chunks = _chunk(b"VP8X", bytes((_HAS_ALPHA, 0, 0, 0)) + sides) + _chunk(b"ALPH", self.alpha) + chunks
        still = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
        header = probe_webp(b"RIFF\0\0\0\0WEBP" + _chunk(self.kind, self.body[:64]))
        found = decode_as_stored(still) if (header.width, header.height) == (width, height) else None
        if found is None:
            raise damaged(Format.WEBP)
        return split_alpha(found)


def decode_webp(picture: bytes | memoryview, header: Header, partial: bool) -> Stored:
    """Returns RGB, with alpha if there is any. Raises ServiceError (IMAGE_DAMAGED)."""
    animated = cast(WebpDetails, header.details).animated
    found = None if animated else decode_as_stored(picture)
    if found is not None:
        return split_alpha(found)
    if animated:
        try:
            opened = open_picture(Format.WEBP, picture, (header.width, header.height))
            return split_alpha(channels(loaded(opened), "RGBA"))
        except Undecodable:
            pass
    frame = _first_frame(bytes(picture), header)
    stored = None
    if frame is not None and not frame.missing:  # the file is truncated after this frame
        stored = frame.decoded(b"")
    elif frame is not None and partial:
        blocks = -(-frame.box[2] // 16) * -(-frame.box[3] // 16)
        stored = part_of(frame.decoded, min(blocks * _MAX_BYTES_PER_BLOCK + 4096, _MAX_FILLED))
    if frame is None or stored is None:
        raise damaged(Format.WEBP, no_parts=partial)
    return _on_canvas(stored, frame, header) if animated else stored


def _first_frame(picture: bytes, header: Header) -> _Frame | None:
    """The available part of the first frame; None if there is no valid frame."""
    box, at = (0, 0, header.width, header.height), 12
    if cast(WebpDetails, header.details).animated:
        start = next((start for kind, start, _ in _chunks(picture, 12) if kind == b"ANMF"), len(picture))
        at = start + _FRAME_HEADER
        left, top, width, height = (int.from_bytes(picture[start + n : start + n + 3], "little") for n in (0, 3, 6, 9))
        box = (2 * left, 2 * top, 1 + width, 1 + height)
        if box[0] + box[2] > header.width or box[1] + box[3] > header.height:
            return None
    alpha = b""
    for kind, start, length in _chunks(picture, at):
        if kind == b"ALPH":
            alpha = picture[start : start + length]
        elif kind in _BITSTREAMS:
            body = picture[start : start + length]
            return _Frame(kind, box, body, length - len(body), alpha)
    return None


def _chunks(picture: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start and length of each chunk. The length may exceed the available bytes."""
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(picture):
            return
        length = int.from_bytes(picture[at + 4 : at + 8], "little")
        yield picture[at : at + 4], at + 8, length
        at += 8 + length + (length & 1)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) & 1)


def _on_canvas(stored: Stored, frame: _Frame, header: Header) -> Stored:
    left, top, width, height = frame.box
    canvas = np.zeros((header.height, header.width, 4), np.uint8)
    inside = canvas[top : top + height, left : left + width]
    inside[:, :, :3] = stored.colour
    inside[:, :, 3] = 255 if stored.alpha is None else stored.alpha
    return Stored(canvas[:, :, :3], canvas[:, :, 3], stored.complete)
