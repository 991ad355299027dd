"""Draws furniture and lamps."""

from __future__ import annotations

import numpy as np

from service.encoder.builtin.generator.outlines import box, ellipse, limb, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def table_lamp(r: Span) -> list[Part]:
    top, low, deep = r(0.2, 0.45), r(0.45, 0.75), r(-0.25, 0.05)
    stem = Part(symmetric([(0.04, deep), (r(0.04, 0.2), 0.3), (0.05, 0.7), (r(0.25, 0.4), 0.9), (0, 0.92)]), "second")
    return [stem, Part(rounded([(-top, -0.95), (top, -0.95), (low, deep), (-low, deep)], 0), "main")]


def floor_lamp(r: Span) -> list[Part]:
    shade = Part(rounded([(-0.2, -0.98), (0.2, -0.98), (r(0.3, 0.42), -0.55), (-r(0.3, 0.42), -0.55)], 0), "main")
    return [Part(box(-0.02, -0.6, 0.02, 0.9), "metal"), Part(ellipse(0, 0.92, r(0.2, 0.34), 0.06), "metal"), shade]


def chair(r: Span) -> list[Part]:
    wide, seat = r(0.35, 0.48), r(0.05, 0.2)
    legs = [
        Part(limb([(x * wide, seat), (x * wide * r(0.9, 1.15), 0.95)], r(0.03, 0.05)), "second")
        for x in (-0.95, 0.95, -0.6, 0.6)
    ]
    back = Part(box(-wide, -0.95, wide, r(-0.4, -0.05), r(0.02, 0.25)), "main")
    posts = [Part(box(x * wide - 0.03, -0.8, x * wide + 0.03, seat), "second") for x in (-0.85, 0.85)]
    return [
        *legs,
        *posts,
        back,
        Part(rounded([(-wide, seat), (wide, seat), (wide + 0.1, seat + 0.16), (-wide - 0.1, seat + 0.16)], 1), "main"),
    ]


def armchair(r: Span) -> list[Part]:
    wide = r(0.6, 0.8)
    arms = both(box(wide - 0.22, -0.1, wide + 0.05, 0.75, 0.1), "main")
    legs = both(limb([(wide - 0.1, 0.7), (wide - 0.05, 0.95)], 0.04), "dark")
    return [
        *legs,
        Part(box(-wide + 0.1, -0.85, wide - 0.1, 0.4, r(0.1, 0.3)), "main"),
        Part(box(-wide + 0.2, 0.1, wide - 0.2, 0.6, 0.1), "second"),
        *arms,
    ]


def sofa(r: Span) -> list[Part]:
    top, count = r(-0.45, -0.25), 2 + (r(0, 1) < 0.5)
    wide = 1.5 / count
    seats = [Part(box(-0.75 + i * wide, 0.0, -0.75 + (i + 1) * wide - 0.02, 0.3, 0.06), "second") for i in range(count)]
    backs = [Part(box(-0.75 + i * wide, top, -0.75 + (i + 1) * wide - 0.02, 0.05, 0.08), "main") for i in range(count)]
    arms = both(box(0.72, -0.15, 0.98, 0.45, r(0.03, 0.12)), "main")
    return [
        *both(box(0.8, 0.4, 0.87, 0.6), "dark"),
        Part(box(-0.85, 0.2, 0.85, 0.48, 0.03), "main"),
        *backs,
        *seats,
        *arms,
    ]


def table(r: Span) -> list[Part]:
    top, thick = r(-0.3, 0.0), r(0.05, 0.12)
    legs = both(limb([(r(0.7, 0.88), top), (r(0.6, 0.95), 0.8)], [r(0.04, 0.09), 0.03]), "second")
    return [
        *legs,
        *both(limb([(0.5, top), (0.52, 0.62)], 0.03), "second"),
        Part(box(-0.97, top - thick, 0.97, top + thick, 0.02), "main"),
    ]


def bed(r: Span) -> list[Part]:
    head = Part(box(-0.95, r(-0.6, -0.3), -0.8, 0.6, 0.05), "second")
    pillow = Part(box(-0.75, -0.2, -0.4, 0.02, 0.1), "detail")
    return [
        head,
        *both(box(0.8, 0.4, 0.9, 0.65), "second"),
        Part(box(-0.85, 0.0, 0.95, 0.45, 0.06), "main"),
        pillow,
        Part(box(-0.3, -0.03, 0.95, 0.3, 0.06), "main"),
    ]


