"""Draws garments. Each kind is a function from random numbers to parts, back to front."""

from __future__ import annotations

from service.encoder.builtin.generator.outlines import box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Span, both


def _body(r: Span, length: float, waist: float, hem: float, shoulder: float) -> Part:
    neck, drop = r(0.14, 0.24), r(0.02, 0.08)
    points = [(neck, -0.8), (shoulder, -0.8 + drop), (shoulder - 0.02, -0.4), (waist, 0.0), (hem, length)]
    return Part(symmetric([*points, (0.0, length + r(0, 0.04))]), "main")


def _sleeves(r: Span, shoulder: float, reach: float, low: float, cuff: float) -> list[Part]:
    sleeve = rounded(
        [
            (shoulder - 0.12, -0.76),
            (shoulder + 0.03, -0.74),
            (reach + cuff, low - cuff * 0.4),
            (reach - cuff, low + cuff * 0.5),
            (shoulder - 0.06, -0.3),
        ],
        1,
    )
    return both(sleeve, "main")


def _neck(r: Span, deep: float) -> Part:
    wide = r(0.13, 0.24)
    return Part(
        rounded(
            [
                (-wide, -0.86),
                (wide, -0.86),
                (wide * 0.6, -0.8 + deep * 0.7),
                (0, -0.8 + deep),
                (-wide * 0.6, -0.8 + deep * 0.7),
            ],
            1,
        ),
        "cut",
    )


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


KINDS: tuple[Kind, ...] = (tshirt, long_sleeve, shirt, jacket, hoodie, tank_top, dress, skirt, trousers, shorts)
