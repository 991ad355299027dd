"""Groceries: fruit and vegetables as they lie in a shop, and packages with labels."""

from __future__ import annotations

import numpy as np

from service.encoder.builtin.generator.outlines import arc, box, ellipse, limb, moved, rounded, symmetric
from service.encoder.builtin.generator.parts import Kind, Part, Role, Span


def apple(r: Span) -> list[Part]:
    wide, high = r(0.7, 0.95), r(0.7, 0.9)
    body = [(0.0, -high + r(0.1, 0.25)), (wide * 0.45, -high), (wide, -0.25), (wide * 0.8, 0.5)]
    parts = [
        Part(symmetric([*body, (wide * 0.35, high), (0.0, high - 0.08)], 2), "main"),
        Part(limb([(0, -high + 0.2), (r(-0.1, 0.15), -high - 0.05)], 0.03), "dark"),
    ]
    if r(0, 1) < 0.4:
        leaf = rounded([(0.05, -high), (0.3, -high - 0.1), (0.45, -high + 0.05), (0.25, -high + 0.12)], 1)
        parts.append(Part(leaf, "second"))
    return parts


def pear(r: Span) -> list[Part]:
    wide = r(0.45, 0.65)
    body = [(0.0, -0.8), (r(0.16, 0.26), -0.7), (r(0.2, 0.34), -0.2), (wide, 0.3), (wide * 0.8, 0.8), (0, 0.9)]
    return [Part(symmetric(body, 2), "main"), Part(limb([(0, -0.75), (r(-0.1, 0.1), -0.97)], 0.03), "dark")]


def banana(r: Span) -> list[Part]:
    """One to four of them."""
    parts = []
    for number in range(int(r(1, 5))):
        bow = arc(0.1 * number, -0.6 + 0.16 * number, r(0.75, 0.9), 0.05, r(0.4, 0.5), r(0.8, 1.0))
        widths = r(0.13, 0.2) * np.sin(np.linspace(0.25, np.pi - 0.2, len(bow))) ** 0.5
        parts += [
            Part(limb(bow, widths.tolist()), "main" if number % 2 == 0 else "second"),
            Part(ellipse(bow[0, 0], bow[0, 1], 0.05), "dark"),
        ]
    return parts


def citrus(r: Span) -> list[Part]:
    wide, high = r(0.75, 0.95), r(0.65, 0.95)
    tip = [Part(ellipse(wide * 0.95, 0, 0.12, 0.1), "main")] if r(0, 1) < 0.3 else []
    end = Part(ellipse(r(-0.3, 0.3), -high * 0.7, 0.07), "dark")
    return [*tip, Part(ellipse(0, 0, wide, high), "main"), end]


def carrot(r: Span) -> list[Part]:
    """One to five, with leaves."""
    count, wide = int(r(1, 6)), r(0.12, 0.3)
    roots = []
    for x in (np.arange(count) - (count - 1) / 2) * wide * 1.3:
        top = [(x - wide, -0.35), (x, -0.45), (x + wide, -0.35)]
        tip = [(x * 0.6 + wide * 0.3, 0.5), (x * 0.5, 0.95), (x * 0.6 - wide * 0.3, 0.5)]
        roots.append(Part(rounded([*top, *tip], 2), "main"))
    ends = np.linspace(-0.45, 0.45, int(r(3, 8)))
    return [*(Part(limb([(0, -0.35), (x, -0.95)], [0.05, r(0.05, 0.12)]), "second") for x in ends), *roots]


def sweet_pepper(r: Span) -> list[Part]:
    wide, count = r(0.55, 0.8), int(r(2, 5))
    places = np.linspace(-wide * 0.5, wide * 0.5, count)
    lobes = [Part(ellipse(x, r(0.05, 0.2), wide * 0.55, r(0.65, 0.8)), "main") for x in places]
    return [*lobes, Part(limb([(0, -0.5), (r(-0.15, 0.15), -0.95)], [0.16, 0.07]), "second")]


def tomato(r: Span) -> list[Part]:
    wide, high = r(0.75, 0.95), r(0.6, 0.85)
    star = [
        Part(limb([(0, -high * 0.75), (np.cos(t) * 0.35, -high * 0.75 + np.sin(t) * 0.2)], [0.07, 0.02]), "second")
        for t in np.arange(5) * 1.257 + r(0, 1)
    ]
    return [Part(ellipse(0, 0.05, wide, high), "main"), *star]


