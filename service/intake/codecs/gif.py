"""Decodes the first frame of a GIF. Parts of the screen that it does not cover are transparent, as in browsers."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.intake.codecs.stored import Stored, damaged
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.gif import GifDetails
from service.intake.headers.header import Header


def decode_gif(picture: bytes | memoryview, header: Header, partial: bool) -> Stored:
    """Returns RGB and alpha. Raises ServiceError (IMAGE_DAMAGED)."""
    frame = cast(GifDetails, header.details)
    complete = True
    try:
        opened = open_picture(Format.GIF, picture, (header.width, header.height))
        decoded = loaded(opened)
    except Undecodable as error:
        if error.part is None or not partial:
            raise damaged(Format.GIF) from None
        decoded, complete = error.part, False
    inside = (slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width))
    there = None if complete else _decoded_mask(decoded, frame)[inside]
    pixels = channels(decoded, "RGBA")
    found = pixels[inside]
    if there is not None:
        found = _completed(found, there, frame.interlaced)
    canvas = np.zeros((header.height, header.width, 4), np.uint8)
    canvas[inside] = found
    return Stored(canvas[:, :, :3], canvas[:, :, 3], complete)


def _decoded_mask(decoded: Image.Image, frame: GifDetails) -> NDArray[np.bool_]:
    """A mask of the pixels that differ from Pillow's fill value."""
    filling = decoded.info.get("transparency", 0)
    found: NDArray[np.bool_] = np.asarray(decoded) != (filling if isinstance(filling, int) else 0)
    return found


def _completed(pixels: NDArray[np.uint8], there: NDArray[np.bool_], interlaced: bool) -> NDArray[np.uint8]:
    """Fills missing rows: transparent, or a copy of the nearest row above if the frame is interlaced.

    Raises ServiceError if no row is available.
    """
    rows = np.flatnonzero(there.any(axis=1))
    if not len(rows):
        raise damaged(Format.GIF)
    if interlaced:
        above = np.searchsorted(rows, np.arange(len(pixels)), side="right") - 1
        return pixels[rows[np.maximum(above, 0)]]
    pixels = pixels.copy()
    pixels[rows[-1] + 1 :] = 0
    return pixels
