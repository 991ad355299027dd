"""Garments, footwear and bags: each kind is a function from random numbers to parts, back to front."""

from __future__ import annotations

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def _body(r: Span, length: float, waist: float, hem: float, shoulder: float) -> Part:
    neck, drop = r(0.14, 0.24), r(0.02, 0.08)
    points = [(neck, -0.8), (shoulder, -0.8 + drop), (shoulder - 0.02, -0.4), (waist, 0.0), (hem, length)]
    return Part(symmetric([*points, (0.0, length + r(0, 0.04))]), "main")


def _sleeves(r: Span, shoulder: float, reach: float, low: float, cuff: float) -> list[Part]:
    sleeve = rounded([
        (shoulder - 0.12, -0.76), (shoulder + 0.03, -0.74), (reach + cuff, low - cuff * 0.4), (reach - cuff, low + cuff * 0.5),
        (shoulder - 0.06, -0.3),
    ], 1)  # fmt: skip
    return both(sleeve, "main")


def _neck(r: Span, deep: float) -> Part:
    wide = r(0.13, 0.24)
    return Part(rounded([(-wide, -0.86), (wide, -0.86), (wide * 0.6, -0.8 + deep * 0.7), (0, -0.8 + deep),
                         (-wide * 0.6, -0.8 + deep * 0.7)], 1), "cut")  # fmt: skip


def tshirt(r: Span) -> list[Part]:
    shoulder, hem = r(0.42, 0.58), r(0.38, 0.6)
    parts = _sleeves(r, shoulder, r(0.72, 0.98), r(-0.42, -0.2), r(0.1, 0.18))
    return [*parts, _body(r, r(0.65, 0.95), hem - r(-0.04, 0.08), hem, shoulder), _neck(r, r(0.08, 0.3))]


def long_sleeve(r: Span) -> list[Part]:
    shoulder, hem = r(0.38, 0.52), r(0.36, 0.54)
    parts = _sleeves(r, shoulder, r(0.62, 0.98), r(0.2, 0.85), r(0.06, 0.12))
    return [*parts, _body(r, r(0.6, 0.9), hem - r(-0.02, 0.06), hem, shoulder), _neck(r, r(0.06, 0.22))]


def shirt(r: Span) -> list[Part]:
    shoulder, hem, long = r(0.4, 0.52), r(0.38, 0.52), r(0, 1) < 0.6
    reach, low = (r(0.62, 0.95), r(0.2, 0.8)) if long else (r(0.7, 0.92), r(-0.4, -0.15))
    length = r(0.65, 0.95)
    placket = Part(box(-0.035, -0.72, 0.035, length), "second")
    buttons = [Part(ellipse(0, y / 10, 0.022), "detail") for y in range(-6, int(length * 10), 2)]
    collar = both(rounded([(0.0, -0.66), (0.06, -0.9), (0.22, -0.86), (0.2, -0.62), (0.12, -0.55)], 0), "second")
    pocket = [Part(box(0.12, -0.4, 0.32, -0.15, 0.03), "second")] if r(0, 1) < 0.4 else []
    parts = _sleeves(r, shoulder, reach, low, r(0.07, 0.13))
    return [*parts, _body(r, length, hem, hem, shoulder), placket, *buttons, *pocket, *collar]


def jacket(r: Span) -> list[Part]:
    shoulder, hem, length = r(0.42, 0.56), r(0.42, 0.62), r(0.5, 1.0)
    parts = _sleeves(r, shoulder, r(0.66, 0.95), r(0.2, 0.8), r(0.09, 0.15))
    lapels = both(rounded([(0.0, r(-0.4, 0.1)), (0.08, -0.84), (0.26, -0.82), (r(0.2, 0.34), -0.5)], 0), "second")
    pockets = both(box(0.14, r(0.05, 0.3), 0.36, r(0.32, 0.42), 0.02), "second")
    zipper = Part(box(-0.015, -0.8, 0.015, length), "metal" if r(0, 1) < 0.5 else "detail")
    return [*parts, _body(r, length, hem - 0.03, hem, shoulder), *pockets, zipper, *lapels]


def hoodie(r: Span) -> list[Part]:
    shoulder, hem = r(0.42, 0.54), r(0.4, 0.54)
    hood = Part(symmetric([(0.0, -1.0), (0.22, -0.95), (0.3, -0.75), (0.2, -0.6), (0.0, -0.55)]), "main")
    inner = Part(ellipse(0, -0.76, 0.14, 0.15), "dark")
    pouch = Part(rounded([(-0.2, 0.2), (0.2, 0.2), (0.32, 0.5), (-0.32, 0.5)], 1), "second")
    body = _body(r, r(0.6, 0.8), hem, hem, shoulder)
    return [*_sleeves(r, shoulder, r(0.66, 0.95), r(0.3, 0.75), r(0.08, 0.12)), body, pouch, hood, inner]


