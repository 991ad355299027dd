"""Views: places an object on a background, and simulates photography and editing. Results are uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.materials import Picture, add_text, colour
from service.encoder.builtin.generator.objects import LAYER_SIDE
from service.encoder.builtin.generator.outlines import any_outline

Rng = np.random.Generator
Pixels = NDArray[np.uint8]


def compose(rng: Rng, layer: Picture, ground: Picture, *, hard: bool) -> Picture:
    """Places the layer (RGB and opacity) on the background, sometimes with a shadow. `hard` rotates and tilts more."""
    side = ground.shape[0]
    placed = cv2.warpPerspective(layer, _pose(rng, side, hard), (side, side), flags=cv2.INTER_AREA, borderValue=0)
    opacity = placed[..., 3:]
    under = ground
    if rng.random() < 0.35:
        offset = rng.normal(0, side * 0.03, 2)
        shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32)
        moved = cv2.warpAffine(placed[..., 3], shift, (side, side))
        blurred = cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(1, side * 0.06)))
        under = ground * (1 - np.float32(rng.uniform(0.1, 0.6)) * blurred[..., None])
    return under * (1 - opacity) + placed[..., :3] * opacity


def _pose(rng: Rng, side: int, hard: bool) -> NDArray[np.float64]:
    turn = rng.normal(0, 0.22 if hard else 0.07) + (
        rng.choice([0.5, 1, 1.5]) * np.pi if hard and rng.random() < 0.06 else 0
    )
    size = rng.uniform(0.5, 1.0) if hard else rng.uniform(0.72, 1.0)
    stretch = np.exp(rng.normal(0, 0.12))
    unit = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    tilted = unit + rng.normal(0, 0.09 if hard else 0.03, (4, 2))
    c, s = np.cos(turn), np.sin(turn)
    turned = (tilted * (stretch, 1 / stretch)) @ np.array([[c, s], [-s, c]]) * size
    centre = 1 + rng.normal(0, 0.10 if hard else 0.04, 2)
    return cv2.getPerspectiveTransform(
        ((unit + 1) * LAYER_SIDE / 2).astype(np.float32), ((turned + centre) * side / 2).astype(np.float32)
    )  # type: ignore[return-value]


def photographed(rng: Rng, picture: Picture, *, colour_change: float) -> Pixels:
    """Simulates exposure, white balance, blur and noise. `colour_change` 0..1: at 1 hue and saturation change too."""
    gain = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.04 + 0.08 * colour_change, 3))
    seen = np.clip(picture * gain.astype(np.float32) + np.float32(rng.normal(0, 0.03)), 0, 1)
    if rng.random() < 0.4:
        seen = seen ** np.float32(np.exp(rng.normal(0, 0.25)))
    if colour_change > 0:
        grey = seen.mean(-1, keepdims=True)
        seen = np.clip(grey + (seen - grey) * np.float32(np.exp(rng.normal(0, 0.5 * colour_change))), 0, 1)
    if rng.random() < 0.4:
        seen = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.3, 1.6)))
    if rng.random() < 0.5:
        seen = seen + rng.normal(0, rng.uniform(0, 0.05), seen.shape).astype(np.float32)
    return (np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8)


def edited(rng: Rng, pixels: Pixels) -> Pixels:
    """Simulates typical edits: crop, frame, stretch, rotate, cover, mirror. The size stays the same."""
    side = pixels.shape[0]
    if rng.random() < 0.35:
        pixels = cropped(rng, pixels, 0.65)
    if rng.random() < 0.3:
        pixels = _turned(rng, pixels)
    if rng.random() < 0.2:
        pixels = _framed(rng, pixels)
    pixels = np.array(_resized(pixels, side))
    if rng.random() < 0.25:
        _cover(rng, pixels)
    return pixels[:, ::-1].copy() if rng.random() < 0.2 else pixels


def cropped(rng: Rng, pixels: Pixels, least: float) -> Pixels:
    """A random part: between `least` and 1 of each side. A view of `pixels`."""
    rows, columns = pixels.shape[:2]
    wide, high = (int(length * n) for length, n in zip((columns, rows), rng.uniform(least, 1.0, 2), strict=True))
    x, y = int(rng.integers(0, columns - wide + 1)), int(rng.integers(0, rows - high + 1))
    return pixels[y : y + high, x : x + wide]


def _turned(rng: Rng, pixels: Pixels) -> Pixels:
    high, wide = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), float(np.degrees(rng.normal(0, 0.12))), 1.0)
    mode = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE
    return cv2.warpAffine(pixels, matrix, (wide, high), borderMode=mode, borderValue=(255, 255, 255))  # type: ignore[return-value]


def _framed(rng: Rng, pixels: Pixels) -> Pixels:
    high, wide = pixels.shape[:2]
    y, x = int(high * rng.uniform(0, 0.25)), int(wide * rng.uniform(0, 0.25))
    ink = np.array([1, 1, 1]) - abs(rng.normal(0, 0.02)) if rng.random() < 0.7 else colour(rng)
    return cv2.copyMakeBorder(pixels, y, y, x, x, cv2.BORDER_CONSTANT, value=(np.asarray(ink) * 255).tolist())  # type: ignore[return-value]


def _cover(rng: Rng, pixels: Pixels) -> None:
    """Draws a rectangle, a shape or words on top, in place."""
    side = pixels.shape[0]
    x, y = rng.uniform(0, 0.8, 2) * side
    ink = (colour(rng) * 255).tolist()
    kind = rng.random()
    if kind < 0.5:
        wide, high = rng.uniform(0.1, 0.45, 2) * side
        cv2.rectangle(pixels, (int(x), int(y)), (int(x + wide), int(y + high)), ink, -1)
    elif kind < 0.75:
        outline = any_outline(rng) * rng.uniform(0.08, 0.25) * side + (x, y)
        cv2.fillPoly(pixels, [np.round(outline * 16).astype(np.int32)], ink, cv2.LINE_AA, 4)
    if kind > 0.4:
        add_text(rng, pixels, (x * 0.6, y + 0.1 * side), side / 190, ink)


def _resized(pixels: Pixels, side: int) -> Pixels:
    if pixels.shape[:2] == (side, side):
        return pixels
    method = cv2.INTER_AREA if pixels.shape[0] * pixels.shape[1] > side * side else cv2.INTER_LINEAR
    return cv2.resize(pixels, (side, side), interpolation=method)  # type: ignore[return-value]
