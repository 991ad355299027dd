"""What a product stands in front of: white, a studio sweep, a wall with a floor, a table, a garden out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from examples.catalogue.canvas import SIDE, Picture

_LARGE = SIDE * 2


def white() -> Picture:
    """Pure white, as catalogues have it."""
    return np.ones((_LARGE, _LARGE, 3), np.float32)


def scene(random: np.random.Generator) -> Picture:
    """One of the scenes, with colours and details by chance."""
    makers = (_studio, _room, _table, _garden)
    return makers[int(random.integers(len(makers)))](random)


def _tint(random: np.random.Generator, low: float, high: float) -> Picture:
    grey = random.uniform(low, high)
    return np.clip(grey + random.uniform(-0.07, 0.07, 3), 0, 1).astype(np.float32)


def _vertical(top: Picture, bottom: Picture) -> Picture:
    share = np.linspace(0, 1, _LARGE, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - share) + bottom * share, (_LARGE, _LARGE, 3)).copy()


def _studio(random: np.random.Generator) -> Picture:
    ground = _vertical(_tint(random, 0.75, 0.92), _tint(random, 0.6, 0.8))
    y, x = np.mgrid[-1 : 1 : _LARGE * 1j, -1 : 1 : _LARGE * 1j].astype(np.float32)
    return ground * (1.08 - 0.3 * (x**2 + y**2)[..., None])


def _room(random: np.random.Generator) -> Picture:
    ground = _vertical(_tint(random, 0.7, 0.88), _tint(random, 0.65, 0.85))
    line = int(_LARGE * random.uniform(0.68, 0.8))
    floor = _vertical(_tint(random, 0.45, 0.65) * (1.1, 0.95, 0.8), _tint(random, 0.4, 0.55) * (1.1, 0.95, 0.8))
    ground[line:] = floor[line:]
    for x in np.linspace(0, _LARGE, 9)[1:-1].astype(int):
        cv2.line(
            ground,
            (int(x), line),
            (int((x - _LARGE / 2) * 1.7 + _LARGE / 2), _LARGE),
            (0.38, 0.3, 0.24),
            2,
            cv2.LINE_AA,
        )
    cv2.rectangle(ground, (0, line - 14), (_LARGE, line), (0.93, 0.92, 0.9), -1)
    return np.asarray(cv2.GaussianBlur(ground, (0, 0), 2), np.float32)


def _table(random: np.random.Generator) -> Picture:
    ground = _vertical(_tint(random, 0.55, 0.8), _tint(random, 0.5, 0.75))
    grain = cv2.GaussianBlur(random.standard_normal((_LARGE, _LARGE)).astype(np.float32), (0, 0), sigmaX=60, sigmaY=1.5)
    wood = np.array([0.66, 0.48, 0.32], np.float32) * random.uniform(0.7, 1.15) + grain[..., None] * 1.1
    line = int(_LARGE * random.uniform(0.5, 0.68))
    ground = np.asarray(cv2.GaussianBlur(ground, (0, 0), 8), np.float32)
    ground[line:] = wood[line:]
    return np.clip(ground, 0, 1)


def _garden(random: np.random.Generator) -> Picture:
    ground = _vertical(np.array([0.72, 0.83, 0.86], np.float32), np.array([0.42, 0.55, 0.34], np.float32))
    for _ in range(70):
        x, y = (int(v) for v in random.integers(0, _LARGE, 2))
        green = random.uniform(0.3, 0.75)
        colour = (green * random.uniform(0.5, 1.1), green, green * random.uniform(0.3, 0.7))
        cv2.circle(ground, (x, y), int(random.integers(20, 95)), colour, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(ground, (0, 0), 22), np.float32)