def grapes(r: Span) -> list[Part]:
    size, rows = r(0.15, 0.22), int(r(4, 7))
    parts = [Part(limb([(0, -0.5), (r(-0.2, 0.2), -0.97)], 0.04), "dark")]
    for row in range(rows):
        for place in range(rows - row):
            role: Role = "main" if (place + row) % 3 else "second"
            x = (place - (rows - row - 1) / 2) * size * 1.7
            parts.append(Part(ellipse(x, -0.55 + row * size * 1.5, size), role))
    return parts


def mushroom(r: Span) -> list[Part]:
    wide, stem = r(0.6, 0.95), r(0.16, 0.35)
    cap = [(0, -0.8), (wide * 0.7, -0.6), (wide, -0.05), (wide * 0.8, 0.08), (0, 0.02)]
    foot = [(stem, -0.1), (stem * r(0.8, 1.3), 0.85), (0, 0.9)]
    return [Part(symmetric(foot, 1), "second"), Part(symmetric(cap, 2), "main")]


def cabbage(r: Span) -> list[Part]:
    parts = [Part(ellipse(0, 0, 0.92, r(0.8, 0.92)), "main")]
    for number in range(int(r(4, 9))):
        angle, away = r(0, 6.28), r(0.3, 0.75)
        x, y = away * np.cos(angle), away * np.sin(angle)
        leaf = rounded([(-0.5, 0), (0, -0.35), (0.5, 0), (0.1, 0.2), (-0.1, 0.2)], 2)
        role: Role = "second" if number % 2 else "main"
        parts += [
            Part(moved(leaf, x * 0.6, y * 0.6, r(0.5, 1.0), angle), role),
            Part(limb([(0, 0), (x, y)], [0.04, 0.01]), "detail"),
        ]
    return parts


def potato(r: Span) -> list[Part]:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    waves = ((2, r(0.02, 0.12)), (3, r(0.02, 0.1)), (5, r(0, 0.05)))
    radius = 1 + sum(depth * np.sin(times * t + r(0, 6)) for times, depth in waves)
    spots = [Part(ellipse(r(-0.5, 0.5), r(-0.35, 0.35), r(0.015, 0.05)), "dark") for _ in range(int(r(0, 7)))]
    body = np.stack([0.85 * radius * np.cos(t), r(0.5, 0.85) * radius * np.sin(t)], 1)
    return [Part(body, "main"), *spots]


def cucumber(r: Span) -> list[Part]:
    wide, bend = r(0.14, 0.28), r(-0.35, 0.35)
    along = np.linspace(-1, 1, 15)
    line = np.stack([bend * (1 - along**2), 0.85 * along], 1)
    widths = wide * np.clip(np.sin(np.linspace(0.12, np.pi - 0.12, 15)), 0, 1) ** 0.35
    return [Part(limb(line, widths.tolist()), "main"), Part(limb([line[0], line[0] + [0, -0.12]], 0.05), "dark")]


def gable_carton(r: Span) -> list[Part]:
    wide, top, label = r(0.35, 0.52), r(-0.6, -0.4), r(0.0, 0.35)
    roof = rounded([(-wide * 0.95, -0.8), (wide * 0.95, -0.8), (wide, top), (-wide, top)], 0)
    parts = [
        Part(box(-wide, top, wide, 0.95), "main"),
        Part(roof, "second"),
        Part(box(-wide * 0.95, -0.95, wide * 0.95, -0.8), "main"),
        Part(box(-wide, label, wide, label + r(0.15, 0.5)), "second"),
    ]
    if r(0, 1) < 0.6:
        parts.append(Part(ellipse(r(-0.1, 0.1), label - 0.1, r(0.12, 0.25)), "detail"))
    if r(0, 1) < 0.6:
        parts.append(Part(box(-0.12, top + 0.02, 0.12, top + 0.22, 0.05), "metal"))
    return parts


def brick_carton(r: Span) -> list[Part]:
    wide, high, band = r(0.4, 0.7), r(0.6, 0.95), r(-0.6, 0.4)
    parts = [
        Part(box(-wide, -high, wide, high, 0.02), "main"),
        Part(box(-wide, high * band, wide, high * (band + r(0.15, 0.5))), "second"),
    ]
    if r(0, 1) < 0.6:
        parts.append(Part(ellipse(r(-0.2, 0.2), r(-0.4, 0.4), r(0.15, 0.3), r(0.1, 0.3)), "detail"))
    if r(0, 1) < 0.5:
        parts.append(Part(box(-wide * 0.8, -high * 0.9, wide * r(0.2, 0.8), -high * r(0.7, 0.8)), "dark"))
    return parts


