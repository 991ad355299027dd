"""What people do to a picture before it comes back: the edits by which copies are measured."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # RGB
Rng = np.random.Generator


def _crop(share: float) -> Callable[[Picture, Rng], Picture]:
    def edit(picture: Picture, rng: Rng) -> Picture:
        height, width = picture.shape[:2]
        high, wide = int(height * (1 - share)), int(width * (1 - share))
        y, x = rng.integers(0, height - high + 1), rng.integers(0, width - wide + 1)
        return picture[y : y + high, x : x + wide]

    return edit


def _jpeg(picture: Picture, quality: int) -> Picture:
    coded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def _half_size(picture: Picture, rng: Rng) -> Picture:
    return _jpeg(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 80)  # type: ignore[arg-type]


def _blur(picture: Picture, rng: Rng) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 100)  # type: ignore[return-value]


def _overlay(picture: Picture, rng: Rng) -> Picture:
    """A plate in a random colour, and words in red on white."""
    changed = np.array(picture[:, :, ::-1])
    height, width = changed.shape[:2]
    plate = [int(v) for v in rng.integers(0, 256, 3)]
    cv2.rectangle(changed, (int(width * 0.04), int(height * 0.04)), (int(width * 0.34), int(height * 0.2)), plate, -1)
    for ink, thick in (((255, 255, 255), 5), ((20, 20, 220), 2)):
        place = (int(width * 0.08), int(height * (0.55 + 0.3 * rng.random())))
        cv2.putText(changed, "SALE -30%", place, cv2.FONT_HERSHEY_DUPLEX, width / 190, ink, thick)
    return changed[:, :, ::-1]


def _colour(picture: Picture, rng: Rng) -> Picture:
    bgr = picture[:, :, ::-1].astype(np.float32)
    changed = bgr * (1 + rng.uniform(-0.25, 0.25)) + rng.uniform(-25, 25)
    changed = changed * (1 + rng.uniform(-0.1, 0.1, 3)).astype(np.float32)
    clipped: Picture = np.clip(changed, 0, 255).astype(np.uint8)
    return clipped[:, :, ::-1]


def _border(picture: Picture, rng: Rng) -> Picture:
    y, x = int(0.15 * picture.shape[0]), int(0.15 * picture.shape[1])
    return cv2.copyMakeBorder(picture, y, y, x, x, cv2.BORDER_CONSTANT, value=(255, 255, 255))  # type: ignore[return-value]


def _rotate(picture: Picture, rng: Rng) -> Picture:
    height, width = picture.shape[:2]
    angle = rng.uniform(5, 12) * rng.choice([-1, 1])
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderValue=(255, 255, 255))  # type: ignore[return-value]


ALTERATIONS: dict[str, Callable[[Picture, Rng], Picture]] = {
    "jpeg30": lambda picture, rng: _jpeg(picture, 30),
    "resize50": _half_size,
    "crop10": _crop(0.1),
    "crop20": _crop(0.2),
    "crop30": _crop(0.3),
    "flip": lambda picture, rng: picture[:, ::-1],
    "blur": _blur,
    "overlay": _overlay,
    "colour": _colour,
    "border": _border,
    "rotate": _rotate,
}
