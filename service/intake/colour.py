"""From a picture's own colours to sRGB: embedded ICC profiles by LittleCMS, gamma and primaries by arithmetic.

A profile that says the same as sRGB, as most do, costs one look at its digest.
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
    """The ICC profile is damaged, or not one of RGB, grey or CMYK, or not for pixels such as these."""


def by_profile(pixels: Pixels, profile: bytes) -> Pixels:
    """Converts to sRGB: (height, width, channels) with 3 channels RGB, 4 CMYK (as ink, 255 all of it) or 1 grey.

    Three channels may be converted by a grey profile where all pixels are grey. Raises ProfileUnusable.
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
    """Converts to sRGB: (height, width, 1 or 3), uint8 or uint16. uint8 where anything had to be converted."""
    matrix = _matrix(encoding.primaries) if pixels.shape[2] == 3 else None
    like_srgb = matrix is None and abs(encoding.gamma / 2.2 - 1) <= _GAMMA_TOLERANCE  # what sRGB is said by
    gamma = 0.0 if like_srgb else encoding.gamma
    if matrix is None and not gamma:
        return pixels
    most = np.iinfo(pixels.dtype).max
    levels = np.arange(most + 1, dtype=np.float32) / most
    linear = levels**gamma if gamma else _linear_of_srgb(levels)
    if matrix is None:
        table: Pixels = (_srgb_of_linear(linear) * 255 + 0.5).astype(np.uint8)
        return np.asarray(table[pixels])
    rows = [_by_matrix(linear[row], matrix) for row in pixels]
    return np.stack(rows)


def by_inks(cmyk: Pixels) -> Pixels:
    """RGB of CMYK (255 is all of an ink) without a profile, as browsers do: each ink takes its share of the light."""
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
    """From linear RGB of these primaries to linear sRGB; None where they are those of sRGB, or make no sense."""
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
    """Bradford's, from one white to the other."""
    bradford = np.array(_BRADFORD)
    ratio = (bradford @ np.array(_xyz(*target))) / (bradford @ np.array(_xyz(*source)))
    return np.asarray(np.linalg.inv(bradford) @ np.diag(ratio) @ bradford)


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 0] == pixels[:, :, 2]).all())


def _opened(profile: bytes) -> tuple[Any, str]:
    """The profile and its colour space, such as RGB."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return opened, str(opened.profile.xcolor_space).strip()
    except Exception as error:  # whatever LittleCMS and its binding say of damaged bytes
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
    """Which profiles say the same as sRGB, by a keyed digest; of the profile itself nothing is kept."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    def is_srgb(self, profile: bytes) -> bool:
        """Whether an RGB profile gives the colours of sRGB. Raises ProfileUnusable."""
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