def dessert_cup(r: Span) -> list[Part]:
    wide, low, top = r(0.5, 0.8), r(0.7, 0.92), r(-0.5, -0.2)
    label = symmetric([(wide * 0.97, top + r(0.15, 0.3)), (wide * (low + 0.03), r(0.4, 0.65)), (0, 0.55)], 0)
    parts = [
        Part(symmetric([(wide, top), (wide * low, 0.8), (0, 0.82)], 0), "main"),
        Part(box(-wide - 0.06, top - 0.1, wide + 0.06, top, 0.03), "second"),
        Part(label, "second" if r(0, 1) < 0.5 else "detail"),
    ]
    return parts + ([Part(ellipse(0, 0.2, r(0.12, 0.3)), "detail")] if r(0, 1) < 0.6 else [])


def pouch(r: Span) -> list[Part]:
    wide, high = r(0.5, 0.75), r(0.75, 0.95)
    top = [(-wide, -high), (0, -high + 0.05), (wide, -high), (wide * r(0.88, 1), 0)]
    bottom = [(wide, high), (0, high - 0.05), (-wide, high), (-wide * r(0.88, 1), 0)]
    parts = [
        Part(rounded([*top, *bottom], 1), "main"),
        Part(box(-wide, -high, wide, -high + 0.1), "metal"),
        Part(ellipse(0, r(-0.2, 0.2), wide * r(0.5, 0.85), r(0.25, 0.5)), "second"),
    ]
    if r(0, 1) < 0.6:
        parts.append(Part(box(-wide * 0.6, r(-0.6, -0.4), wide * 0.6, r(-0.35, -0.2)), "detail"))
    return parts


def juice_bottle(r: Span) -> list[Part]:
    wide, neck, shoulder = r(0.3, 0.45), r(0.12, 0.2), r(-0.6, -0.3)
    body = [(neck, -0.85), (neck, shoulder - 0.1), (wide, shoulder + 0.15), (wide * r(0.8, 1), 0.2)]
    parts = [
        Part(symmetric([*body, (wide, 0.9), (0, 0.95)], 1), "main"),
        Part(box(-neck - 0.04, -0.97, neck + 0.04, -0.75, 0.03), "second"),
        Part(box(-wide, r(-0.1, 0.1), wide, r(0.4, 0.7)), "detail"),
    ]
    if r(0, 1) < 0.5:
        parts.append(Part(ellipse(0, r(0.2, 0.3), wide * 0.5, wide * 0.4), "second"))
    return parts


def fruit_tray(r: Span) -> list[Part]:
    """A tray with two rows of fruit."""
    wide, high, count = r(0.7, 0.95), r(0.5, 0.75), int(r(2, 5))
    size = wide / count * 0.9
    fruit = [
        Part(ellipse(-wide + (2 * k + 1) * wide / count, (row - 0.5) * high, size, min(size, high * 0.45)), "second")
        for k in range(count)
        for row in (0, 1)
    ]
    inside = box(-wide + 0.07, -high + 0.07, wide - 0.07, high - 0.07, 0.08)
    return [Part(box(-wide, -high, wide, high, 0.1), "main"), Part(inside, "dark"), *fruit]


def strawberry(r: Span) -> list[Part]:
    wide = r(0.55, 0.75)
    seeds = [
        Part(ellipse(x * wide * 0.8, y, 0.03, 0.045), "detail")
        for y in np.linspace(-0.35, 0.5, 4)
        for x in np.linspace(-0.6, 0.6, 4) * (0.75 - y * 0.5)
    ]
    crown = [
        Part(limb([(0, -0.5), (0.5 * np.cos(t), -0.55 + 0.3 * np.sin(t))], [0.1, 0.02]), "second")
        for t in np.arange(6) * 1.05
    ]
    body = [(0, -0.6), (wide, -0.4), (wide * 0.75, 0.3), (0.1, 0.9), (0, 0.92)]
    return [Part(symmetric(body, 2), "main"), *seeds, *crown]


KINDS: tuple[Kind, ...] = (
    apple, pear, banana, citrus, carrot, sweet_pepper, tomato, grapes, mushroom, cabbage, potato, cucumber,
    gable_carton, brick_carton, dessert_cup, pouch, juice_bottle, fruit_tray, strawberry,
)  # fmt: skip
