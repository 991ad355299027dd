"""What processors draw for training: shapes, patterns, grounds and prints, uint8. Views are made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.fields import pattern
from service.encoder.builtin.generator.grounds import leaves, room
from service.encoder.builtin.generator.materials import add_text, texture
from service.encoder.builtin.generator.objects import Thing, any_thing, bent, parts_of
from service.encoder.builtin.generator.outlines import Outline, any_outline
from service.encoder.builtin.generator.parts import Part

SIDE = 112
CHANNELS = 8  # coverage of five roles, how near the rim is, a blurred height, nothing
_ROLES = ("main", "second", "detail", "metal", "dark")
_REACH, _LEAST_COVERAGE = 0.94, 250  # of the layer; in pixels
_GOODS_SHARE = 0.65
Rng = np.random.Generator
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """shapes: (n, SIDE, SIDE, CHANNELS), a thing and a relative of it in turn; kinds: int64 (n / 2,) of these couples;
    patterns, prints: (n, SIDE, SIDE); grounds: (n, SIDE, SIDE, 3) RGB."""

    shapes: Bytes
    kinds: NDArray[np.int64]
    patterns: Bytes
    grounds: Bytes
    prints: Bytes

    @classmethod
    def sizes(cls, amounts: Amounts) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape and dtype of each array for so many parts."""
        side = (SIDE, SIDE)
        return {
            "shapes": ((2 * amounts.couples, *side, CHANNELS), np.uint8),
            "kinds": ((amounts.couples,), np.int64),
            "patterns": ((amounts.patterns, *side), np.uint8),
            "grounds": ((amounts.grounds, *side, 3), np.uint8),
            "prints": ((amounts.prints, *side), np.uint8),
        }

    @classmethod
    def within(cls, buffer: memoryview | bytearray, amounts: Amounts) -> Parts:
        """Arrays that lie in a buffer of `bytes_of(amounts)`."""
        arrays, start = {}, 0
        for name, (shape, dtype) in cls.sizes(amounts).items():
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(buffer, dtype, count, start).reshape(shape)
            start += _aligned(count * np.dtype(dtype).itemsize)
        return cls(**arrays)


@dataclass(frozen=True)
class Amounts:
    """How many parts one chunk has. `couples`: of shapes."""

    couples: int = 32
    patterns: int = 40
    grounds: int = 5
    prints: int = 12


def bytes_of(amounts: Amounts) -> int:
    """The size of a buffer for the parts of one chunk."""
    return sum(
        _aligned(int(np.prod(shape)) * np.dtype(dtype).itemsize) for shape, dtype in Parts.sizes(amounts).values()
    )


def draw_parts(seed: list[int], into: Parts) -> None:
    """Draws one chunk of parts. It depends on the seed alone."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    for number in range(len(into.kinds)):
        thing, shape = _visible(rng)
        into.shapes[2 * number] = shape
        into.shapes[2 * number + 1] = shape_of(thing.relative(rng))
        into.kinds[number] = thing.kind
    for number in range(len(into.patterns)):
        into.patterns[number] = _as_bytes(pattern(rng, SIDE))
    for number in range(len(into.grounds)):
        into.grounds[number] = _as_bytes(_ground(rng))
    for number in range(len(into.prints)):
        into.prints[number] = _as_bytes(_print(rng))


def shape_of(thing: Thing) -> Bytes:
    """The shape of a thing without its material: (SIDE, SIDE, CHANNELS)."""
    rng = np.random.default_rng(thing.material_seed)
    coverage = np.zeros((SIDE, SIDE, len(_ROLES)), np.float32)
    opacity, rim = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    for part in bent(parts_of(thing), rng):
        _add(part, coverage, opacity, rim)
    coverage *= (opacity / np.maximum(coverage.sum(-1), 1e-3))[..., None]
    drawn = np.zeros((SIDE, SIDE, CHANNELS), np.float32)
    drawn[..., : len(_ROLES)] = coverage
    drawn[..., len(_ROLES)] = rim
    drawn[..., len(_ROLES) + 1] = cv2.GaussianBlur(opacity, (0, 0), float(rng.uniform(2.5, 9)))
    return _as_bytes(drawn)


def _visible(rng: Rng) -> tuple[Thing, Bytes]:
    while True:
        thing = any_thing(rng, _GOODS_SHARE)
        shape = shape_of(thing)
        if shape[..., : len(_ROLES)].sum() > 255 * _LEAST_COVERAGE:
            return thing, shape


def _add(part: Part, coverage: Floats, opacity: Floats, rim: Floats) -> None:
    points = np.round((part.outline * _REACH + 1) * (SIDE / 2) * 16).astype(np.int32)
    left, top = np.clip(points.min(0) // 16 - 5, 0, SIDE)
    right, bottom = np.clip(points.max(0) // 16 + 6, 0, SIDE)
    if right <= left or bottom <= top:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [points - np.array([left, top], np.int32) * 16], 255, cv2.LINE_AA, 4)
    cover = mask.astype(np.float32) / 255
    here = (slice(top, bottom), slice(left, right))
    if part.role == "cut":
        opacity[here] *= 1 - cover
        return
    edge = np.clip(2 * (1 - cv2.GaussianBlur(cover, (0, 0), 1.4)), 0, 1)
    coverage[here] *= (1 - cover)[..., None]
    coverage[here][..., _ROLES.index(part.role)] += cover
    rim[here] = rim[here] * (1 - cover) + edge * cover
    opacity[here] = np.maximum(opacity[here], cover)


def _ground(rng: Rng) -> Floats:
    kind = rng.random()
    if kind < 0.4:
        return leaves(rng, SIDE)
    return room(rng, SIDE) if kind < 0.65 else texture(rng, SIDE)


def _print(rng: Rng) -> Floats:
    """Words, a motif, or both, as coverage."""
    drawn = np.zeros((SIDE, SIDE), np.float32)
    kind = rng.random()
    if kind < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            place = (rng.uniform(0, 20), rng.uniform(25, 105))
            add_text(rng, drawn[..., None], place, rng.uniform(0.6, 2.2), [1.0])
    if kind > 0.45:
        _fill(drawn, any_outline(rng) * SIDE * rng.uniform(0.25, 0.46) + SIDE / 2, rng.choice([0.5, 1.0]))
    if kind > 0.8:
        inner = any_outline(rng) * SIDE * rng.uniform(0.1, 0.25) + SIDE / 2 + rng.normal(0, 8, 2)
        _fill(drawn, inner, rng.choice([0.0, 1.0]))
    return drawn


def _fill(drawn: Floats, outline: Outline, value: float) -> None:
    cv2.fillPoly(drawn, [np.round(outline * 16).astype(np.int32)], float(value), cv2.LINE_AA, 4)


def _as_bytes(values: Floats) -> Bytes:
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


def _aligned(size: int) -> int:
    return (size + 63) // 64 * 64


def arrays_of(parts: Parts) -> dict[str, NDArray[np.generic]]:
    """The arrays by name."""
    return {field.name: getattr(parts, field.name) for field in fields(parts)}
