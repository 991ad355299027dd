"""Closed outlines as polygons, float64 (points, 2), in -1..1 with y downwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Points = Sequence[tuple[float, float]]
Rng = np.random.Generator


def rounded(points: Points | Outline, times: int = 2) -> Outline:
    """Cuts corners off `times` times (Chaikin, 1974)."""
    outline = np.asarray(points, np.float64)
    for _ in range(times):
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], 1).reshape(-1, 2)
    return outline


def symmetric(right_half: Points, times: int = 1) -> Outline:
    """A left-right symmetric outline from its right half, listed from top to bottom."""
    half = np.asarray(right_half, np.float64)
    return rounded(np.concatenate([half, half[::-1] * (-1, 1)]), times)


def box(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> Outline:
    """A rectangle with corners rounded by `corner`."""
    corner = min(corner, (right - left) / 2, (bottom - top) / 2)
    if corner <= 0:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    turn = np.linspace(0, np.pi / 2, 5)
    arcs = [
        np.stack([x + corner * np.cos(turn + start), y + corner * np.sin(turn + start)], 1)
        for x, y, start in (
            (right - corner, bottom - corner, 0.0), (left + corner, bottom - corner, np.pi / 2),
            (left + corner, top + corner, np.pi), (right - corner, top + corner, 1.5 * np.pi),
        )
    ]  # fmt: skip
    return np.concatenate(arcs)


def ellipse(
    x: float, y: float, width: float, height: float | None = None, *, start: float = 0, end: float = 1
) -> Outline:
    """An ellipse of half-axes `width` and `height`, or a part between two turns (0..1, from the right, down)."""
    turn = 2 * np.pi * np.linspace(start, end, 33)
    return np.stack([x + width * np.cos(turn), y + (width if height is None else height) * np.sin(turn)], 1)


def limb(points: Points | Outline, widths: Sequence[float] | float) -> Outline:
    """A thick line. `widths` are half-widths, one for all points or one per point."""
    line = np.asarray(points, np.float64)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = along[:, ::-1] * (-1, 1) * np.broadcast_to(np.asarray(widths, np.float64), len(line))[:, None]
    return np.concatenate([line + across, (line - across)[::-1]])


def arc(x: float, y: float, radius: float, start: float, end: float, squeeze: float = 1.0) -> Outline:
    """Points of an arc between two turns (0..1, from the right, downwards), for `limb`."""
    turn = 2 * np.pi * np.linspace(start, end, 25)
    return np.stack([x + radius * np.cos(turn), y + radius * squeeze * np.sin(turn)], 1)


def moved(outline: Outline, x: float = 0.0, y: float = 0.0, scale: float = 1.0, turn: float = 0.0) -> Outline:
    """The outline scaled and turned (radians) about the origin, then shifted."""
    c, s = np.cos(turn), np.sin(turn)
    turned: Outline = outline @ np.array([[c, s], [-s, c]]) * scale + (x, y)
    return turned


def blob(rng: Rng) -> Outline:
    """A smooth closed curve of a few random harmonics."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.ones_like(turn)
    for k in range(1, int(rng.integers(2, 8))):
        radius += rng.normal(0, 0.35 / k) * np.cos(k * turn + rng.uniform(0, 6.3))
    return _fitted(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1))


def superformula(rng: Rng) -> Outline:
    """Stars, flowers, shields, squares: r = (|cos(m t / 4)|^b + |sin(m t / 4)|^c)^(-1 / a) (Gielis, 2003)."""
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    m, a = rng.integers(2, 11), rng.uniform(0.4, 6)
    b, c = rng.uniform(0.5, 8, 2)
    inner = np.abs(np.cos(m * turn / 4)) ** b + np.abs(np.sin(m * turn / 4)) ** c
    radius = np.maximum(inner, 1e-3) ** (-1 / a)
    return _fitted(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1))


def profile(rng: Rng) -> Outline:
    """The outline of a turned object: a random width at each height."""
    heights = np.linspace(-1, 1, int(rng.integers(4, 9)))
    widths = np.clip(rng.uniform(0.15, 0.8) + np.cumsum(rng.normal(0, 0.25, len(heights))), 0.08, 0.95)
    return _fitted(symmetric(list(zip(widths, heights, strict=True)), int(rng.integers(0, 3))))


def polygon(rng: Rng) -> Outline:
    """Corners at random radii: cut stones, shards, badges."""
    count = int(rng.integers(3, 9))
    turn = np.sort(rng.uniform(0, 1 / count, count) * rng.choice([0.0, 1.0]) + np.arange(count) / count) * 2 * np.pi
    radius = 1 - rng.uniform(0, 0.5) * rng.random(count)
    return _fitted(rounded(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1), int(rng.integers(0, 4))))


def gear(rng: Rng) -> Outline:
    """Teeth or petals about a disc."""
    count = int(rng.integers(5, 16))
    turn = np.linspace(0, 2 * np.pi, count * 8, endpoint=False)
    tooth = np.clip(np.sin(count * turn) * rng.uniform(0.7, 6), -1, 1)
    radius = 1 + rng.uniform(0.06, 0.35) * tooth
    return _fitted(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1))


def crescent(rng: Rng) -> Outline:
    """A bow: moon, banana, handle."""
    span, thick = rng.uniform(0.3, 0.85), rng.uniform(0.1, 0.4)
    bow = arc(0, 0, 0.8, 0, span)
    widths = thick * np.sin(np.linspace(0.15, np.pi - 0.15, len(bow))) ** rng.uniform(0.2, 1)
    return _fitted(limb(bow, widths.tolist()))


def any_outline(rng: Rng) -> Outline:
    """One of the families above."""
    families = (blob, blob, superformula, superformula, profile, profile, polygon, gear, crescent)
    return families[rng.integers(len(families))](rng)


def _fitted(outline: Outline) -> Outline:
    low, high = outline.min(0), outline.max(0)
    fitted: Outline = (outline - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-6)
    return fitted
