"""Draws electronics."""

from __future__ import annotations

import numpy as np

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def phone(r: Span) -> list[Part]:
    wide, rim = r(0.4, 0.52), r(0.03, 0.07)
    lens = [Part(ellipse(-wide + 0.16, y, 0.07), "dark") for y in (-0.8, -0.62)]
    return [
        Part(box(-wide, -0.97, wide, 0.97, r(0.06, 0.16)), "main"),
        *(lens if r(0, 1) < 0.4 else [Part(box(-wide + rim, -0.9, wide - rim, 0.9, 0.06), "second")]),
    ]


def laptop(r: Span) -> list[Part]:
    lid, deep = r(-0.75, -0.5), r(0.25, 0.55)
    base = Part(rounded([(-0.75, 0.15), (0.75, 0.15), (0.98, deep), (-0.98, deep)], 0), "main")
    keys = Part(rounded([(-0.65, 0.19), (0.65, 0.19), (0.75, deep - 0.12), (-0.75, deep - 0.12)], 0), "dark")
    return [
        Part(box(-0.76, lid, 0.76, 0.15, 0.04), "main"),
        Part(box(-0.7, lid + 0.06, 0.7, 0.1), "second"),
        base,
        keys,
    ]


def monitor(r: Span) -> list[Part]:
    low = r(0.2, 0.45)
    return [
        Part(box(-0.06, low, 0.06, 0.75), "metal"),
        Part(ellipse(0, 0.78, r(0.25, 0.45), 0.07), "metal"),
        Part(box(-0.97, -0.7, 0.97, low, 0.03), "main"),
        Part(box(-0.92, -0.65, 0.92, low - 0.06), "second"),
    ]


def headphones(r: Span) -> list[Part]:
    wide = r(0.6, 0.75)
    band = Part(limb(arc(0, 0.2, wide, 0.5, 1.0, r(1.0, 1.35)), r(0.05, 0.1)), "main")
    return [
        band,
        *both(box(wide - 0.2, 0.0, wide + 0.14, r(0.55, 0.8), 0.16), "main"),
        *both(box(wide - 0.28, 0.05, wide - 0.14, 0.6, 0.07), "dark"),
    ]


def camera(r: Span) -> list[Part]:
    lens = r(0.32, 0.48)
    top = Part(rounded([(-0.3, -0.75), (0.3, -0.75), (0.4, -0.4), (-0.4, -0.4)], 0), "main")
    return [
        top,
        Part(box(-0.95, -0.5, 0.95, 0.65, 0.1), "main"),
        Part(box(-0.95, -0.2, 0.95, 0.45), "second"),
        Part(ellipse(0, 0.1, lens), "dark"),
        Part(ellipse(0, 0.1, lens * 0.7), "metal"),
        Part(ellipse(0, 0.1, lens * 0.45), "dark"),
    ]


def speaker(r: Span) -> list[Part]:
    wide = r(0.4, 0.6)
    cones = [
        Part(ellipse(0, y, n * k), role)  # type: ignore[arg-type]
        for y, n in ((0.4, 0.8 * wide), (-0.5, 0.5 * wide))
        for k, role in ((1, "second"), (0.6, "dark"))
    ]
    return [Part(box(-wide, -0.95, wide, 0.95, r(0, 0.15)), "main"), *cones]


def keyboard(r: Span) -> list[Part]:
    high = r(0.3, 0.45)
    keys = [
        Part(box(x, y, x + 0.14, y + high / 2.6, 0.02), "second")
        for x in np.arange(-0.9, 0.85, 0.18)
        for y in np.linspace(-high + 0.05, high - 0.2, 4)
    ]
    return [Part(box(-0.98, -high, 0.98, high, 0.05), "main"), *keys]


def watch(r: Span) -> list[Part]:
    wide, face = r(0.18, 0.28), r(0.34, 0.46)
    hands = [
        Part(limb([(0, 0), (np.sin(t) * n, np.cos(t) * n)], 0.02), "dark") for t, n in ((r(0, 6), 0.2), (r(0, 6), 0.3))
    ]
    case = ellipse(0, 0, face) if r(0, 1) < 0.6 else box(-face, -face, face, face, 0.12)
    return [
        Part(symmetric([(wide * 0.8, -0.98), (wide, -0.3), (wide, 0.3), (wide * 0.8, 0.98)], 0), "main"),
        Part(case, "metal"),
        Part(ellipse(0, 0, face * 0.8), "detail"),
        *hands,
    ]


def remote(r: Span) -> list[Part]:
    wide, turn = r(0.18, 0.28), r(-0.5, 0.5)
    buttons = [
        Part(moved(ellipse(x * wide * 0.5, y, 0.05), turn=turn), "detail")
        for x in (-1, 0, 1)
        for y in np.arange(-0.7, 0.6, 0.2)
    ]
    return [Part(moved(box(-wide, -0.95, wide, 0.95, 0.1), turn=turn), "main"), *buttons]


KINDS: tuple[Kind, ...] = (phone, laptop, monitor, headphones, camera, speaker, keyboard, watch, remote)
