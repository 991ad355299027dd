"""Goods of known colours, to measure searches by colour with. They are drawn, and no encoder was fitted to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from service.encoder.builtin.generator.grounds import any_ground, white
from service.encoder.builtin.generator.materials import Picture
from service.encoder.builtin.generator.objects import KINDS, Thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import Pixels, compose, photographed

# Names of CSS that people shop by, with their sRGB.
COLORS: dict[str, tuple[int, int, int]] = {
    "crimson": (220, 20, 60), "darkorange": (255, 140, 0), "gold": (255, 215, 0), "forestgreen": (34, 139, 34),
    "turquoise": (64, 224, 208), "royalblue": (65, 105, 225), "navy": (0, 0, 128), "rebeccapurple": (102, 51, 153),
    "hotpink": (255, 105, 180), "saddlebrown": (139, 69, 19), "black": (0, 0, 0), "gray": (128, 128, 128),
}  # fmt: skip
_FIRST = 1 << 45  # apart from the numbers of pictures that an encoder was fitted to or measured on
_SPREAD = 0.04  # standard deviation of a colour among goods that have its name


class ColoredGood(NamedTuple):
    """A product in two pictures, uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB: on white, and where a customer has it.

    - color: its name in COLORS.
    - mean: RGB of what is seen of the product, without its ground, before it is photographed; shape (3,), 0..1.
    """

    color: str
    kind: int
    mean: Picture
    catalogue: Pixels
    photograph: Pixels


def draw_colored(per_color: int, first: int = 0) -> Iterator[ColoredGood]:
    """Yields goods of each colour, of any kind, with prints and details in other colours. The same numbers give the
    same pictures."""
    for place, (name, rgb) in enumerate(COLORS.items()):
        for number in range(first, first + per_color):
            rng = np.random.default_rng([_FIRST, place, number])
            kind, *seeds = (int(n) for n in rng.integers(1 << 62, size=3))
            ink = np.clip(np.array(rgb) / 255 + rng.normal(0, _SPREAD, 3), 0, 1).astype(np.float32)
            thing = Thing(kind % len(KINDS), *seeds)
            layer = draw(thing, ink)
            catalogue = compose(rng, layer, white(rng, PICTURE_SIDE), hard=False)
            seen = compose(rng, layer, any_ground(rng, PICTURE_SIDE), hard=True)
            yield ColoredGood(
                name, thing.kind, _mean(layer), photographed(rng, catalogue, colour_change=0.0),
                photographed(rng, seen, colour_change=0.0),
            )  # fmt: skip


def _mean(layer: Picture) -> Picture:
    opacity = layer[..., 3:]
    found: Picture = (layer[..., :3] * opacity).sum((0, 1)) / max(float(opacity.sum()), 1e-6)
    return found
