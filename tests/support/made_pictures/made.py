"""The result of every generator."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Made:
    """A file, and its appearance: (height, width, 3), uint8, sRGB, upright, on white.

    - `most`: levels of 255 by which any value may differ.
    - `mean`: the same on average.
    - `pillow`: whether Pillow reads it correctly and can be compared.
    """

    name: str
    content: bytes = field(repr=False)
    shown: np.ndarray = field(repr=False)
    most: float = 1.0
    mean: float = 0.5
    pillow: bool = True


def drawing(width: int = 37, height: int = 23, seed: int = 1) -> np.ndarray:
    """RGB with smooth colours and without symmetry, so that a lossy codec changes little."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height, 2)
    phase = np.random.default_rng(seed).uniform(0, 3, 3)
    waves = [np.sin(3 * x + p) * np.cos(2 * y + p) + x - 0.5 * y for p in phase]
    planes = [(w - w.min()) / max(w.max() - w.min(), 1e-9) for w in waves]
    return np.stack([40 + 200 * plane for plane in planes], axis=2).round().astype(np.uint8)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`alpha`: 0 to 1, (height, width)."""
    share = alpha[:, :, None]
    return np.round(rgb * share + 255 * (1 - share)).astype(np.uint8)


def grey_of(rgb: np.ndarray) -> np.ndarray:
    """(height, width), 0 to 255."""
    return rgb.mean(axis=2).round().astype(np.uint8)
