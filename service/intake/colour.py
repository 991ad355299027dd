"""Converts pixels to sRGB: ICC profiles with LittleCMS, gamma and primaries with NumPy.

Most embedded profiles are equivalent to sRGB. Recognising one of them costs a digest and a table look-up.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from service.intake.headers.header import Encoding

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
# From CIE XYZ (white D65) to linear sRGB (IEC 61966-2-1).
_XYZ_TO_SRGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
_SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_GAMMA_TOLERANCE, _PRIMARY_TOLERANCE = 0.05, 0.005
_SAME_AS_SRGB = 2  # levels of 255 by which a profile may differ from sRGB
_REMEMBERED = 256


class ProfileUnusable(Exception):
    """The ICC profile is damaged, is not for RGB, grey or CMYK, or does not fit the pixels."""


def by_profile(pixels: Pixels, profile: bytes) -> Pixels:
    """Converts pixels to sRGB with an ICC profile.

    `pixels` has shape (height, width, channels): 3 channels are RGB, 4 are CMYK (255 is full ink), 1 is grey. A grey
    profile also applies to three channels if all pixels are grey. Returns uint8 of shape (height, width, 3). Raises
    ProfileUnusable.
    """
    channels = pixels.shape[2]
    if channels != 4 and _verdicts().is_srgb(profile):
        return pixels if channels == 3 else np.repeat(pixels, 3, axis=2)
    source, space = _opened(profile)
    if space == "GRAY" and channels == 3 and _is_grey(pixels):
        pixels = pixels[:, :, :1]
    elif space == "RGB" and channels == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[pixels.shape[2]]
    if {"GRAY": "L"}.get(space, space) != mode:
        raise ProfileUnusable
    plane = np.ascontiguousarray(pixels[:, :, 0] if mode == "L" else pixels)
    picture = Image.frombuffer(mode, (plane.shape[1], plane.shape[0]), plane, "raw", mode, 0, 1)
    return np.asarray(_converted(picture, source, mode))


def by_encoding(pixels: NDArray[Any], encoding: Encoding) -> NDArray[Any]:
    """Converts grey or RGB pixels to sRGB by gamma and primaries.

    `pixels` has shape (height, width, 1 or 3), uint8 or uint16. Returns uint8 if a conversion was necessary, else
    `pixels`.
    """
    matrix = _matrix(encoding.primaries) if pixels.shape[2] == 3 else None
    like_srgb = matrix is None and abs(encoding.gamma / 2.2 - 1) <= _GAMMA_TOLERANCE  # gamma 2.2 stands for sRGB
    gamma = 0.0 if like_srgb else encoding.gamma
    if matrix is None and not gamma:
        return pixels
    max_level = np.iinfo(pixels.dtype).max
    levels = np.arange(max_level + 1, dtype=np.float32) / max_level
    linear = levels**gamma if gamma else _linear_of_srgb(levels)
    if matrix is None:
        table: Pixels = (_srgb_of_linear(linear) * 255 + 0.5).astype(np.uint8)
        return np.asarray(table[pixels])
    rows = [_by_matrix(linear[row], matrix) for row in pixels]
    return np.stack(rows)


def by_inks(cmyk: Pixels) -> Pixels:
    """Converts CMYK (255 is full ink) to RGB without a profile, by simple multiplication as browsers do."""
    size = (cmyk.shape[1], cmyk.shape[0])
    return np.asarray(Image.frombuffer("CMYK", size, np.ascontiguousarray(cmyk), "raw", "CMYK", 0, 1).convert("RGB"))


def _by_matrix(linear: Floats, matrix: Floats) -> Pixels:
    found = np.clip(linear @ matrix.T, 0, 1)
    return np.asarray(_encoding_table()[(found * 65_535 + 0.5).astype(np.uint16)])


@lru_cache(1)
def _encoding_table() -> Pixels:
    levels = np.arange(65_536, dtype=np.float32) / 65_535
    return (_srgb_of_linear(levels) * 255 + 0.5).astype(np.uint8)


def _linear_of_srgb(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _srgb_of_linear(values: Floats) -> Floats:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055).astype(np.float32)


def _matrix(primaries: tuple[float, ...]) -> Floats | None:
    """The matrix from linear RGB with these primaries to linear sRGB; None if they are those of sRGB or invalid."""
    if not primaries or all(abs(a - b) <= _PRIMARY_TOLERANCE for a, b in zip(primaries, _SRGB, strict=True)):
        return None
    try:
        matrix = np.linalg.inv(_to_xyz(_SRGB)) @ _adaptation(primaries[6:], _SRGB[6:]) @ _to_xyz(primaries)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return matrix.astype(np.float32) if np.isfinite(matrix).all() else None


def _to_xyz(primaries: tuple[float, ...]) -> Floats:
    columns = np.array([_xyz(x, y) for x, y in zip(primaries[0:6:2], primaries[1:6:2], strict=True)]).T
    scale = np.linalg.solve(columns, np.array(_xyz(*primaries[6:8])))
    return np.asarray(columns * scale)


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    return x / y, 1.0, (1 - x - y) / y


def _adaptation(source: tuple[float, ...], target: tuple[float, ...]) -> Floats:
    """The Bradford chromatic adaptation from one white point to the other."""
    bradford = np.array(_BRADFORD)
    ratio = (bradford @ np.array(_xyz(*target))) / (bradford @ np.array(_xyz(*source)))
    return np.asarray(np.linalg.inv(bradford) @ np.diag(ratio) @ bradford)


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 0] == pixels[:, :, 2]).all())


def _opened(profile: bytes) -> tuple[Any, str]:
    """Returns the profile and its colour space, such as "RGB". Raises ProfileUnusable."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return opened, str(opened.profile.xcolor_space).strip()
    except Exception as error:  # LittleCMS and its binding raise many types for damaged bytes
        raise ProfileUnusable from error


def _converted(picture: Image.Image, source: Any, mode: str) -> Image.Image:
    try:
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        found = ImageCms.applyTransform(picture, transform)
    except Exception as error:
        raise ProfileUnusable from error
    if found is None:
        raise ProfileUnusable
    return found


class SrgbVerdicts:
    """Caches which profiles are equivalent to sRGB, by a keyed digest. Profiles themselves are not stored."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    def is_srgb(self, profile: bytes) -> bool:
        """Whether an RGB profile yields the colours of sRGB. Raises ProfileUnusable."""
        digest = hashlib.blake2b(profile, key=self._key, digest_size=16).digest()
        if digest not in self._known:
            self._known[digest] = _gives_srgb(profile)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[digest]


@lru_cache(1)
def _verdicts() -> SrgbVerdicts:
    return SrgbVerdicts()


def _gives_srgb(profile: bytes) -> bool:
    source, space = _opened(profile)
    if space != "RGB":
        return False
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    found = np.asarray(_converted(Image.fromarray(grid), source, "RGB"))
    return bool(np.abs(found.astype(np.int16) - grid).max() <= _SAME_AS_SRGB)
