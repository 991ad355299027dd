"""Draws products as a catalogue shows them and as a customer photographs them. No photograph is involved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from service.encoder.builtin.generator.grounds import any_ground, leaves, room, white
from service.encoder.builtin.generator.objects import Thing, any_thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import Pixels, compose, photographed

MATERIALS = 2  # products of one form, which differ in material alone: the hardest to tell apart
_FIRST = 1 << 44  # apart from the numbers of pictures that an encoder was fitted to or measured on


class DrawnProduct(NamedTuple):
    """A product in two pictures, uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB."""

    catalogue: Pixels
    photograph: Pixels


def draw_products(forms: int, first: int = 0) -> Iterator[DrawnProduct]:
    """Yields MATERIALS products of each form. The same numbers give the same pictures."""
    for number in range(first, first + forms):
        rng = np.random.default_rng([_FIRST, number])
        thing = any_thing(rng)
        for material in rng.integers(1 << 62, size=MATERIALS):
            yield _drawn(rng, replace(thing, material_seed=int(material)))


def _drawn(rng: np.random.Generator, thing: Thing) -> DrawnProduct:
    layer = draw(thing)
    plain = compose(rng, layer, white(rng, PICTURE_SIDE), hard=False)
    scene = (any_ground, room, leaves)[int(rng.integers(3))](rng, PICTURE_SIDE)
    seen = compose(rng, layer, scene, hard=True)
    return DrawnProduct(photographed(rng, plain, colour_change=0.0), photographed(rng, seen, colour_change=0.0))
