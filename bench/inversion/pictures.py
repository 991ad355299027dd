"""Drawn pictures with known attributes. Each is defined by its group and its number, so that any run draws the same.

The groups are disjoint: what the attacker drew, the collection under attack, and pictures that are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from service.encoder.alterations import Picture
from service.encoder.builtin.generator.grounds import any_ground, white
from service.encoder.builtin.generator.objects import FAMILIES, Thing, any_thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import compose, photographed

Group = Literal["training", "collection", "others"]
GROUPS: tuple[Group, ...] = ("training", "collection", "others")
# Basic colour terms (Berlin and Kay, 1969) as sRGB.
COLOURS = {
    "black": (20, 20, 20), "grey": (128, 128, 128), "white": (245, 245, 245), "red": (200, 30, 40),
    "orange": (235, 130, 30), "yellow": (235, 215, 50), "green": (50, 150, 60), "blue": (40, 80, 190),
    "purple": (120, 50, 150), "pink": (240, 150, 180), "brown": (110, 70, 40),
}  # fmt: skip
_SEED, _LEAST_VISIBLE = 20_280, 400  # pixels of a layer
_FAMILY_OF_KIND = np.repeat(np.arange(len(FAMILIES)), [len(kinds) for kinds in FAMILIES.values()])
Labels = NDArray[np.int64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Drawn:
    """Pictures, each uint8 (PICTURE_SIDE, PICTURE_SIDE, 3) RGB, and their attributes: numbers by name, each of shape
    (n,).

    - `colour`: the median colour of the thing, as an index into COLOURS.
    - `family`: index into the generator's FAMILIES. `kind`: into its KINDS.
    - `scene`: 1 for a customer's photograph, 0 for a picture of a catalogue.
    """

    pictures: list[Picture]
    attributes: dict[str, Labels]


def drawn(group: Group, numbers: Iterable[int], view: int = 0) -> Drawn:
    """Pictures of things. `view`: another picture of the same thing for each number."""
    shown = track(list(numbers), f"drawing: {group}", console=Console(stderr=True), transient=True)
    made = [_one(group, number, view) for number in shown]
    names = ("colour", "family", "kind", "scene")
    values = np.array([labels for _, labels in made], np.int64).reshape(len(made), len(names))
    return Drawn([picture for picture, _ in made], dict(zip(names, values.T, strict=True)))


def colour_name_of(rgb: NDArray[np.floating]) -> int:
    """The nearest of COLOURS in CIE Lab. `rgb`: shape (3,), 0 to 1."""
    names = np.array(list(COLOURS.values()), np.float32) / 255
    lab = cv2.cvtColor(np.vstack([names, rgb])[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return int(np.linalg.norm(lab[:-1] - lab[-1], axis=1).argmin())


def _one(group: Group, number: int, view: int) -> tuple[Picture, tuple[int, int, int, int]]:
    thing, layer = _visible(np.random.default_rng([_SEED, GROUPS.index(group), number]))
    rng = np.random.default_rng([_SEED, GROUPS.index(group), number, view + 1])
    scene = rng.random() < 0.5
    ground = any_ground(rng, PICTURE_SIDE) if scene else white(rng, PICTURE_SIDE)
    picture = photographed(rng, compose(rng, layer, ground, hard=scene), colour_change=0.0)
    colour = colour_name_of(np.median(layer[layer[..., 3] > 0.5][:, :3], axis=0))
    return picture, (colour, int(_FAMILY_OF_KIND[thing.kind]), thing.kind, int(scene))


def _visible(rng: Rng) -> tuple[Thing, NDArray[np.float32]]:
    """A thing of a named kind that covers enough of its layer."""
    while True:
        thing = any_thing(rng, goods=1.0)
        layer = draw(thing)
        if (layer[..., 3] > 0.5).sum() >= _LEAST_VISIBLE:
            return thing, layer
