"""Decodes AVIF, HEIC, TIFF and JPEG XL if they are enabled. Each library turns the picture upright itself.

The packages for HEIC and JPEG XL are imported only if their format is enabled.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, TiffImagePlugin

from service.errors import Reason, ServiceError
from service.intake.codecs.cut_short import part_of
from service.intake.codecs.stored import Stored, damaged, split_alpha
from service.intake.codecs.with_pillow import channels, loaded
from service.intake.formats import Format
from service.intake.headers.header import Header
from service.intake.headers.isobmff import missing_of_boxes

_DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_MAX_BYTES_PER_PIXEL, _MAX_OVERHEAD, _MAX_FILLED = 8, 1 << 18, 64 << 20  # bytes
_NOT_DECODED = frozenset({"F", "I", "LAB", "HSV"})


def decode_optional(picture: bytes | memoryview, header: Header, partial: bool) -> Stored:
    """Decodes a picture of an optional format. Raises ServiceError (IMAGE_DAMAGED, IMAGE_FORMAT_UNSUPPORTED)."""
    decoder, whole = _DECODERS[header.format], bytes(picture)
    with warnings.catch_warnings(action="ignore"):
        try:
            return decoder(whole)
        except (ServiceError, MemoryError):
            raise
        except Exception as error:  # the libraries raise many types for damaged bytes
            reason = error
        missing = _missing_bytes(whole, header) if partial else 0
        stored = part_of(lambda filling: decoder(whole + filling), missing) if missing else None
    if stored is None:
        raise damaged(header.format, no_parts=partial) from reason
    return stored


def _missing_bytes(picture: bytes, header: Header) -> int:
    """Returns the number of bytes to append to a truncated picture; 0 if none are missing or that is impossible."""
    most = min(header.width * header.height * _MAX_BYTES_PER_PIXEL + _MAX_OVERHEAD, _MAX_FILLED)
    if header.format in (Format.AVIF, Format.HEIC):
        missing = missing_of_boxes(picture)
        return missing if missing <= most else 0  # if it is larger, the length field is damaged
    return most if header.format is Format.TIFF else 0


def _decode_tiff(picture: bytes) -> Stored:
    opened = TiffImagePlugin.TiffImageFile(io.BytesIO(picture))
    if opened.mode in _NOT_DECODED:
        message = f"this is a TIFF picture of mode {opened.mode}; grey, RGB and CMYK of 8 or 16 bits are decoded"
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")
    page = loaded(opened)
    profile = page.info.get("icc_profile") or None
    if page.mode in _DEEP_GREY:
        return Stored(np.asarray(page).astype(np.uint16)[:, :, None], profile=profile)
    if page.mode == "CMYK":
        return Stored(channels(page, "CMYK"), profile=profile)
    return _of_pillow(page, profile)


def _decode_avif(picture: bytes) -> Stored:
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the sandbox allows a single thread
    shown = ImageOps.exif_transpose(loaded(AvifImagePlugin.AvifImageFile(io.BytesIO(picture))))
    return _of_pillow(shown, None)


def _decode_heic(picture: bytes) -> Stored:
    heif: Any = import_module("pi_heif")
    heif.options.DECODE_THREADS = 1
    opened = heif.open_heif(picture, convert_hdr_to_8bit=True)
    pixels = np.asarray(opened)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return split_alpha(pixels.copy())


def _decode_jxl(picture: bytes) -> Stored:
    jxl: Any = import_module("pylibjxl")
    pixels, said = jxl.JXL(threads=1, pool_size=1).decode(picture, metadata=True)
    stored = split_alpha(pixels if pixels.ndim == 3 else pixels[:, :, None])
    return Stored(stored.colour, stored.alpha, profile=said.get("icc") or said.get("icc_profile") or None)


def _of_pillow(picture: Image.Image, profile: bytes | None) -> Stored:
    if picture.has_transparency_data:
        split = split_alpha(channels(picture, "RGBA"))
        return Stored(split.colour, split.alpha, profile=profile)
    return Stored(channels(picture, "L" if picture.mode in ("1", "L") else "RGB"), profile=profile)


_DECODERS: dict[Format, Callable[[bytes], Stored]] = {
    Format.TIFF: _decode_tiff,
    Format.AVIF: _decode_avif,
    Format.HEIC: _decode_heic,
    Format.JXL: _decode_jxl,
}
