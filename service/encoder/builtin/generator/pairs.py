"""Pairs of pictures that belong together, from which the encoder learns.

A pair depends only on its number, so that any number of processes draw the same set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.grounds import any_ground, leaves, room, white
from service.encoder.builtin.generator.objects import Thing, any_thing, draw
from service.encoder.builtin.generator.views import Pixels, compose, cropped, edited, photographed

PICTURE_SIDE = 128
Relation = Literal["object", "family", "scene", "copy", "shop"]
RELATIONS: tuple[Relation, ...] = ("object", "family", "scene", "copy", "shop")
NO_KIND = -1
_CATALOGUE_SHARE, _COLOUR_CHANGE_SHARE = 0.4, 0.25
_SCENES_AMONG_COPIES, _LEAST_OF_A_COPY = 0.3, 0.6
Rng = np.random.Generator


@dataclass(frozen=True)
class Pair:
    """Two pictures, uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB, by relation.

    - `object`: one object, seen twice. `family`: two objects of a family. `scene`: one scene without an object.
    - `copy`: a picture and an edited part of it.
    - `shop`: an object in a customer's photograph and in the catalogue.

    `kind`: the index of the kind of goods, or NO_KIND.
    """

    first: Pixels
    second: Pixels
    kind: int


def draw_pair(number: int, relation: Relation) -> Pair:
    """The pair with this number and relation. Other numbers and relations give different pairs."""
    rng = np.random.default_rng([number, RELATIONS.index(relation)])
    change = 1.0 if rng.random() < _COLOUR_CHANGE_SHARE else 0.0
    if relation == "scene":
        scene = room(rng, PICTURE_SIDE) if rng.random() < 0.2 else leaves(rng, PICTURE_SIDE)
        return Pair(_seen(rng, scene, change), _seen(rng, scene, change), NO_KIND)
    if relation == "copy":
        return _copy(rng)
    thing = any_thing(rng)
    if relation == "shop":
        return Pair(customer_view(rng, thing), catalogue_view(rng, thing), thing.kind)
    other = thing.relative(rng) if relation == "family" else thing
    return Pair(_view(rng, thing, change), _view(rng, other, change), thing.kind)


def catalogue_view(rng: Rng, thing: Thing) -> Pixels:
    """The thing as a catalogue shows it: upright and whole, on white."""
    return photographed(rng, compose(rng, draw(thing), white(rng, PICTURE_SIDE), hard=False), colour_change=0.0)


def customer_view(rng: Rng, thing: Thing) -> Pixels:
    """The thing as a customer photographs it: on any ground, in any light, edited."""
    picture = compose(rng, draw(thing), any_ground(rng, PICTURE_SIDE), hard=True)
    return edited(rng, photographed(rng, picture, colour_change=0.0))


def _copy(rng: Rng) -> Pair:
    kind = NO_KIND
    if rng.random() < _SCENES_AMONG_COPIES:
        picture = room(rng, PICTURE_SIDE) if rng.random() < 0.3 else leaves(rng, PICTURE_SIDE)
    else:
        thing = any_thing(rng)
        kind = thing.kind
        picture = compose(rng, draw(thing), any_ground(rng, PICTURE_SIDE), hard=rng.random() < 0.6)
    original = photographed(rng, picture, colour_change=0.0)
    part = cropped(rng, original, _LEAST_OF_A_COPY)
    resized = cv2.resize(part, (PICTURE_SIDE, PICTURE_SIDE), interpolation=cv2.INTER_LINEAR)
    return Pair(original, edited(rng, resized), kind)  # type: ignore[arg-type]


def _view(rng: Rng, thing: Thing, change: float) -> Pixels:
    catalogue = rng.random() < _CATALOGUE_SHARE
    ground = white(rng, PICTURE_SIDE) if catalogue else any_ground(rng, PICTURE_SIDE)
    return _seen(rng, compose(rng, draw(thing), ground, hard=not catalogue), change)


def _seen(rng: Rng, picture: NDArray[np.float32], change: float) -> Pixels:
    return edited(rng, photographed(rng, picture, colour_change=change if rng.random() < 0.5 else 0.0))
