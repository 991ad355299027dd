"""Backgrounds of objects, and scenes without an object: RGB 0..1."""

from __future__ import annotations

import cv2
import numpy as np

from service.encoder.builtin.generator.fields import cloud
from service.encoder.builtin.generator.materials import Picture, colour, plain, texture
from service.encoder.builtin.generator.outlines import any_outline

Rng = np.random.Generator


def white(rng: Rng, side: int) -> Picture:
    """A catalogue background: white or nearly white."""
    shade = np.float32(1 - abs(rng.normal(0, 0.03)))
    picture = np.full((side, side, 3), shade, np.float32)
    if rng.random() < 0.3:
        picture *= 1 - np.linspace(0, rng.uniform(0, 0.12), side, dtype=np.float32)[:, None, None]
    return picture


def flat(rng: Rng, side: int) -> Picture:
    """One colour, perhaps with a gradient."""
    ramp = 1 + np.linspace(-1, 1, side, dtype=np.float32)[:, None, None] * np.float32(rng.normal(0, 0.1))
    return np.clip(np.broadcast_to(colour(rng), (side, side, 3)) * ramp, 0, 1).astype(np.float32)


def room(rng: Rng, side: int) -> Picture:
    """A floor and a wall."""
    wall = texture(rng, side) if rng.random() < 0.3 else plain(rng, side)
    floor = texture(rng, side) if rng.random() < 0.6 else plain(rng, side)
    corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    away = corners + np.array([(0.35, 0), (-0.35, 0), (0.3, 0), (-0.3, 0)], np.float32) * side
    floor = cv2.warpPerspective(  # type: ignore[assignment]
        floor, cv2.getPerspectiveTransform(corners, away), (side, side), borderMode=cv2.BORDER_REFLECT
    )
    edge = int(side * rng.uniform(0.35, 0.9))
    wall = np.array(wall)
    wall[edge:] = floor[edge:]
    return wall


def leaves(rng: Rng, side: int) -> Picture:
    """Overlapping shapes of decreasing size (dead leaves: Lee, Mumford and Huang, 2001)."""
    picture = np.array(plain(rng, side) if rng.random() < 0.5 else texture(rng, side))
    for radius in np.sort(side * 0.45 * rng.random(int(rng.integers(8, 30))) ** 2 + 3)[::-1]:
        outline = any_outline(rng) * radius + rng.random(2) * side
        corners = [np.round(outline * 16).astype(np.int32)]
        if rng.random() < 0.25:
            mask = np.zeros((side, side), np.float32)
            cv2.fillPoly(mask, corners, 1.0, cv2.LINE_AA, 4)
            picture += mask[..., None] * (texture(rng, side) - picture)
        else:
            cv2.fillPoly(picture, corners, colour(rng).tolist(), cv2.LINE_AA, 4)
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, side / 30)))  # type: ignore[assignment]
    return picture


def lit(rng: Rng, picture: Picture) -> Picture:
    """Applies uneven light and soft shadows to a background."""
    if rng.random() < 0.5:
        return picture
    shadow = 1 - np.float32(rng.uniform(0, 0.5)) * cloud(rng, picture.shape[0], 2, 2)
    return picture * shadow[..., None]


def any_ground(rng: Rng, side: int) -> Picture:
    """White in a third of the cases, else flat, a texture, a room or a scene."""
    kind = rng.random()
    if kind < 0.3:
        return white(rng, side)
    if kind < 0.42:
        return lit(rng, flat(rng, side))
    if kind < 0.62:
        return lit(rng, texture(rng, side))
    return lit(rng, room(rng, side) if kind < 0.8 else leaves(rng, side))
