"""Decodes a picture to pixels: upright, sRGB, composited on white, cropped to the region.

The probe selects the decoder by format, and no other decoder is tried. (OpenCV's HDR reader, for example, writes a
temporary file.) Decoders return pixels as stored. Orientation, colours and alpha are handled here, in the same way for
every format. A JPEG may be decoded at a half, a quarter or an eighth of its sides, which is several times faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.intake.codecs.bmp import decode_bmp
from service.intake.codecs.gif import decode_gif
from service.intake.codecs.jpeg import decode_jpeg
from service.intake.codecs.opencv import REDUCTIONS, prepare_opencv
from service.intake.codecs.optional import decode_optional
from service.intake.codecs.png import decode_png
from service.intake.codecs.stored import Stored, damaged
from service.intake.codecs.webp import decode_webp
from service.intake.colour import ProfileUnusable, by_encoding, by_inks, by_profile
from service.intake.formats import OPTIONAL, Format
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from service.intake.probe import Header, probe

__all__ = ["Area", "DecodeOptions", "Decoded", "Note", "Pixels", "crop", "decode", "decode_picture", "prepare_opencv"]

Pixels = NDArray[np.uint8]


class Area(Protocol):
    """A part of a picture. Sides are normalised to 0 to 1. `index.Region` implements it."""

    @property
    def left(self) -> float: ...
    @property
    def top(self) -> float: ...
    @property
    def right(self) -> float: ...
    @property
    def bottom(self) -> float: ...


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode a picture.

    - `region`: the part to return; None: the whole picture.
    - `enough`: minimum pixels of the shorter side. A JPEG may be decoded smaller down to this size. 0: full size.
    - `partial`: use a truncated picture as far as it goes.
    """

    region: Area | None = None
    enough: int = 0
    partial: bool = False


@dataclass(frozen=True)
class Decoded:
    """`pixels`: uint8, shape (height, width, 3), sRGB."""

    pixels: Pixels = field(repr=False)
    notes: tuple[Note, ...] = ()


def decode(picture: bytes | memoryview, limits: PictureLimits, region: Area | None = None, enough: int = 0) -> Pixels:
    """Decodes a picture, or a region of it, to uint8 of shape (height, width, 3) in sRGB.

    Raises as `decode_picture`.
    """
    return decode_picture(picture, limits, DecodeOptions(region, enough)).pixels


def decode_picture(picture: bytes | memoryview, limits: PictureLimits, options: DecodeOptions) -> Decoded:
    """Decodes a picture, and collects notes about it. Of an animation, decodes the first frame.

    Raises ServiceError with a reason that begins with IMAGE_.
    """
    limits.check_bytes(len(picture))
    header = probe(picture, options.partial, limits.formats)
    limits.check_sides(header.width, header.height)
    reduction = _reduction(header, options.region, options.enough)
    stored = _decode_stored(picture, header, reduction, options.partial)
    if header.format in OPTIONAL:  # their libraries apply cropping and orientation
        limits.check_sides(stored.colour.shape[1], stored.colour.shape[0])
        header = replace(header, profile=stored.profile or header.profile)
    elif stored.colour.shape[:2] != (-(-header.height // reduction), -(-header.width // reduction)):
        raise damaged(header.format)
    colour = _part(stored.colour, header, options)
    alpha = None if stored.alpha is None else _part(stored.alpha, header, options)
    notes = [] if stored.complete else [Note.PICTURE_INCOMPLETE]
    rgb, honoured = _to_srgb(colour, header)
    if not honoured:
        notes.append(Note.PROFILE_IGNORED)
    return Decoded(rgb if alpha is None else _on_white(rgb, alpha), tuple(notes))


def crop(pixels: NDArray[Any], region: Area | None) -> NDArray[Any]:
    """The pixels inside the region, at least one in each direction. Returns a view."""
    if region is None:
        return pixels
    height, width = pixels.shape[:2]
    left, top = min(int(region.left * width), width - 1), min(int(region.top * height), height - 1)
    right, bottom = max(math.ceil(region.right * width), left + 1), max(math.ceil(region.bottom * height), top + 1)
    return pixels[top:bottom, left:right]


def _reduction(header: Header, region: Area | None, enough: int) -> int:
    """The factor by which the decoder may divide the sides: 1, 2, 4 or 8."""
    if header.format is not Format.JPEG or not enough:
        return 1
    across, down = (region.right - region.left, region.bottom - region.top) if region else (1.0, 1.0)
    if header.orientation >= 5:  # stored rotated by 90 degrees
        across, down = down, across
    shorter = min(header.width * across, header.height * down)
    return max((factor for factor in REDUCTIONS if shorter >= factor * enough), default=1)


def _decode_stored(picture: bytes | memoryview, header: Header, reduction: int, partial: bool) -> Stored:
    if header.format in OPTIONAL:
        return decode_optional(picture, header, partial)
    if header.format is Format.JPEG:
        return decode_jpeg(picture, header, reduction, partial)
    if header.format is Format.PNG:
        return decode_png(picture, header, partial)
    if header.format is Format.GIF:
        return decode_gif(picture, header, partial)
    if header.format is Format.BMP:
        return decode_bmp(picture, header, partial)
    return decode_webp(picture, header, partial)


def _part(pixels: NDArray[Any], header: Header, options: DecodeOptions) -> NDArray[Any]:
    """Turns the pixels upright and crops them to the region."""
    part = crop(_turn_upright(pixels, header.orientation), options.region)
    return part if header.orientation == 1 else np.ascontiguousarray(part)


def _to_srgb(colour: NDArray[Any], header: Header) -> tuple[Pixels, bool]:
    """Returns RGB as uint8, and False if the picture has a profile that could not be used."""
    if header.profile is not None and not header.profile_damaged:
        try:
            return by_profile(_in_8_bits(colour), header.profile), True
        except ProfileUnusable:
            pass
    honoured = header.profile is None and not header.profile_damaged
    if header.encoding is not None and colour.shape[2] < 4:
        colour = by_encoding(colour, header.encoding)
    colour = _in_8_bits(colour)
    if colour.shape[2] == 4:
        return by_inks(colour), honoured
    return np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour, honoured


def _in_8_bits(samples: NDArray[Any]) -> Pixels:
    if samples.dtype == np.uint16:
        samples = ((samples.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return samples


def _on_white(rgb: Pixels, alpha: NDArray[Any]) -> Pixels:
    share = _in_8_bits(alpha)[:, :, None].astype(np.uint16)
    return ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def _turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undoes EXIF orientation 1 to 8. Returns a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
