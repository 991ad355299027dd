"""Pillow's decoders, called by name, so that Pillow never tries another reader."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from service.intake.formats import Format

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]
_OPENERS: dict[Format, Opener] = {
    Format.JPEG: JpegImagePlugin.JpegImageFile,
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.WEBP: WebPImagePlugin.WebPImageFile,
    Format.GIF: GifImagePlugin.GifImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
}


class Undecodable(Exception):
    """The picture is truncated or damaged. `part`: the pixels decoded so far, or None."""

    def __init__(self, part: Image.Image | None = None) -> None:
        super().__init__()
        self.part = part


def open_picture(kind: Format, picture: bytes | memoryview, size: tuple[int, int]) -> ImageFile.ImageFile:
    """Reads the header only.

    Raises Undecodable, also if Pillow reports a (width, height) other than `size`, for which the limits were checked.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            Image.MAX_IMAGE_PIXELS = None  # PictureLimits were checked before
            opened = _OPENERS[kind](io.BytesIO(picture))
    except Exception as error:  # Pillow's plugins raise many types for damaged bytes
        raise Undecodable from error
    if opened.size != size:
        raise Undecodable
    return opened


def loaded(picture: ImageFile.ImageFile) -> Image.Image:
    """Decodes the first frame. Raises Undecodable, with the available part if the pixels end too early."""
    try:
        with warnings.catch_warnings(action="ignore"):
            picture.load()
    except Exception as error:
        raise Undecodable(_part(picture) if isinstance(error, OSError) else None) from error
    return picture


def _part(picture: ImageFile.ImageFile) -> Image.Image | None:
    picture.tile = []  # what load() would decode
    try:
        picture.load()
    except Exception:
        return None
    return picture


def channels(picture: Image.Image, mode: str) -> NDArray[Any]:
    """The pixels in a Pillow mode such as "RGBA": uint8, shape (height, width, channels)."""
    converted = picture if picture.mode == mode else picture.convert(mode)
    array = np.asarray(converted)
    return array[:, :, None] if array.ndim == 2 else array
