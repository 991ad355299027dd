"""Draws toys, sports goods, tools and instruments."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def ball(r: Span) -> list[Part]:
    seams = [Part(limb(arc(x, 0, r(0.6, 0.9), a, a + 0.3), 0.025), "dark") for x, a in ((-0.9, -0.15), (0.9, 0.35))]
    return [Part(ellipse(0, 0, 0.95), "main"), *(seams if r(0, 1) < 0.5 else [])]


def toy_car(r: Span) -> list[Part]:
    roof, front = r(-0.55, -0.35), r(0.45, 0.7)
    body = Part(
        rounded(
            [
                (-0.95, 0.0),
                (-0.7, -0.05),
                (-0.45, roof),
                (0.25, roof),
                (front, -0.02),
                (0.95, 0.08),
                (0.95, 0.35),
                (-0.95, 0.35),
            ],
            1,
        ),
        "main",
    )
    window = Part(rounded([(-0.5, -0.05), (-0.35, roof + 0.1), (0.2, roof + 0.1), (front - 0.1, -0.05)], 0), "dark")
    wheels = [
        Part(ellipse(x, 0.35, n), role)  # type: ignore[arg-type]
        for x in (-0.55, 0.55)
        for n, role in ((r(0.2, 0.26), "dark"), (0.1, "metal"))
    ]
    return [body, window, *wheels]


def bear(r: Span) -> list[Part]:
    head = r(0.34, 0.42)
    limbs = [*both(ellipse(0.45, 0.2, 0.16, 0.3), "main"), *both(ellipse(0.32, 0.75, 0.22, 0.2), "main")]
    ears = [*both(ellipse(0.3, -0.8, 0.15), "main"), *both(ellipse(0.3, -0.8, 0.08), "second")]
    face = [
        Part(ellipse(0, -0.38, 0.16, 0.12), "second"),
        *both(ellipse(0.13, -0.56, 0.04), "dark"),
        Part(ellipse(0, -0.42, 0.05), "dark"),
    ]
    return [
        *limbs,
        *ears,
        Part(ellipse(0, 0.3, r(0.36, 0.46), 0.5), "main"),
        Part(ellipse(0, 0.35, 0.25, 0.3), "second"),
        Part(ellipse(0, -0.5, head), "main"),
        *face,
    ]


def guitar(r: Span) -> list[Part]:
    turn, waist = r(-0.7, 0.7), r(0.18, 0.28)
    body = symmetric([(0.0, 0.0), (r(0.25, 0.34), 0.1), (waist, 0.4), (r(0.36, 0.44), 0.7), (0.2, 0.98), (0, 0.98)], 2)
    pieces = [
        (box(-0.05, -0.8, 0.05, 0.3), "second"),
        (body, "main"),
        (ellipse(0, 0.42, 0.12), "dark"),
        (box(-0.09, -0.98, 0.09, -0.75), "dark"),
        (box(-0.15, 0.7, 0.15, 0.75), "dark"),
    ]
    return [Part(moved(o, turn=turn), role) for o, role in pieces]  # type: ignore[arg-type]


def bicycle(r: Span) -> list[Part]:
    size = r(0.34, 0.42)
    wheels = [Part(limb(arc(x, 0.35, size, 0, 1), 0.035), "dark") for x in (-0.55, 0.55)]
    spokes = [
        Part(limb([(x, 0.35), (x + size * np.cos(t), 0.35 + size * np.sin(t))], 0.008), "metal")
        for x in (-0.55, 0.55)
        for t in np.arange(8) * np.pi / 4
    ]
    joints = [(-0.55, 0.35), (-0.2, -0.25), (0.4, -0.3), (-0.05, 0.35), (-0.55, 0.35)]
    frame = [Part(limb([a, b], 0.035), "main") for a, b in pairwise(joints)]
    return [
        *wheels,
        *spokes,
        *frame,
        Part(limb([(-0.05, 0.35), (-0.25, -0.4)], 0.03), "main"),
        Part(limb([(0.35, -0.5), (0.55, 0.35)], 0.03), "main"),
        Part(box(-0.4, -0.48, -0.1, -0.4, 0.03), "dark"),
        Part(limb([(0.2, -0.52), (0.5, -0.55)], 0.03), "dark"),
    ]


def umbrella(r: Span) -> list[Part]:
    deep = r(0.5, 0.7)
    canopy = rounded(
        [
            (-0.95, 0.1),
            *[(0.95 * np.cos(t), 0.1 + deep * np.sin(t) * 1.4) for t in np.linspace(-np.pi, 0, 12)],
            (0.6, 0.0),
            (0.32, 0.1),
            (0, 0.0),
            (-0.32, 0.1),
            (-0.6, 0.0),
        ],
        0,
    )
    hook = Part(limb(arc(0.12, 0.8, 0.12, 0.0, 0.5), 0.035), "second")
    return [Part(box(-0.02, -0.2, 0.02, 0.8), "metal"), hook, Part(canopy, "main")]


def scissors(r: Span) -> list[Part]:
    turn, spread = r(-1, 1), r(0.1, 0.3)
    blades = [Part(moved(limb([(0, 0.2), (x * spread, -0.95)], [0.1, 0.01]), turn=turn), "metal") for x in (-1, 1)]
    loops = [Part(moved(limb(arc(x * 0.3, 0.7, r(0.18, 0.26), 0, 1), 0.06), turn=turn), "main") for x in (-1, 1)]
    return [*blades, *[Part(moved(limb([(0, 0.1), (x * 0.2, 0.5)], 0.06), turn=turn), "main") for x in (-1, 1)], *loops]


def hammer(r: Span) -> list[Part]:
    turn = r(-1, 1)
    head = rounded([(-0.45, -0.9), (0.3, -0.9), (0.55, -0.75), (0.3, -0.6), (-0.45, -0.6)], 0)
    return [Part(moved(box(-0.08, -0.7, 0.08, 0.95, 0.05), turn=turn), "main"), Part(moved(head, turn=turn), "metal")]


def racket(r: Span) -> list[Part]:
    turn, wide = r(-0.8, 0.8), r(0.36, 0.46)
    lines = [
        Part(moved(box(x - 0.008, -0.9, x + 0.008, 0.1), turn=turn), "detail")
        for x in np.linspace(-wide * 0.7, wide * 0.7, 7)
    ]
    return [
        Part(moved(box(-0.06, 0.1, 0.06, 0.97, 0.03), turn=turn), "second"),
        *lines,
        Part(moved(limb(arc(0, -0.4, wide, 0, 1, 1.3), 0.05), turn=turn), "main"),
    ]


def skateboard(r: Span) -> list[Part]:
    wheels = both(ellipse(0.6, 0.2, r(0.1, 0.15)), "second")
    return [
        *wheels,
        Part(limb([(-0.97, r(-0.2, -0.05)), (-0.7, 0.0), (0.7, 0.0), (0.97, r(-0.2, -0.05))], 0.07), "main"),
    ]


def gift(r: Span) -> list[Part]:
    wide = r(0.6, 0.85)
    bow = both(limb(arc(0.2, -0.72, 0.18, 0, 1, 0.7), 0.06), "second")
    return [
        *bow,
        Part(box(-wide, -0.35, wide, 0.9), "main"),
        Part(box(-wide - 0.05, -0.55, wide + 0.05, -0.25), "main"),
        Part(box(-0.1, -0.55, 0.1, 0.9), "second"),
    ]


KINDS: tuple[Kind, ...] = (
    ball,
    toy_car,
    bear,
    guitar,
    bicycle,
    umbrella,
    scissors,
    hammer,
    racket,
    skateboard,
    gift,
)
