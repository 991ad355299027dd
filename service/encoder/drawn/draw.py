"""Draws products as a catalogue shows them and as a customer photographs them. No photograph is involved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from service.encoder.builtin.generator.grounds import any_ground, leaves, room, white
from service.encoder.builtin.generator.materials import Picture
from service.encoder.builtin.generator.objects import Thing, any_thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.scenes import draw_scene
from service.encoder.builtin.generator.views import Pixels, compose, edited, photographed

MATERIALS = 2  # products of one form, which differ in material alone: the hardest to tell apart
_ASIDE = 0.14  # how far the corners of a product seen from aside move, of its side
_FRONT_SIDE = 0.4  # of what covers a part of a product, of the picture's side
_FIRST, _FIRST_HARD = 1 << 44, 1 << 45  # apart from the numbers of all other drawn pictures


class DrawnProduct(NamedTuple):
    """A product in two pictures, uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB."""

    catalogue: Pixels
    photograph: Pixels


def draw_products(forms: int, first: int = 0) -> Iterator[DrawnProduct]:
    """Yields MATERIALS products of each form. The same numbers give the same pictures."""
    for number in range(first, first + forms):
        rng = np.random.default_rng([_FIRST, number])
        for thing in _products(rng):
            yield _drawn(rng, thing)


def draw_hard(forms: int, first: int = 0) -> Iterator[Pixels]:
    """Yields a photograph of each product of `draw_products` in which it is hard to recognise, uint8 (PICTURE_SIDE,
    PICTURE_SIDE, 3) RGB: seen from aside, among other goods that cover parts of it, in light that changes its colours,
    and edited. The same numbers give the same pictures."""
    for number in range(first, first + forms):
        rng = np.random.default_rng([_FIRST_HARD, number])
        for thing in _products(np.random.default_rng([_FIRST, number])):
            scene = draw_scene(int(rng.integers(1 << 30)), PICTURE_SIDE).pixels.astype(np.float32) / np.float32(255)
            picture = compose(rng, _from_aside(rng, draw(thing)), scene, hard=True)
            covered = _behind_another(rng, _behind_another(rng, picture))
            yield edited(rng, photographed(rng, covered, colour_change=0.5))


def _products(rng: np.random.Generator) -> list[Thing]:
    thing = any_thing(rng)
    return [replace(thing, material_seed=int(seed)) for seed in rng.integers(1 << 62, size=MATERIALS)]


def _drawn(rng: np.random.Generator, thing: Thing) -> DrawnProduct:
    layer = draw(thing)
    plain = compose(rng, layer, white(rng, PICTURE_SIDE), hard=False)
    scene = (any_ground, room, leaves)[int(rng.integers(3))](rng, PICTURE_SIDE)
    seen = compose(rng, layer, scene, hard=True)
    return DrawnProduct(photographed(rng, plain, colour_change=0.0), photographed(rng, seen, colour_change=0.0))


def _from_aside(rng: np.random.Generator, layer: Picture) -> Picture:
    side = layer.shape[0]
    corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    moved = corners + rng.normal(0, _ASIDE * side, (4, 2)).astype(np.float32)
    return cv2.warpPerspective(layer, cv2.getPerspectiveTransform(corners, moved), (side, side))  # type: ignore[return-value]


def _behind_another(rng: np.random.Generator, picture: Picture) -> Picture:
    """The picture with a smaller thing in front."""
    layer, side = draw(any_thing(rng)), picture.shape[0]
    scale = _FRONT_SIDE * side / layer.shape[0]
    small = cv2.resize(layer, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = (float(v) * side for v in rng.uniform(-0.2, 0.8, 2))
    front = cv2.warpAffine(small, np.array([[1, 0, x], [0, 1, y]], np.float32), (side, side))
    cover = front[..., 3:]
    return picture * (1 - cover) + front[..., :3] * cover