def tank_top(r: Span) -> list[Part]:
    strap, hem, length = r(0.2, 0.36), r(0.34, 0.52), r(0.6, 0.9)
    body = symmetric(
        [(strap, -0.85), (strap + 0.1, -0.85), (strap + 0.08, -0.5), (0.44, -0.25), (hem, length), (0, length)]
    )
    return [Part(body, "main"), Part(symmetric([(strap, -0.95), (strap * 0.9, -0.6), (0.0, r(-0.55, -0.3))]), "cut")]


def dress(r: Span) -> list[Part]:
    shoulder, waist, hem, length = r(0.24, 0.4), r(0.18, 0.32), r(0.3, 0.75), r(0.5, 1.0)
    skirt = [(waist, -0.15), ((waist + hem) / 2 + r(0, 0.1), 0.3), (hem, length), (0.0, length + r(0, 0.05))]
    body = Part(symmetric([(0.12, -0.95), (shoulder, -0.9), (shoulder + 0.02, -0.6), *skirt]), "main")
    sleeves = _sleeves(r, shoulder + 0.04, r(0.45, 0.75), r(-0.55, 0.3), r(0.07, 0.13)) if r(0, 1) < 0.5 else []
    belt = [Part(box(-waist - 0.03, -0.2, waist + 0.03, -0.1, 0.02), "second")] if r(0, 1) < 0.4 else []
    return [*sleeves, body, *belt, Part(symmetric([(0.13, -1.0), (0.1, -0.85), (0.0, r(-0.85, -0.6))]), "cut")]


def skirt(r: Span) -> list[Part]:
    waist, hem, length = r(0.25, 0.45), r(0.45, 0.95), r(0.2, 0.95)
    body = Part(
        symmetric([(waist, -0.7), ((waist + hem) / 2 + r(0, 0.12), -0.1), (hem, length), (0, length + r(0, 0.08))]),
        "main",
    )
    pleats = [Part(limb([(waist * p, -0.62), (hem * p, length)], 0.012), "dark") for p in (-0.7, -0.35, 0, 0.35, 0.7)]
    band = Part(box(-waist, -0.76, waist, -0.62, 0.02), "second")
    return [body, *(pleats if r(0, 1) < 0.4 else []), band]


def _legs(r: Span, length: float, cuff: float, spread: float) -> list[Part]:
    waist, rise = r(0.26, 0.4), r(-0.35, -0.1)
    leg = [
        (0.0, -0.9),
        (waist, -0.9),
        (waist + r(0.02, 0.12), rise - 0.2),
        (spread + cuff, length),
        (spread - cuff, length),
        (0.02, rise),
    ]
    return [*both(rounded(leg, 1), "main"), Part(box(-waist, -0.95, waist, -0.83, 0.02), "second")]


def trousers(r: Span) -> list[Part]:
    cuff = r(0.08, 0.22)
    parts = _legs(r, r(0.8, 1.0), cuff, r(cuff + 0.02, 0.42))
    pockets = both(limb([(0.12, -0.8), (0.3, -0.6)], 0.012), "dark")
    return [*parts, *pockets, Part(limb([(0, -0.9), (0, -0.4)], 0.012), "dark")]


def shorts(r: Span) -> list[Part]:
    cuff = r(0.2, 0.34)
    parts = _legs(r, r(0.0, 0.45), cuff, r(cuff + 0.03, 0.5))
    scaled = [Part(moved(p.outline, 0, 0.25, 1.15), p.role) for p in parts]
    return [*scaled, Part(limb([(0, -0.75), (0, -0.2)], 0.012), "dark")]


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
    upper = rounded([(-0.9, heel), (-0.6, heel - r(0, 0.12)), (-0.35, heel + 0.02), (0.1, toe - 0.08), (0.7, toe + 0.06),
                     (0.95, 0.25), (0.9, 0.38), (-0.9, 0.38)], 1)  # fmt: skip
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
    upper = rounded([(-0.85, lift - 0.2), (-0.6, lift - 0.1), (-0.2, lift + 0.25), (0.4, 0.4), (0.95, 0.6), (0.9, 0.7), (0.3, 0.68),
                     (-0.3, lift + 0.5), (-0.8, lift + 0.25)], 1)  # fmt: skip
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
    tshirt, long_sleeve, shirt, jacket, hoodie, tank_top, dress, skirt, trousers, shorts, brimmed_hat, cap, beanie, shoe, shoe_pair,
    boot, high_heel, sandal, sock, scarf, necktie, belt, tote, handbag, backpack, glove,
)  # fmt: skip
