"""Scalar fields over the picture plane for textures: float32 (side, side), mostly in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Plane = tuple[Field, Field]
Rng = np.random.Generator


def plane(rng: Rng, side: int, *, warp: float = 0.0) -> Plane:
    """Coordinates -1..1, rotated, shifted and stretched. If `warp` > 0, smooth noise bends them."""
    x, y = np.meshgrid(np.linspace(-1, 1, side, dtype=np.float32), np.linspace(-1, 1, side, dtype=np.float32))
    if warp > 0:
        cells = int(rng.integers(2, 6))
        x = x + warp * (2 * smooth_noise(rng, side, cells) - 1)
        y = y + warp * (2 * smooth_noise(rng, side, cells) - 1)
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.normal(0, 0.2))
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shift = rng.uniform(-1, 1, 2).astype(np.float32)
    return (c * x - s * y) * np.float32(stretch) + shift[0], (s * x + c * y) / np.float32(stretch) + shift[1]


def smooth_noise(rng: Rng, side: int, cells: int) -> Field:
    """Random values on a coarse grid, interpolated smoothly; 0..1."""
    grid = rng.random((cells + 3, cells + 3), np.float32)
    large = cv2.resize(grid, (side * (cells + 3) // cells, side * (cells + 3) // cells), interpolation=cv2.INTER_CUBIC)
    edge = (large.shape[0] - side) // 2
    return np.clip(large[edge : edge + side, edge : edge + side], 0, 1)


def cloud(rng: Rng, side: int, cells: int, octaves: int = 4, fall: float = 0.55) -> Field:
    """Noise of several octaves, stretched to 0..1."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        if cells << octave > side // 2:
            break
        total += np.float32(fall**octave) * smooth_noise(rng, side, cells << octave)
    return spread(total)


def spread(field: Field) -> Field:
    """The field rescaled to 0..1."""
    low, high = float(field.min()), float(field.max())
    return (field - np.float32(low)) / np.float32(max(high - low, 1e-6))


def wave(phase: NDArray[Any], sharpness: float) -> Field:
    """A wave of period 1 in `phase`, from a sine (0) towards a square (1)."""
    sine = np.sin(2 * np.pi * phase)
    return np.clip(0.5 + 0.5 * sine * np.float32(1 + 12 * sharpness), 0, 1)


def stripes(rng: Rng, side: int) -> Field:
    """Parallel bands, sometimes of two widths."""
    x, _ = plane(rng, side, warp=_maybe(rng, 0.3, 0.3))
    bands = wave(x * rng.uniform(1.5, 12), rng.random())
    if rng.random() < 0.3:
        bands = bands * 0.6 + 0.4 * wave(x * rng.uniform(1.5, 12), 1.0)
    return bands


def checks(rng: Rng, side: int) -> Field:
    """Chessboard, tartan or gingham."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.2, 0.25))
    count, sharp = rng.uniform(1.5, 9), rng.random()
    a, b = wave(x * count, sharp), wave(y * count * np.exp(rng.normal(0, 0.15)), sharp)
    kind = rng.integers(3)
    if kind == 0:
        return np.abs(a - b)
    return np.asarray((a + b) / 2 if kind == 1 else np.maximum(a * 0.6, b), np.float32)


def dots(rng: Rng, side: int) -> Field:
    """Discs, rings or diamonds on a grid, every second row shifted or not."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.25, 0.2))
    count, power = rng.uniform(2, 9), rng.choice([1.0, 2.0, 4.0])
    u, v = x * count, y * count
    if rng.random() < 0.5:
        u = u + 0.5 * (np.floor(v) % 2)
    u, v = np.abs(u - np.floor(u) - 0.5), np.abs(v - np.floor(v) - 0.5)
    radius = (u**power + v**power) ** np.float32(1 / power)
    size, soft = rng.uniform(0.15, 0.42), rng.uniform(0.02, 0.12)
    disc = np.clip((size - radius) / soft, 0, 1)
    return disc if rng.random() < 0.7 else disc * np.clip((radius - size * 0.5) / soft, 0, 1)


def rings(rng: Rng, side: int) -> Field:
    """Rings or a spiral about a point."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.5, 0.3))
    turns = np.arctan2(y, x) / np.float32(2 * np.pi) * int(rng.integers(-2, 3))
    return wave(np.sqrt(x * x + y * y) * rng.uniform(1.5, 9) + turns, rng.random())


def rays(rng: Rng, side: int) -> Field:
    """Sectors about a point."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.3, 0.3))
    return wave(np.arctan2(y, x) / np.float32(2 * np.pi) * int(rng.integers(3, 16)), rng.random())


def zigzag(rng: Rng, side: int) -> Field:
    """Chevrons, waves or herringbone."""
    x, y = plane(rng, side)
    period, depth = rng.uniform(2, 8), rng.uniform(0.2, 0.8)
    fold = np.abs(x * period - np.floor(x * period) - 0.5) if rng.random() < 0.6 else 0.25 * np.sin(x * period * 6.3)
    return wave(y * rng.uniform(2, 8) + depth * 2 * fold, rng.random())


