"""Draws kitchenware and tableware."""

from __future__ import annotations

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span


def mug(r: Span) -> list[Part]:
    wide, top = r(0.4, 0.6), r(-0.75, -0.4)
    handle = Part(limb(arc(wide, 0.1, r(0.22, 0.34), 0.72, 1.28, r(1.0, 1.4)), r(0.06, 0.1)), "main")
    body = Part(
        rounded([(-wide, top), (wide, top), (wide * r(0.75, 1.0), 0.8), (-wide * r(0.75, 1.0), 0.8)], 1), "main"
    )
    return [handle, body, Part(ellipse(0, top + 0.05, wide * 0.9, r(0.05, 0.16)), "dark")]


def bottle(r: Span) -> list[Part]:
    wide, neck, start = r(0.2, 0.4), r(0.07, 0.14), r(-0.5, -0.1)
    body = Part(symmetric([(neck, -0.85), (neck, start - 0.15), (wide, start + 0.1), (wide, 0.95), (0, 0.95)]), "main")
    label = Part(box(-wide, start + 0.25, wide, r(0.55, 0.8)), "second")
    return [body, label, Part(box(-neck - 0.02, -0.98, neck + 0.02, -0.78, 0.02), "detail")]


def jar(r: Span) -> list[Part]:
    wide = r(0.4, 0.6)
    body = Part(symmetric([(wide * 0.8, -0.5), (wide, -0.3), (wide, 0.8), (0, 0.85)]), "main")
    return [
        body,
        Part(box(-wide, -0.1, wide, 0.5), "second"),
        Part(box(-wide * 0.88, -0.75, wide * 0.88, -0.42, 0.04), "metal"),
    ]


def vase(r: Span) -> list[Part]:
    lip, neck, belly = r(0.15, 0.4), r(0.1, 0.25), r(0.35, 0.65)
    return [
        Part(symmetric([(lip, -0.95), (neck, -0.6), (belly, r(-0.1, 0.4)), (r(0.2, 0.35), 0.9), (0, 0.95)], 2), "main"),
        Part(ellipse(0, -0.92, lip * 0.8, 0.05), "dark"),
    ]


def bowl(r: Span) -> list[Part]:
    wide, deep = r(0.75, 0.95), r(0.3, 0.7)
    body = Part(symmetric([(wide, -0.2), (wide * 0.85, deep * 0.6 - 0.1), (0.35, deep), (0, deep)], 1), "main")
    return [body, Part(ellipse(0, -0.2, wide, r(0.08, 0.25)), "second")]


def plate(r: Span) -> list[Part]:
    tilt = r(0.5, 1.0)
    return [
        Part(ellipse(0, 0, 0.95, 0.95 * tilt), "main"),
        Part(ellipse(0, 0, r(0.75, 0.85), 0.8 * tilt), "second"),
        Part(ellipse(0, 0, r(0.55, 0.66), 0.62 * tilt), "main"),
    ]


def teapot(r: Span) -> list[Part]:
    wide = r(0.45, 0.6)
    spout = Part(limb([(wide * 0.6, 0.3), (wide + 0.2, 0.1), (0.95, r(-0.4, -0.2))], [0.14, 0.09, 0.05]), "main")
    handle = Part(limb(arc(-wide, 0.1, r(0.25, 0.38), 0.25, 0.75, 1.1), 0.06), "second")
    body = Part(symmetric([(0.2, -0.4), (wide, -0.1), (wide, 0.5), (0.3, 0.75), (0, 0.75)], 2), "main")
    return [spout, handle, body, Part(ellipse(0, -0.38, 0.26, 0.1), "second"), Part(ellipse(0, -0.52, 0.07), "detail")]


def wine_glass(r: Span) -> list[Part]:
    wide, low = r(0.28, 0.48), r(-0.15, 0.15)
    return [
        Part(symmetric([(wide * 0.8, -0.95), (wide, low - 0.4), (0.05, low), (0.035, 0.8), (0.0, 0.8)], 1), "main"),
        Part(ellipse(0, 0.88, r(0.28, 0.42), 0.07), "main"),
        Part(rounded([(-wide * 0.9, low - 0.5), (wide * 0.9, low - 0.5), (0, low)], 1), "second"),
    ]


def pan(r: Span) -> list[Part]:
    turn, tilt = r(-0.6, 0.6), r(0.6, 1.0)
    handle = moved(box(0.3, -0.07, 1.4, 0.07, 0.06), -0.35, 0.0, 0.9, turn)
    return [
        Part(handle, "detail"),
        Part(ellipse(-0.35, 0, 0.58, 0.58 * tilt), "metal"),
        Part(ellipse(-0.35, 0, 0.48, 0.48 * tilt), "main"),
    ]


def knife(r: Span) -> list[Part]:
    turn, deep = r(-0.8, 0.8), r(0.1, 0.2)
    blade = rounded([(-0.2, -0.06), (0.7, -0.06), (0.98, 0.0), (0.6, deep), (-0.2, deep)], 1)
    return [Part(moved(blade, turn=turn), "metal"), Part(moved(box(-0.95, -0.08, -0.15, 0.1, 0.06), turn=turn), "main")]


def spoon(r: Span) -> list[Part]:
    turn = r(-1.5, 1.5)
    return [
        Part(moved(limb([(-0.95, 0), (0.4, 0)], [r(0.05, 0.09), 0.03]), turn=turn), "metal"),
        Part(moved(ellipse(0.62, 0, 0.34, r(0.16, 0.25)), turn=turn), "metal"),
    ]


def kettle(r: Span) -> list[Part]:
    handle = Part(limb(arc(0, -0.35, r(0.35, 0.5), 0.5, 1.0, r(0.9, 1.2)), 0.06), "detail")
    body = Part(symmetric([(0.25, -0.4), (0.5, 0.0), (r(0.6, 0.75), 0.75), (0, 0.8)], 1), "main")
    return [handle, Part(limb([(0.4, 0.2), (0.9, -0.2)], [0.12, 0.06]), "main"), body]


KINDS: tuple[Kind, ...] = (
    mug,
    bottle,
    jar,
    vase,
    bowl,
    plate,
    teapot,
    wine_glass,
    pan,
    knife,
    spoon,
    kettle,
)
