"""Draws jewellery, glasses, books and packages."""

from __future__ import annotations

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def glasses(r: Span) -> list[Part]:
    wide, high, corner = r(0.32, 0.42), r(0.2, 0.38), r(0.08, 0.3)
    lenses = [Part(box(x - wide, -high, x + wide, high, corner), "main") for x in (-0.5, 0.5)]
    inner = [
        Part(
            box(x - wide + 0.06, -high + 0.06, x + wide - 0.06, high - 0.06, corner), "dark" if r(0, 1) < 0.6 else "cut"
        )
        for x in (-0.5, 0.5)
    ]
    return [
        Part(limb(arc(0, 0, 0.15, 0.5, 1.0, 0.6), 0.04), "main"),
        *both(limb([(0.9, -0.1), (0.98, 0.2)], 0.04), "main"),
        *lenses,
        *inner,
    ]


def finger_ring(r: Span) -> list[Part]:
    size, stone = r(0.5, 0.62), r(0.14, 0.3)
    return [
        Part(ellipse(0, 0.3, size), "metal"),
        Part(ellipse(0, 0.3, size * r(0.78, 0.9)), "cut"),
        Part(moved(rounded([(-1, 0), (-0.5, -0.7), (0.5, -0.7), (1, 0), (0, 1)], 0), 0, 0.25 - size, stone), "main"),
    ]


def necklace(r: Span) -> list[Part]:
    chain = arc(0, -0.6, r(0.55, 0.8), 0.0, 0.5, r(1.2, 1.7))
    beads = [Part(ellipse(x, y, r(0.04, 0.09)), "main") for x, y in chain[::2]]
    low = chain[12]
    return [
        Part(limb(chain, 0.02), "metal"),
        *(beads if r(0, 1) < 0.5 else []),
        Part(ellipse(low[0], low[1] + 0.12, r(0.08, 0.18), 0.16), "main"),
    ]


def earrings(r: Span) -> list[Part]:
    drop, size = r(0.1, 0.4), r(0.16, 0.3)
    return [
        *both(limb(arc(0.45, -0.6, 0.12, 0.4, 1.1), 0.025), "metal"),
        *both(limb([(0.45, -0.5), (0.45, drop)], 0.02), "metal"),
        *both(ellipse(0.45, drop + size, size * 0.7, size), "main"),
    ]


def book(r: Span) -> list[Part]:
    wide, spine = r(0.55, 0.75), r(0.06, 0.14)
    return [
        Part(box(-wide + 0.05, -0.92, wide + 0.05, 0.97), "detail"),
        Part(box(-wide, -0.95, wide, 0.92), "main"),
        Part(box(-wide, -0.95, -wide + spine, 0.92), "dark"),
        Part(box(-wide + 0.25, r(-0.7, -0.4), wide - 0.15, r(-0.3, 0.1)), "second"),
    ]


def carton(r: Span) -> list[Part]:
    x, y = r(0.1, 0.4), r(0.15, 0.35)
    front = Part(box(-0.8, -0.8 + y, 0.8 - x, 0.85), "main")
    return [
        front,
        Part(rounded([(-0.8, -0.8 + y), (0.8 - x, -0.8 + y), (0.85, -0.85), (-0.8 + x, -0.85)], 0), "second"),
        Part(rounded([(0.8 - x, -0.8 + y), (0.85, -0.85), (0.85, 0.85 - y), (0.8 - x, 0.85)], 0), "dark"),
    ]


def can(r: Span) -> list[Part]:
    wide = r(0.35, 0.5)
    return [
        Part(rounded([(-wide, -0.85), (wide, -0.85), (wide, 0.85), (-wide, 0.85)], 1), "main"),
        Part(ellipse(0, -0.82, wide * 0.94, 0.1), "metal"),
        Part(box(-wide, -0.4, wide, r(0.2, 0.6)), "second"),
    ]


def tube(r: Span) -> list[Part]:
    wide = r(0.25, 0.42)
    return [
        Part(rounded([(-wide, -0.95), (wide, -0.95), (wide * 0.8, 0.6), (-wide * 0.8, 0.6)], 0), "main"),
        Part(box(-wide * 0.55, 0.58, wide * 0.55, 0.95, 0.03), "second"),
        Part(box(-wide * 0.7, -0.6, wide * 0.7, r(-0.2, 0.2)), "detail"),
    ]


def spray_bottle(r: Span) -> list[Part]:
    wide = r(0.3, 0.42)
    head = Part(
        rounded([(-0.25, -0.95), (0.2, -0.95), (0.5, -0.85), (0.5, -0.75), (0.1, -0.55), (-0.25, -0.6)], 0), "second"
    )
    return [
        Part(limb([(0.1, -0.6), (0.35, -0.3)], 0.04), "second"),
        head,
        Part(symmetric([(0.1, -0.6), (wide, -0.15), (wide, 0.9), (0, 0.95)]), "main"),
        Part(box(-wide * 0.9, 0.05, wide * 0.9, 0.65), "detail"),
    ]


KINDS: tuple[Kind, ...] = (
    glasses,
    finger_ring,
    necklace,
    earrings,
    book,
    carton,
    can,
    tube,
    spray_bottle,
)
