"""Scenes of several goods with the box of each: a shelf, a table, a catalogue shot, a customer's photograph.

A scene depends only on its number. A box encloses what is visible of a good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.grounds import any_ground, white
from service.encoder.builtin.generator.layouts import Affine, Layout, any_layout, placed
from service.encoder.builtin.generator.materials import Picture
from service.encoder.builtin.generator.objects import any_thing, draw
from service.encoder.builtin.generator.views import Pixels, photographed

LEAST_VISIBLE: Final = 0.3  # the share of a good that must be visible for it to count
LEAST_SIDE: Final = 0.05  # of the longer side of its box
SCENE_SIDE: Final = 256
_GOODS_SHARE = 0.75  # named kinds among the things
_FIRST = 1 << 46  # apart from the numbers of all other drawn pictures
Rng = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    - pixels: uint8 (side, side, 3) RGB.
    - boxes: float32 (k, 4), left, top, right, bottom as fractions of the picture, from the back to the front.
    - visible: bool (k, side, side), where each good is seen.
    - things: int64 (k,), the number of the thing that each good is; goods with the same number are the same thing.
    """

    pixels: Pixels
    boxes: NDArray[np.float32]
    visible: NDArray[np.bool_]
    things: NDArray[np.int64]


@dataclass(frozen=True)
class CutOut:
    """A thing without a background.

    - layer: float32 (LAYER_SIDE, LAYER_SIDE, 4) RGB and opacity.
    - bounds: float32 (4,), the centre and the half lengths of its outline, in -1..1 of the layer.
    - fill: the share of the layer that it covers.
    """

    layer: Picture
    bounds: NDArray[np.float32]
    fill: float


def draw_scene(number: int, side: int = SCENE_SIDE) -> Scene:
    """The scene with this number. Training draws others."""
    rng = np.random.default_rng([_FIRST, number])
    layout = any_layout(rng)
    ground = white(rng, side) if layout.white else any_ground(rng, side)
    return compose_scene(rng, layout, np.array(ground, np.float32))


def cut_out(rng: Rng) -> CutOut:
    """A random thing that is not nearly empty."""
    while True:
        layer = draw(any_thing(rng, _GOODS_SHARE))
        seen = layer[..., 3] > 0.5
        if seen.mean() > 0.01:
            left, top, right, bottom = box_of(seen) * 2 - 1
            bounds = np.array([left + right, top + bottom, right - left, bottom - top], np.float32) * np.float32(0.5)
            return CutOut(layer, bounds, float(layer[..., 3].mean()))


def compose_scene(
    rng: Rng, layout: Layout, picture: Picture, stock: Mapping[int, CutOut] = MappingProxyType({})
) -> Scene:
    """Draws a layout on a background, float32 (side, side, 3) of 0..1, which it changes.

    stock: things by the numbers that the layout has for them; others are drawn at random.
    """
    side = picture.shape[0]
    for left, top, right, bottom, *ink in layout.cards.tolist():
        if right > left:
            corners = [(int(x * side), int(y * side)) for x, y in ((left, top), (right, bottom))]
            cv2.rectangle(picture, corners[0], corners[1], ink, -1)
    things = dict(stock)
    drawn: list[int] = []
    covers: list[NDArray[np.float32]] = []
    expected: list[float] = []
    for good in layout.goods:
        if good[2] == 0:
            continue
        if int(good[8]) not in things:
            things[int(good[8])] = cut_out(rng)
        thing = things[int(good[8])]
        affine = placed(good, thing.bounds)
        layer = _warped(thing.layer, affine, side)
        cover = layer[..., 3:]
        if good[9] > 0:
            picture *= 1 - good[9] * _shadow(rng, cover)
        picture += cover * (layer[..., :3] - picture)
        drawn.append(int(good[8]))
        covers.append(cover[..., 0])
        expected.append(thing.fill * 4 * float(abs(affine.a * affine.d - affine.b * affine.c)) * side**2)
    visible = _visible(covers, side)
    counted = [n for n, mask in enumerate(visible) if counts(mask, expected[n])]
    boxes = np.array([box_of(visible[n]) for n in counted], np.float32).reshape(-1, 4)
    numbers = np.array([drawn[n] for n in counted], np.int64)
    return Scene(photographed(rng, picture, colour_change=0.0), boxes, visible[counted], numbers)


def counts(mask: NDArray[np.bool_], expected: float) -> bool:
    """Whether enough of a good is visible. `expected`: the pixels of the whole good."""
    if mask.sum() < max(LEAST_VISIBLE * expected, 1):
        return False
    left, top, right, bottom = box_of(mask)
    return bool(max(right - left, bottom - top) >= LEAST_SIDE)


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The box around what is true, as fractions. The mask must not be empty."""
    edges = []
    for axis in (0, 1):
        places = np.flatnonzero(mask.any(axis))
        edges.append((places[0] / mask.shape[1 - axis], (places[-1] + 1) / mask.shape[1 - axis]))
    (left, right), (top, bottom) = edges
    return np.array([left, top, right, bottom], np.float32)


def _warped(layer: Picture, affine: Affine, side: int) -> Picture:
    """The layer in the picture, reduced first where it gets much smaller. Float32 (side, side, 4)."""
    a, b, c, d, dx, dy = (float(v) for v in affine)
    per_unit = side * abs(a * d - b * c) ** 0.5
    while layer.shape[0] / 2 > 1.5 * per_unit and layer.shape[0] > 20:
        layer = cv2.resize(layer, (layer.shape[1] // 2, layer.shape[0] // 2), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    unit = 2 / layer.shape[0]  # of the layer's coordinates in a pixel
    matrix = np.array([[a * unit, b * unit, dx - a - b], [c * unit, d * unit, dy - c - d]]) * side
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5  # centres of pixels
    return cv2.warpAffine(layer, matrix, (side, side), flags=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _shadow(rng: Rng, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    side = cover.shape[0]
    shift = np.hstack([np.eye(2), rng.normal(0, side * 0.02, (2, 1))])
    moved = cv2.warpAffine(cover[..., 0], shift, (side, side))
    blurred = cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(1, side * 0.04)))
    return np.asarray(blurred, np.float32)[..., None]


def _visible(covers: list[NDArray[np.float32]], side: int) -> NDArray[np.bool_]:
    """Where each good is not behind later ones, bool (goods, side, side)."""
    through = np.ones((side, side), np.float32)
    masks = np.zeros((len(covers), side, side), np.bool_)
    for number in reversed(range(len(covers))):
        masks[number] = covers[number] * through > 0.5
        through *= 1 - covers[number]
    return masks
