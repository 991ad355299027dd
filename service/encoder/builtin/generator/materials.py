"""Colours, textures and prints: RGB pictures, float32 (side, side, 3) in 0..1."""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.fields import cloud, pattern, smooth_noise
from service.encoder.builtin.generator.outlines import any_outline
from service.encoder.builtin.generator.parts import Role

Picture = NDArray[np.float32]
Rng = np.random.Generator
_LETTERS = "ABCDEFGHIKLMNOPRSTUVWXYZ0123456789%&!"
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)


def colour(rng: Rng) -> Picture:
    """One colour with the distribution of real goods: a third near grey, few neon."""
    kind = rng.random()
    if kind < 0.35:
        value = rng.choice([rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.0)])
        return np.clip(value + rng.normal(0, 0.025, 3), 0, 1).astype(np.float32)
    saturation = rng.uniform(0.15, 0.6) if kind < 0.7 else rng.uniform(0.55, 1.0)
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.2, 1.0)), np.float32)


def palette(rng: Rng, count: int) -> Picture:
    """Colours, matching or not, (count, 3)."""
    if rng.random() < 0.5:
        return np.stack([colour(rng) for _ in range(count)])
    base = colour(rng)
    steps = np.linspace(rng.uniform(0.3, 0.9), rng.uniform(1.0, 1.5), count, dtype=np.float32)
    drift = rng.normal(0, 0.08, (count, 3)).astype(np.float32)
    return np.clip(base * steps[:, None] + drift, 0, 1)


def plain(rng: Rng, side: int) -> Picture:
    """One colour with a little grain."""
    grain = 1 + rng.uniform(0, 0.12) * (smooth_noise(rng, side, int(rng.integers(4, 40))) - 0.5)
    return np.clip(colour(rng) * grain[..., None], 0, 1).astype(np.float32)


def texture(rng: Rng, side: int) -> Picture:
    """A pattern in two to five colours."""
    colours = palette(rng, int(rng.integers(2, 6)))
    field = pattern(rng, side) * np.float32(len(colours) - 1)
    low = np.clip(field.astype(np.int64), 0, len(colours) - 2)
    share = (field - low)[..., None]
    if rng.random() < 0.4:
        share = (share > 0.5).astype(np.float32)
    mixed = colours[low] * (1 - share) + colours[low + 1] * share
    if rng.random() < 0.3:
        other = texture(rng, side) if rng.random() < 0.3 else plain(rng, side)
        share = np.clip((cloud(rng, side, 3) - 0.5) * 10 + 0.5, 0, 1)[..., None]
        mixed = mixed * share + other * (1 - share)
    return mixed.astype(np.float32)


def materials(rng: Rng, side: int) -> dict[Role, Picture]:
    """The material of each role of an object."""
    main = texture(rng, side) if rng.random() < 0.5 else plain(rng, side)
    if rng.random() < 0.5:
        second = np.clip(main * np.float32(rng.uniform(0.55, 1.35)), 0, 1)
    else:
        second = texture(rng, side) if rng.random() < 0.35 else plain(rng, side)
    grey = np.float32(rng.uniform(0.35, 0.85))
    metal = np.broadcast_to(grey * np.array([1, rng.uniform(0.75, 1), rng.uniform(0.4, 1)], np.float32), main.shape)
    dark = np.broadcast_to(np.float32(rng.uniform(0.02, 0.25)) * np.ones(3, np.float32), main.shape)
    return {"main": main, "second": second, "detail": plain(rng, side), "metal": metal, "dark": dark}


def add_print(rng: Rng, picture: Picture) -> None:
    """Draws a motif, a line of text or a label in the middle, in place."""
    side = picture.shape[0]
    x, y = rng.uniform(0.35, 0.65, 2) * side
    size = rng.uniform(0.08, 0.22) * side
    ink = colour(rng).tolist()
    kind = rng.random()
    if kind < 0.45:
        add_text(rng, picture, (x - size, y), size / 22, ink)
        return
    outline = any_outline(rng) * size + (x, y)
    cv2.fillPoly(picture, [np.round(outline * 16).astype(np.int32)], ink, cv2.LINE_AA, 4)
    if kind < 0.7:
        add_text(rng, picture, (x - size * 0.7, y + size * 0.2), size / 40, colour(rng).tolist())


def add_text(rng: Rng, picture: NDArray[Any], place: tuple[float, float], scale: float, ink: list[float]) -> None:
    """Draws random letters in place. `ink` has the units of the picture."""
    word = "".join(rng.choice(list(_LETTERS), int(rng.integers(2, 8))))
    font, thick = _FONTS[rng.integers(len(_FONTS))], int(rng.integers(1, 4))
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(mask, word, (int(place[0]), int(place[1])), font, float(scale), 255, thick, cv2.LINE_AA)
    cover = (mask.astype(np.float32) / 255)[..., None]
    picture[...] = picture * (1 - cover) + np.asarray(ink, np.float32) * cover