def cabinet(r: Span) -> list[Part]:
    wide, rows, columns = r(0.45, 0.95), int(r(1, 5)), int(r(1, 4))
    parts = [*both(box(wide - 0.15, 0.7, wide - 0.07, 0.92), "dark"), Part(box(-wide, -0.75, wide, 0.78, 0.02), "main")]
    for row in range(rows):
        for column in range(columns):
            x, y = -wide + 2 * wide * column / columns, -0.75 + 1.5 * row / rows
            parts.append(
                Part(box(x + 0.03, y + 0.03, x + 2 * wide / columns - 0.03, y + 1.5 / rows - 0.03, 0.01), "second")
            )
            parts.append(Part(ellipse(x + wide / columns, y + 0.75 / rows, 0.035), "metal"))
    return parts


def shelf(r: Span) -> list[Part]:
    wide, count = r(0.4, 0.85), int(r(3, 7))
    boards = [Part(box(-wide, y, wide, y + 0.05), "main") for y in np.linspace(-0.95, 0.9, count)]
    return [*both(box(wide - 0.06, -0.95, wide, 0.95), "main"), *boards]


def clock(r: Span) -> list[Part]:
    hands = [
        Part(limb([(0, 0), (np.sin(t) * n, -np.cos(t) * n)], 0.03), "dark")
        for t, n in ((r(0, 6), 0.4), (r(0, 6), 0.62))
    ]
    marks = [Part(ellipse(0.72 * np.sin(t), 0.72 * np.cos(t), 0.04), "dark") for t in np.arange(12) * np.pi / 6]
    face = box(-0.95, -0.95, 0.95, 0.95, 0.1) if r(0, 1) < 0.3 else ellipse(0, 0, 0.95)
    return [Part(face, "main"), Part(ellipse(0, 0, 0.82), "detail"), *marks, *hands]


def cushion(r: Span) -> list[Part]:
    side, puff = r(0.75, 0.9), r(0.05, 0.2)
    return [
        Part(
            rounded(
                [
                    (-side, -side),
                    (0, -side + puff),
                    (side, -side),
                    (side - puff, 0),
                    (side, side),
                    (0, side - puff),
                    (-side, side),
                    (-side + puff, 0),
                ],
                1,
            ),
            "main",
        )
    ]


def framed_picture(r: Span) -> list[Part]:
    wide, high, rim = r(0.5, 0.95), r(0.5, 0.95), r(0.06, 0.18)
    return [
        Part(box(-wide, -high, wide, high), "main"),
        Part(box(-wide + rim, -high + rim, wide - rim, high - rim), "detail"),
        Part(box(-wide + 2 * rim, -high + 2 * rim, wide - 2 * rim, high - 2 * rim), "second"),
    ]


def plant(r: Span) -> list[Part]:
    leaves = []
    for t in np.linspace(-1.3, 1.3, int(r(5, 12))):
        tip = (np.sin(t) * r(0.6, 0.95), 0.3 - np.cos(t) * r(0.8, 1.2))
        leaves.append(
            Part(limb([(0, 0.35), (tip[0] * 0.5, tip[1] * 0.55 + 0.1), tip], [0.03, r(0.06, 0.16), 0.01]), "second")
        )
    return [
        *leaves,
        Part(rounded([(-0.36, 0.3), (0.36, 0.3), (r(0.22, 0.32), 0.95), (-r(0.22, 0.32), 0.95)], 0), "main"),
    ]


def candle(r: Span) -> list[Part]:
    wide, top = r(0.15, 0.45), r(-0.6, 0.0)
    return [
        Part(box(-wide, top, wide, 0.9, 0.03), "main"),
        Part(limb([(0, top), (0, top - 0.15)], 0.015), "dark"),
        Part(rounded([(0, top - 0.4), (0.07, top - 0.2), (0, top - 0.12), (-0.07, top - 0.2)], 1), "detail"),
    ]


KINDS: tuple[Kind, ...] = (
    table_lamp,
    floor_lamp,
    chair,
    armchair,
    sofa,
    table,
    bed,
    cabinet,
    shelf,
    clock,
    cushion,
    framed_picture,
    plant,
    candle,
)
