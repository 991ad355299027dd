"""Painting smooth, shaded shapes: outlines in unit coordinates, materials with a pattern, light from the upper left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 440
_SCALE = 2  # drawn at twice the size, then reduced: smooth edges
_COARSE = 4  # light and shadow are worked out on a grid this much coarser
_LIGHT = np.array([-0.45, -0.62, 0.64], np.float32)

Colour = tuple[float, float, float]
Points = Sequence[tuple[float, float]]
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """How the product lies in the picture: centre and size in fractions of a side, turn in degrees."""

    x: float = 0.5
    y: float = 0.5
    size: float = 0.78
    turn: float = 0.0
    mirrored: bool = False
    squeeze: float = 1.0

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit coordinates (0..1, y down) as pixels of the large drawing."""
        centred = points - 0.5
        if self.mirrored:
            centred = centred * (-1, 1)
        centred = centred * (self.squeeze, 1)
        angle = np.deg2rad(self.turn)
        turned = centred @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return (turned * self.size + (self.x, self.y)) * SIDE * _SCALE


@dataclass(frozen=True)
class Material:
    """What a part is made of. `pattern` is one of PATTERNS; `gloss` 0 (cloth) to 1 (glazed)."""

    colour: Colour
    second: Colour = (1.0, 1.0, 1.0)
    pattern: str = "plain"
    gloss: float = 0.1
    seed: int = 0