def bricks(rng: Rng, side: int) -> Field:
    """Tiles, bricks or planks with joints and a value per tile."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.1, 0.15))
    wide, high = rng.uniform(1, 5), rng.uniform(2, 9)
    row = np.floor(y * high)
    u = x * wide + rng.choice([0.0, 0.5, 0.37]) * row
    column = np.floor(u)
    value = _hashed(column, row, rng)
    edge = (np.maximum(np.abs(u - column - 0.5), np.abs(y * high - row - 0.5)) > 0.46).astype(np.float32)
    return np.clip(0.35 + 0.65 * value - 0.6 * edge, 0, 1)


def cells(rng: Rng, side: int) -> Field:
    """A Voronoi diagram: a value per cell, its distance field or its walls."""
    count = int(rng.integers(6, 80))
    away = np.ones((side, side), np.uint8)
    away[rng.integers(0, side, count), rng.integers(0, side, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    kind = rng.integers(3)
    if kind == 0:
        return rng.random(count + 1, np.float32)[labels]
    if kind == 1:
        return np.clip(distance * np.float32(np.sqrt(count) / side), 0, 1)
    thick = np.ones((int(rng.integers(2, 6)),) * 2, np.uint8)
    values = labels.astype(np.float32)
    return (cv2.dilate(values, thick) - cv2.erode(values, thick) > 0).astype(np.float32)


def marble(rng: Rng, side: int) -> Field:
    """Veins: a wave whose phase is noise."""
    x, _ = plane(rng, side)
    return wave(
        x * rng.uniform(0.5, 3) + cloud(rng, side, int(rng.integers(2, 5))) * rng.uniform(1, 4), rng.random() * 0.4
    )


def wood(rng: Rng, side: int) -> Field:
    """Long grain."""
    x, y = plane(rng, side)
    grain = cv2.resize(cloud(rng, side, 6, 3), (side * 4, side), interpolation=cv2.INTER_CUBIC)[:, :side]
    return spread(wave(x * rng.uniform(1, 4) + 1.5 * grain + 0.2 * y, 0.1) + 0.5 * grain)


def clouds(rng: Rng, side: int) -> Field:
    """Noise; sometimes cut to blotches as in camouflage."""
    field = cloud(rng, side, int(rng.integers(2, 12)), 4, rng.uniform(0.4, 0.8))
    return field if rng.random() < 0.5 else np.clip((field - 0.5) * rng.uniform(4, 30) + 0.5, 0, 1).astype(np.float32)


def weave(rng: Rng, side: int) -> Field:
    """Threads over and under each other, knits included."""
    x, y = plane(rng, side)
    count = rng.uniform(6, 16)
    u, v = x * count, y * count * rng.choice([1.0, 0.5, 1.4])
    over = (np.floor(u) + np.floor(v)) % 2
    return np.where(over > 0, np.sin(np.pi * (u - np.floor(u))), 0.8 * np.sin(np.pi * (v - np.floor(v)))).astype(
        np.float32
    )


def network(rng: Rng, side: int) -> Field:
    """A small random network over the coordinates (a compositional pattern-producing network: Stanley, 2007)."""
    x, y = plane(rng, side)
    scale = rng.uniform(1, 4)
    layer = np.stack([x * scale, y * scale, np.sqrt(x * x + y * y) * scale, np.ones_like(x)], -1).reshape(-1, 4)
    bends: list[Callable[[Field], Field]] = [np.sin, np.tanh, np.abs, lambda v: np.exp(-v * v)]
    for width in (8, 8, 1):
        weights = rng.normal(0, 1.1, (layer.shape[1], width)).astype(np.float32)
        layer = np.concatenate([bends[rng.integers(4)](c) for c in np.split(layer @ weights, width, axis=1)], axis=1)
    return spread(layer.reshape(side, side))


def sines(rng: Rng, side: int) -> Field:
    """A few plane waves on top of each other: plaids, moire, scales."""
    x, y = plane(rng, side, warp=_maybe(rng, 0.4, 0.3))
    total = np.zeros_like(x)
    for _ in range(int(rng.integers(2, 6))):
        a, b = rng.normal(0, rng.uniform(3, 14), 2)
        total += np.sin(np.float32(a) * x + np.float32(b) * y + np.float32(rng.uniform(0, 6.3)))
    field = spread(total)
    return field if rng.random() < 0.6 else np.clip((field - 0.5) * 8 + 0.5, 0, 1).astype(np.float32)


PATTERNS: tuple[Callable[[Rng, int], Field], ...] = (
    stripes, stripes, checks, checks, dots, dots, rings, rays, zigzag, bricks, cells, marble, wood, clouds, clouds,
    weave, network, network, sines,
)  # fmt: skip


def pattern(rng: Rng, side: int) -> Field:
    """A random pattern; occasionally one bent by another."""
    field: NDArray[Any] = PATTERNS[rng.integers(len(PATTERNS))](rng, side)
    if rng.random() < 0.2:
        other = PATTERNS[rng.integers(len(PATTERNS))](rng, side)
        field = (field + other) / 2 if rng.random() < 0.5 else np.where(other > 0.5, field, 1 - field)
    return field.astype(np.float32)


def _maybe(rng: Rng, chance: float, most: float) -> float:
    return float(rng.uniform(0, most)) if rng.random() < chance else 0.0


def _hashed(a: Field, b: Field, rng: Rng) -> Field:
    """A value in 0..1 for each pair of integers."""
    mixed = np.sin(a * np.float32(rng.uniform(1, 9)) + b * np.float32(rng.uniform(1, 9))) * np.float32(43.7)
    return (mixed - np.floor(mixed)).astype(np.float32)
