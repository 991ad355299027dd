"""Pairs of pictures that belong together, from which the encoder learns.

A pair depends only on its number, so that any number of processes draw the same set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.grounds import any_ground, leaves, room, white
from service.encoder.builtin.generator.objects import Thing, any_thing, draw
from service.encoder.builtin.generator.views import Pixels, compose, edited, photographed

PICTURE_SIDE = 128
Relation = Literal["object", "family", "scene"]
NO_KIND = -1
_CATALOGUE_SHARE, _COLOUR_CHANGE_SHARE = 0.4, 0.25
Rng = np.random.Generator


@dataclass(frozen=True)
class Pair:
    """Two pictures, uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB: of one object, of two objects of a family, or of one
    scene. `kind`: the index of the kind of goods, or NO_KIND."""

    first: Pixels
    second: Pixels
    kind: int


def draw_pair(number: int, relation: Relation) -> Pair:
    """The pair with this number and relation. Other numbers and relations give different pairs."""
    rng = np.random.default_rng([number, ("object", "family", "scene").index(relation)])
    change = 1.0 if rng.random() < _COLOUR_CHANGE_SHARE else 0.0
    if relation == "scene":
        scene = room(rng, PICTURE_SIDE) if rng.random() < 0.2 else leaves(rng, PICTURE_SIDE)
        return Pair(_seen(rng, scene, change), _seen(rng, scene, change), NO_KIND)
    thing = any_thing(rng)
    other = thing.relative(rng) if relation == "family" else thing
    return Pair(_view(rng, thing, change), _view(rng, other, change), thing.kind)


def _view(rng: Rng, thing: Thing, change: float) -> Pixels:
    catalogue = rng.random() < _CATALOGUE_SHARE
    ground = white(rng, PICTURE_SIDE) if catalogue else any_ground(rng, PICTURE_SIDE)
    return _seen(rng, compose(rng, draw(thing), ground, hard=not catalogue), change)


def _seen(rng: Rng, picture: NDArray[np.float32], change: float) -> Pixels:
    return edited(rng, photographed(rng, picture, colour_change=change if rng.random() < 0.5 else 0.0))