class Canvas:
    """A picture in the making."""

    def __init__(self, ground: Picture, pose: Pose) -> None:
        """`ground`: float RGB 0..1, shape (2 * SIDE, 2 * SIDE, 3)."""
        self._pixels, self._pose = ground, pose

    def shadow(self, points: Points, depth: float = 0.02, strength: float = 0.35) -> None:
        """A soft shadow of an outline, to the lower right."""
        mask = self._mask(np.array(points) + np.array([depth, depth * 1.4]), smooth=True)
        small = cv2.resize(mask, None, fx=1 / _COARSE, fy=1 / _COARSE, interpolation=cv2.INTER_AREA)
        soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), SIDE * _SCALE * 0.014 / _COARSE), mask.shape)
        self._pixels *= 1 - strength * soft[..., None]

    def paint(self, points: Points, material: Material, *, softness: float = 0.05, smooth: bool = True) -> None:
        """Fills an outline. `softness`: how far the edge is rounded off, in unit coordinates."""
        mask = self._mask(np.array(points, np.float64), smooth)
        x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
        box = (slice(y, y + height), slice(x, x + width))
        lit, shine = _relief(mask, softness * self._pose.size * SIDE * _SCALE)
        pattern = self._pattern(material, box)
        colour = pattern * lit[box][..., None] + (shine[box] * material.gloss)[..., None]
        alpha = mask[box][..., None]
        self._pixels[box] = self._pixels[box] * (1 - alpha) + np.clip(colour, 0, 1) * alpha

    def line(self, points: Points, colour: Colour, width: float = 0.008) -> None:
        """A seam, a strap or a handle: a smooth open curve."""
        curve = _spline(np.array(points, np.float64), closed=False)
        pixels = np.round(self._pose.place(curve) * 16).astype(np.int32)
        thickness = max(1, round(width * self._pose.size * SIDE * _SCALE))
        cv2.polylines(self._pixels, [pixels], False, colour, thickness, cv2.LINE_AA, 4)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle: a button, an eyelet."""
        ring = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)]
        self.paint(ring, Material(colour, gloss=0.4), softness=radius)

    def finish(self) -> NDArray[np.uint8]:
        """The picture, uint8 BGR (as OpenCV writes it), SIDE x SIDE."""
        small = cv2.resize(self._pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.round(np.clip(small[..., ::-1], 0, 1) * 255).astype(np.uint8)

    def _mask(self, points: NDArray[np.float64], smooth: bool) -> Picture:
        outline = _spline(points, closed=True) if smooth else points
        mask = np.zeros(self._pixels.shape[:2], np.uint8)
        pixels = np.round(self._pose.place(outline) * 16).astype(np.int32)
        cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, 4)
        return np.asarray(mask, np.float32) / np.float32(255)

    def _pattern(self, material: Material, box: tuple[slice, slice]) -> Picture:
        first, second = np.array(material.colour, np.float32), np.array(material.second, np.float32)
        u, v = self._unit_grid(box)
        share = PATTERNS[material.pattern]((u, v), material.seed)[..., None].astype(np.float32)
        return first * (1 - share) + second * share

    def _unit_grid(self, box: tuple[slice, slice]) -> tuple[Picture, Picture]:
        """Unit coordinates of the product at every pixel of the box, so that a pattern turns with it."""
        y, x = np.mgrid[box].astype(np.float32) / (SIDE * _SCALE)
        x, y = (x - self._pose.x) / self._pose.size, (y - self._pose.y) / self._pose.size
        angle = np.deg2rad(-self._pose.turn)
        u = (x * np.cos(angle) - y * np.sin(angle)) / self._pose.squeeze
        return (-u if self._pose.mirrored else u) + 0.5, x * np.sin(angle) + y * np.cos(angle) + 0.5


def _relief(mask: Picture, reach: float) -> tuple[Picture, Picture]:
    """Brightness and shine of a shape whose edge is rounded off over `reach` pixels. Worked out on a coarse grid: it
    is smooth, and the mask keeps the edge sharp."""
    coarse = cv2.resize(mask, None, fx=1 / _COARSE, fy=1 / _COARSE, interpolation=cv2.INTER_AREA)
    reach = reach / _COARSE
    inside = cv2.distanceTransform((coarse > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    height = reach * (1 - np.exp(-inside / max(reach, 0.5))) + cv2.GaussianBlur(inside, (0, 0), reach + 1) * 0.25
    height = cv2.GaussianBlur(height, (0, 0), max(reach * 0.35, 0.6))
    slope_x, slope_y = np.gradient(height)[::-1]
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    facing = cv2.resize((-slope_x * _LIGHT[0] - slope_y * _LIGHT[1] + _LIGHT[2]) / length, mask.shape)
    facing = np.clip(facing, 0, 1).astype(np.float32)
    return 0.55 + 0.62 * facing, facing**24


def _spline(points: NDArray[np.float64], *, closed: bool, steps: int = 10) -> NDArray[np.float64]:
    """A Catmull-Rom curve through the points."""
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.concatenate([*pieces, padded[-2:-1]])


def _band(value: Picture, sharpness: float = 14.0) -> Picture:
    """A wave from 0 to 1 with soft edges."""
    return (1 / (1 + np.exp(-sharpness * np.sin(value)))).astype(np.float32)


def _scattered(grid: tuple[Picture, Picture], seed: int, count: int, radius: float, petals: int) -> Picture:
    u, v = grid
    random = np.random.default_rng(seed)
    found = np.zeros_like(u)
    for x, y, turn, size in zip(*random.random((4, count)), strict=True):
        reach = radius * (0.6 + 0.8 * size)
        near = np.nonzero((np.abs(u - x) < reach * 1.6) & (np.abs(v - y) < reach * 1.6))
        du, dv = u[near] - x, v[near] - y
        edge = reach * (1 + (0.45 * np.cos(petals * (np.arctan2(dv, du) + turn * 6.3)) if petals else 0))
        found[near] = np.maximum(found[near], np.clip((edge - np.sqrt(du**2 + dv**2)) * 240, 0, 1))
    return found


PATTERNS: dict[str, Callable[[tuple[Any, Any], int], Any]] = {
    "plain": lambda grid, seed: np.zeros_like(grid[0]),
    "striped": lambda grid, seed: _band(grid[1] * (42 + seed % 3 * 16)),
    "pinstriped": lambda grid, seed: np.clip(_band(grid[0] * 90) - 0.62, 0, 1) * 2,
    "checked": lambda grid, seed: 0.5 * _band(grid[0] * 46) + 0.5 * _band(grid[1] * 46),
    "dotted": lambda grid, seed: np.clip((np.sin(grid[0] * 62) * np.sin(grid[1] * 62) - 0.45) * 6, 0, 1),
    "zigzag": lambda grid, seed: _band(grid[1] * 52 + 2.4 * np.abs((grid[0] * 9) % 2 - 1)),
    "floral": lambda grid, seed: _scattered(grid, seed, 46, 0.034, 5),
    "speckled": lambda grid, seed: _scattered(grid, seed, 130, 0.009, 0),
}
