"""Electronics, jewellery, toys, tools and packages."""

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
    return [Part(box(-0.06, low, 0.06, 0.75), "metal"), Part(ellipse(0, 0.78, r(0.25, 0.45), 0.07), "metal"),
            Part(box(-0.97, -0.7, 0.97, low, 0.03), "main"), Part(box(-0.92, -0.65, 0.92, low - 0.06), "second")]  # fmt: skip


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
    return [top, Part(box(-0.95, -0.5, 0.95, 0.65, 0.1), "main"), Part(box(-0.95, -0.2, 0.95, 0.45), "second"),
            Part(ellipse(0, 0.1, lens), "dark"), Part(ellipse(0, 0.1, lens * 0.7), "metal"), Part(ellipse(0, 0.1, lens * 0.45), "dark")]  # fmt: skip


def speaker(r: Span) -> list[Part]:
    wide = r(0.4, 0.6)
    cones = [
        Part(ellipse(0, y, n * k), role)
        for y, n in ((0.4, 0.8 * wide), (-0.5, 0.5 * wide))
        for k, role in ((1, "second"), (0.6, "dark"))
    ]
    return [Part(box(-wide, -0.95, wide, 0.95, r(0, 0.15)), "main"), *cones]  # type: ignore[arg-type]


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
    return [Part(ellipse(0, 0.3, size), "metal"), Part(ellipse(0, 0.3, size * r(0.78, 0.9)), "cut"),
            Part(moved(rounded([(-1, 0), (-0.5, -0.7), (0.5, -0.7), (1, 0), (0, 1)], 0), 0, 0.25 - size, stone), "main")]  # fmt: skip


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
    return [Part(box(-wide + 0.05, -0.92, wide + 0.05, 0.97), "detail"), Part(box(-wide, -0.95, wide, 0.92), "main"), Part(box(-wide, -0.95, -wide + spine, 0.92), "dark"),
            Part(box(-wide + 0.25, r(-0.7, -0.4), wide - 0.15, r(-0.3, 0.1)), "second")]  # fmt: skip


def carton(r: Span) -> list[Part]:
    x, y = r(0.1, 0.4), r(0.15, 0.35)
    front = Part(box(-0.8, -0.8 + y, 0.8 - x, 0.85), "main")
    return [front, Part(rounded([(-0.8, -0.8 + y), (0.8 - x, -0.8 + y), (0.85, -0.85), (-0.8 + x, -0.85)], 0), "second"),
            Part(rounded([(0.8 - x, -0.8 + y), (0.85, -0.85), (0.85, 0.85 - y), (0.8 - x, 0.85)], 0), "dark")]  # fmt: skip


def can(r: Span) -> list[Part]:
    wide = r(0.35, 0.5)
    return [Part(rounded([(-wide, -0.85), (wide, -0.85), (wide, 0.85), (-wide, 0.85)], 1), "main"), Part(ellipse(0, -0.82, wide * 0.94, 0.1), "metal"),
            Part(box(-wide, -0.4, wide, r(0.2, 0.6)), "second")]  # fmt: skip


def tube(r: Span) -> list[Part]:
    wide = r(0.25, 0.42)
    return [Part(rounded([(-wide, -0.95), (wide, -0.95), (wide * 0.8, 0.6), (-wide * 0.8, 0.6)], 0), "main"), Part(box(-wide * 0.55, 0.58, wide * 0.55, 0.95, 0.03), "second"),
            Part(box(-wide * 0.7, -0.6, wide * 0.7, r(-0.2, 0.2)), "detail")]  # fmt: skip


def spray_bottle(r: Span) -> list[Part]:
    wide = r(0.3, 0.42)
    head = Part(
        rounded([(-0.25, -0.95), (0.2, -0.95), (0.5, -0.85), (0.5, -0.75), (0.1, -0.55), (-0.25, -0.6)], 0), "second"
    )
    return [Part(limb([(0.1, -0.6), (0.35, -0.3)], 0.04), "second"), head, Part(symmetric([(0.1, -0.6), (wide, -0.15), (wide, 0.9), (0, 0.95)]), "main"),
            Part(box(-wide * 0.9, 0.05, wide * 0.9, 0.65), "detail")]  # fmt: skip


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
        Part(ellipse(x, 0.35, n), role) for x in (-0.55, 0.55) for n, role in ((r(0.2, 0.26), "dark"), (0.1, "metal"))
    ]
    return [body, window, *wheels]  # type: ignore[list-item]


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
    frame = [Part(limb([a, b], 0.035), "main") for a, b in zip(joints, joints[1:], strict=False)]
    return [*wheels, *spokes, *frame, Part(limb([(-0.05, 0.35), (-0.25, -0.4)], 0.03), "main"), Part(limb([(0.35, -0.5), (0.55, 0.35)], 0.03), "main"),
            Part(box(-0.4, -0.48, -0.1, -0.4, 0.03), "dark"), Part(limb([(0.2, -0.52), (0.5, -0.55)], 0.03), "dark")]  # fmt: skip


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
    phone, laptop, monitor, headphones, camera, speaker, keyboard, watch, remote, glasses, finger_ring, necklace, earrings, book, carton,
    can, tube, spray_bottle, ball, toy_car, bear, guitar, bicycle, umbrella, scissors, hammer, racket, skateboard, gift,
)  # fmt: skip
