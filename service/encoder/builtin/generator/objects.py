"""Draws objects as pictures with opacity: a kind of goods or a random assembly, with a shape and a material."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.fields import smooth_noise
from service.encoder.builtin.generator.kinds import (
    accessories,
    electronics,
    furniture,
    garments,
    groceries,
    kitchen,
    packages,
    toys,
)
from service.encoder.builtin.generator.materials import Picture, add_print, materials
from service.encoder.builtin.generator.outlines import Outline, any_outline
from service.encoder.builtin.generator.parts import Kind, Part, Role, Span

Rng = np.random.Generator
FAMILIES: dict[str, tuple[Kind, ...]] = {
    "garments": garments.KINDS, "accessories": accessories.KINDS, "kitchen": kitchen.KINDS,
    "furniture": furniture.KINDS, "electronics": electronics.KINDS, "packages": packages.KINDS, "toys": toys.KINDS,
    "groceries": groceries.KINDS,
}  # fmt: skip
KINDS: tuple[Kind, ...] = tuple(kind for family in FAMILIES.values() for kind in family)
LAYER_SIDE = 160
_REACH = 0.94  # how far outlines extend towards the edge of the layer


@dataclass(frozen=True)
class Thing:
    """An object, defined by its seeds. Equal things are drawn equally.

    - `kind`: index into KINDS, or -1 for a random assembly.
    - `jitter`: 0 preserves the shape of `shape_seed`; larger values deform it.
    """

    kind: int
    shape_seed: int
    material_seed: int
    jitter_seed: int = 0
    jitter: float = 0.0

    def relative(self, rng: Rng) -> Thing:
        """Another member of the same family: the same kind (or the rough shape of an assembly) with another
        material."""
        seeds = rng.integers(1 << 62, size=2)
        jitter = float(rng.uniform(0.3, 1.0)) if self.kind >= 0 else 0.12
        return replace(self, material_seed=int(seeds[0]), jitter_seed=int(seeds[1]), jitter=jitter)


def any_thing(rng: Rng, goods: float = 0.6) -> Thing:
    """A thing of a random kind; `goods` is the share of named kinds."""
    kind = int(rng.integers(len(KINDS))) if rng.random() < goods else -1
    shape, material = rng.integers(1 << 62, size=2)
    return Thing(kind, int(shape), int(material))


def draw(thing: Thing, ink: Picture | None = None) -> Picture:
    """The thing without a background: float32 (LAYER_SIDE, LAYER_SIDE, 4), RGB and opacity, in 0..1.

    ink: RGB, shape (3,) or (LAYER_SIDE, LAYER_SIDE, 3), of its main material and, darker, of the second. None: the
    materials of its seed.
    """
    rng = np.random.default_rng(thing.material_seed)
    parts = bent(parts_of(thing), rng)
    stuff = materials(rng, LAYER_SIDE)
    if ink is not None:
        stuff["main"] = np.ones((LAYER_SIDE, LAYER_SIDE, 3), np.float32) * ink
        stuff["second"] = stuff["main"] * np.float32(0.8)
    if rng.random() < 0.35:
        stuff["main"] = np.array(stuff["main"])
        add_print(rng, stuff["main"])
    depth = float(rng.uniform(0.2, 1.0))
    layer = np.zeros((LAYER_SIDE, LAYER_SIDE, 4), np.float32)
    for part in parts:
        _paint(layer, part, stuff, depth)
    layer[..., :3] *= _light(rng, layer[..., 3])[..., None]
    return np.clip(layer, 0, 1)


def parts_of(thing: Thing) -> list[Part]:
    """The outlines of a thing, from back to front."""
    shape = np.random.default_rng(thing.shape_seed)
    if thing.kind >= 0:
        return KINDS[thing.kind](_span(shape, thing))
    bend = np.random.default_rng(thing.jitter_seed)
    return [
        Part(p.outline * np.exp(bend.normal(0, thing.jitter, 2)) + bend.normal(0, thing.jitter / 3, 2), p.role)
        for p in _assembly(shape)
    ]


def _span(shape: Rng, thing: Thing) -> Span:
    bend = np.random.default_rng(thing.jitter_seed)

    def between(low: float, high: float) -> float:
        share = shape.random()
        if thing.jitter > 0:
            share = (1 - thing.jitter) * share + thing.jitter * bend.random()
        return float(low + (high - low) * share)

    return between


def _assembly(rng: Rng) -> list[Part]:
    """One to six overlapping outlines, sometimes mirrored to symmetry, sometimes with a hole."""
    count = int(rng.integers(1, 7))
    mirrored = rng.random() < 0.6
    roles: tuple[Role, ...] = ("main", "main", "second", "second", "detail", "metal", "dark")
    parts = [Part(any_outline(rng) * rng.uniform(0.5, 1.0, 2), "main")]
    for _ in range(count - 1):
        role: Role = roles[rng.integers(len(roles))] if rng.random() < 0.93 else "cut"
        outline = any_outline(rng) * rng.uniform(0.1, 0.55, 2)
        place = rng.uniform(-0.7, 0.7, 2)
        if mirrored and rng.random() < 0.5:
            outline = outline * (1, 1) + place * (0, 1)
        else:
            outline = outline + place
            if mirrored:
                parts.append(Part(outline * (-1, 1), role))
        parts.append(Part(outline, role))
    return parts


def bent(parts: list[Part], rng: Rng) -> list[Part]:
    """Displaces all outlines together, smoothly and slightly, because cloth never lies flat."""
    strength = rng.uniform(0, 0.06)
    waves = rng.normal(0, 2.5, (4, 2))
    phases = rng.uniform(0, 6.3, 4)

    def bend(outline: Outline) -> Outline:
        shift = np.stack([np.sin(outline @ waves[i] + phases[i]) for i in range(4)], 1)
        moved: Outline = outline + strength * np.stack([shift[:, 0] + shift[:, 1], shift[:, 2] + shift[:, 3]], 1) / 2
        return moved

    return [Part(bend(p.outline), p.role) for p in parts]


def _paint(layer: Picture, part: Part, stuff: dict[Role, Picture], depth: float) -> None:
    mask = np.zeros(layer.shape[:2], np.uint8)
    points = (part.outline * _REACH + 1) * (LAYER_SIDE / 2)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    cover = (mask.astype(np.float32) / 255)[..., None]
    if part.role == "cut":
        layer[..., 3:] *= 1 - cover
        return
    rim = cv2.GaussianBlur(cover[..., 0], (0, 0), 2.0)[..., None]
    shade = 1 - depth * 0.55 * np.clip(2 * (1 - rim), 0, 1)
    layer[..., :3] = layer[..., :3] * (1 - cover) + stuff[part.role] * shade * cover
    layer[..., 3:] = np.maximum(layer[..., 3:], cover)


def _light(rng: Rng, opacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shading from the outline, folds from noise, and a gradient of light."""
    side = opacity.shape[0]
    light = np.ones((side, side), np.float32)
    if rng.random() < 0.6:
        height = cv2.GaussianBlur(opacity, (0, 0), float(rng.uniform(4, 14)))
        slope_x, slope_y = np.gradient(height * rng.uniform(5, 22))[::-1]
        angle = rng.uniform(0, 2 * np.pi)
        light += np.clip(slope_x * np.cos(angle) + slope_y * np.sin(angle), -0.5, 0.45).astype(np.float32)
    if rng.random() < 0.6:
        folds = smooth_noise(rng, side, int(rng.integers(3, 12)))
        if rng.random() < 0.5:
            folds = cv2.resize(folds[:, : side // 4], (side, side))  # type: ignore[assignment]
        light += np.float32(rng.uniform(0.1, 0.7)) * (folds - 0.5)
    ramp = np.linspace(-1, 1, side, dtype=np.float32) * np.float32(rng.normal(0, 0.12))
    return np.clip(light + (ramp if rng.random() < 0.5 else ramp[:, None]), 0.15, 1.6)
