"""Decodes JPEG. A file without an end marker is accepted if all pixels are available, as in browsers.

To test this, the file is decoded twice: with the end marker, and with other data before it. libjpeg derives missing
pixels from the bytes that follow, so the results differ exactly in the missing pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from service.intake.codecs.opencv import decode_colour
from service.intake.codecs.stored import Stored, damaged
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.header import Header
from service.intake.headers.jpeg import JpegDetails, all_scans_are_there, count_scans, without_cut_segment

_END = b"\xff\xd9"
_OTHER = b"\x5a\x3c\x96\x69" * 16
# Contains every restart marker, whichever comes next, so that no missing interval is mistaken for an available one.
_OTHER_TAIL = _OTHER + 2 * b"".join(bytes((0xFF, 0xD0 + n)) + _OTHER for n in range(8))
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class _Decoder:
    details: JpegDetails
    size: tuple[int, int]
    reduction: int

    def pixels(self, picture: bytes | memoryview) -> Pixels | None:
        """Returns RGB or CMYK; None if the picture is damaged or truncated."""
        if self.details.components == 4:
            return self._by_pillow(picture, "CMYK")
        found = decode_colour(picture, self.reduction)
        return self._by_pillow(picture, "RGB") if found is None and self.details.arithmetic else found

    def _by_pillow(self, picture: bytes | memoryview, mode: str) -> Pixels | None:
        try:
            opened = open_picture(Format.JPEG, picture, self.size)
            opened.draft(mode, (self.size[0] // self.reduction, self.size[1] // self.reduction))
            return channels(loaded(opened), mode)
        except Undecodable:
            return None


def decode_jpeg(picture: bytes | memoryview, header: Header, reduction: int, partial: bool) -> Stored:
    """Returns RGB or CMYK. The sides are divided by `reduction` and rounded up. Raises ServiceError (IMAGE_DAMAGED)."""
    details = cast(JpegDetails, header.details)
    decoder = _Decoder(details, (header.width, header.height), reduction)
    if details.first_marker > 2:  # OpenCV requires a marker immediately after the start of the image
        picture = b"\xff\xd8" + bytes(picture[details.first_marker :])
    found = decoder.pixels(picture)
    if found is not None:
        return Stored(found)
    return _without_end(decoder, bytes(picture), partial)


def _without_end(decoder: _Decoder, picture: bytes, partial: bool) -> Stored:
    if picture.endswith(_END):
        raise damaged(Format.JPEG)
    picture = without_cut_segment(picture.rstrip(b"\xff"))
    found, other = decoder.pixels(picture + _END), decoder.pixels(picture + _OTHER_TAIL + _END)
    if found is None:
        raise damaged(Format.JPEG)
    same = other is not None and np.array_equal(found, other)
    progressive = decoder.details.progressive
    if same and (not progressive or all_scans_are_there(picture)):
        return Stored(found)
    if not partial:
        raise damaged(Format.JPEG)
    if progressive and count_scans(picture) > 1:  # the picture is complete, with less detail
        return Stored(found, complete=False)
    rows = (found != other).any(axis=(1, 2)) if other is not None else np.ones(len(found), bool)
    if rows[0] or not rows.any():
        raise damaged(Format.JPEG)
    found = found.copy()
    found[int(rows.argmax()) :] = 0 if found.shape[2] == 4 else 255
    return Stored(found, complete=False)
