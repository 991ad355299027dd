"""Draws hats, footwear, bags and other accessories."""

from __future__ import annotations

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def brimmed_hat(r: Span) -> list[Part]:
    wide, tall, low = r(0.42, 0.6), r(0.4, 0.85), r(0.1, 0.25)
    brim = Part(ellipse(0, 0.3, r(0.8, 1.0), low), "main")
    crown = Part(
        symmetric([(0.0, 0.3 - tall + r(0, 0.15)), (wide * 0.6, 0.3 - tall), (wide, 0.2), (wide, 0.32), (0, 0.38)]),
        "main",
    )
    band = Part(rounded([(-wide, 0.14), (wide, 0.14), (wide, 0.3), (0, 0.37), (-wide, 0.3)], 0), "second")
    return [brim, crown, band]


def cap(r: Span) -> list[Part]:
    top = r(-0.6, -0.35)
    crown = Part(rounded([(-0.7, 0.2), (-0.66, top + 0.2), (-0.25, top), (0.2, top + 0.1), (0.4, 0.2)], 2), "main")
    peak = Part(
        rounded([(0.15, 0.12), (0.6, r(0.1, 0.2)), (r(0.9, 1.0), r(0.22, 0.4)), (0.5, 0.32), (0.2, 0.26)], 1), "second"
    )
    return [peak, crown, Part(ellipse(-0.2, top + 0.08, 0.05, 0.03), "detail")]


def beanie(r: Span) -> list[Part]:
    wide, tall = r(0.5, 0.7), r(0.6, 0.95)
    dome = Part(symmetric([(0.0, 0.4 - tall), (wide * 0.7, 0.5 - tall), (wide, 0.1), (wide, 0.4), (0, 0.4)], 2), "main")
    cuff = Part(box(-wide - 0.02, 0.2, wide + 0.02, 0.55, 0.08), "second")
    pom = [Part(ellipse(0, 0.35 - tall, r(0.1, 0.2)), "second")] if r(0, 1) < 0.5 else []
    return [*pom, dome, cuff]


def shoe(r: Span) -> list[Part]:
    heel, toe = r(-0.4, -0.2), r(0.0, 0.15)
    upper = rounded(
        [
            (-0.9, heel),
            (-0.6, heel - r(0, 0.12)),
            (-0.35, heel + 0.02),
            (0.1, toe - 0.08),
            (0.7, toe + 0.06),
            (0.95, 0.25),
            (0.9, 0.38),
            (-0.9, 0.38),
        ],
        1,
    )
    sole = box(-0.94, 0.32, 0.96, r(0.4, 0.55), 0.06)
    laces = [
        Part(limb([(-0.3 + 0.14 * i, heel + 0.07 * i), (-0.2 + 0.14 * i, heel + 0.22 + 0.05 * i)], 0.02), "detail")
        for i in range(4)
    ]
    swoosh = [Part(rounded([(-0.4, 0.25), (0.0, r(0, 0.2)), (0.45, 0.12), (0.0, 0.3)], 1), "second")]
    return [
        Part(sole, "second"),
        Part(upper, "main"),
        *(swoosh if r(0, 1) < 0.5 else []),
        *(laces if r(0, 1) < 0.7 else []),
    ]


def shoe_pair(r: Span) -> list[Part]:
    """Seen from above, side by side."""
    wide = r(0.2, 0.3)
    top = rounded(
        [
            (0.05, -0.5),
            (0.1, -0.9),
            (0.1 + wide * 1.4, -0.9),
            (0.2 + wide * 1.7, -0.3),
            (0.05 + wide * 1.8, 0.85),
            (0.08, 0.85),
        ],
        2,
    )
    opening = ellipse(0.1 + wide * 0.85, 0.45, wide * 0.55, 0.32)
    laces = [
        p for i in range(4) for p in both(box(0.16, -0.35 + i * 0.13, 0.1 + wide * 1.3, -0.3 + i * 0.13), "detail")
    ]
    return [*both(top, "main"), *both(opening, "dark"), *(laces if r(0, 1) < 0.6 else [])]


def boot(r: Span) -> list[Part]:
    top, shaft = r(-0.95, -0.4), r(0.22, 0.34)
    upper = rounded(
        [(-0.6, top), (-0.6 + 2 * shaft, top), (-0.5 + 2 * shaft, 0.2), (0.75, 0.45), (0.8, 0.72), (-0.65, 0.72)], 1
    )
    return [
        Part(box(-0.68, 0.66, 0.84, r(0.78, 0.92), 0.04), "dark"),
        Part(upper, "main"),
        Part(box(-0.6, top, -0.6 + 2 * shaft, top + 0.1), "second"),
    ]


def high_heel(r: Span) -> list[Part]:
    lift = r(-0.35, 0.0)
    upper = rounded(
        [
            (-0.85, lift - 0.2),
            (-0.6, lift - 0.1),
            (-0.2, lift + 0.25),
            (0.4, 0.4),
            (0.95, 0.6),
            (0.9, 0.7),
            (0.3, 0.68),
            (-0.3, lift + 0.5),
            (-0.8, lift + 0.25),
        ],
        1,
    )
    return [
        Part(limb([(-0.75, lift + 0.15), (-0.8, 0.7)], [r(0.07, 0.14), r(0.02, 0.1)]), "second"),
        Part(upper, "main"),
    ]


def sandal(r: Span) -> list[Part]:
    sole = Part(rounded([(-0.95, 0.3), (-0.5, 0.2), (0.5, 0.22), (0.95, 0.35), (0.9, 0.5), (-0.9, 0.5)], 1), "second")
    straps = [Part(limb(arc(x, 0.3, r(0.22, 0.4), 0.5, 1.0), r(0.04, 0.09)), "main") for x in (-0.5, 0.3)]
    return [sole, *straps]


def sock(r: Span) -> list[Part]:
    leg = rounded(
        [(-0.4, -0.9), (0.0, -0.9), (0.02, 0.2), (0.6, 0.45), (0.65, 0.75), (0.3, 0.82), (-0.35, 0.7), (-0.42, 0.3)], 2
    )
    return [Part(leg, "main"), Part(box(-0.42, -0.92, 0.02, r(-0.8, -0.65)), "second")]


def scarf(r: Span) -> list[Part]:
    loop = Part(limb(arc(0, -0.4, r(0.35, 0.5), 0, 1, 0.8), r(0.13, 0.2)), "main")
    ends = [
        Part(limb([(x * 0.3, -0.2), (x, 0.4), (x * 1.1, 0.95)], r(0.12, 0.2)), "main")
        for x in (r(-0.35, -0.15), r(0.1, 0.35))
    ]
    return [*ends, loop]


def necktie(r: Span) -> list[Part]:
    wide = r(0.14, 0.26)
    knot = Part(rounded([(-0.12, -0.95), (0.12, -0.95), (0.07, -0.72), (-0.07, -0.72)], 0), "main")
    return [Part(symmetric([(0.06, -0.74), (wide, 0.65), (0.0, 0.95)], 0), "main"), knot]


def belt(r: Span) -> list[Part]:
    strap = Part(limb(arc(0, 0, r(0.7, 0.9), 0.05, 0.98, r(0.3, 0.9)), r(0.05, 0.1)), "main")
    return [strap, Part(box(0.65, -0.14, 0.95, 0.14, 0.05), "metal"), Part(box(0.72, -0.07, 0.88, 0.07, 0.02), "cut")]


def tote(r: Span) -> list[Part]:
    wide, top = r(0.5, 0.75), r(-0.35, -0.05)
    handle = Part(limb(arc(0, top, r(0.25, 0.42), 0.5, 1.0, r(0.9, 1.7)), r(0.03, 0.06)), "second")
    return [
        handle,
        Part(rounded([(-wide, top), (wide, top), (wide * r(0.85, 1.1), 0.9), (-wide * 0.95, 0.9)], 1), "main"),
    ]


def handbag(r: Span) -> list[Part]:
    wide, top = r(0.6, 0.9), r(-0.3, 0.0)
    handle = Part(limb(arc(0, top, r(0.3, 0.5), 0.5, 1.0, r(0.8, 1.4)), r(0.03, 0.07)), "second")
    body = Part(rounded([(-wide * 0.85, top), (wide * 0.85, top), (wide, 0.75), (-wide, 0.75)], 2), "main")
    flap = Part(
        rounded([(-wide * 0.8, top), (wide * 0.8, top), (wide * 0.7, top + r(0.2, 0.45)), (-wide * 0.7, top + 0.3)], 1),
        "second",
    )
    return [
        handle,
        body,
        *([flap] if r(0, 1) < 0.6 else []),
        Part(box(-0.08, top + 0.25, 0.08, top + 0.38, 0.02), "metal"),
    ]


def backpack(r: Span) -> list[Part]:
    wide = r(0.42, 0.6)
    body = Part(symmetric([(0.0, -0.85), (wide * 0.8, -0.75), (wide, 0.0), (wide, 0.85), (0, 0.88)], 2), "main")
    pocket = Part(box(-wide * 0.75, r(0.05, 0.25), wide * 0.75, 0.75, 0.12), "second")
    return [
        Part(limb(arc(0, -0.8, 0.16, 0.5, 1.0), 0.035), "second"),
        body,
        pocket,
        Part(limb([(-wide * 0.7, -0.2), (wide * 0.7, -0.2)], 0.015), "metal"),
    ]


def glove(r: Span) -> list[Part]:
    fingers = [
        Part(limb([(x, 0.1), (x * 1.3, r(-0.95, -0.6))], r(0.09, 0.12)), "main") for x in (-0.36, -0.12, 0.12, 0.36)
    ]
    thumb = Part(limb([(0.35, 0.4), (0.8, r(-0.1, 0.2))], 0.12), "main")
    return [
        thumb,
        *fingers,
        Part(rounded([(-0.48, -0.1), (0.48, -0.1), (0.42, 0.95), (-0.42, 0.95)], 1), "main"),
        Part(box(-0.42, 0.72, 0.42, 0.95), "second"),
    ]


KINDS: tuple[Kind, ...] = (
    brimmed_hat,
    cap,
    beanie,
    shoe,
    shoe_pair,
    boot,
    high_heel,
    sandal,
    sock,
    scarf,
    necktie,
    belt,
    tote,
    handbag,
    backpack,
    glove,
)
