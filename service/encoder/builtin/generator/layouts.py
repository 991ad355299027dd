"""Where goods are in a drawn scene: alone, scattered, on shelves, or in a heap. Numbers only; others draw them.

Coordinates are fractions of a square picture: x to the right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.materials import colour

Rng = np.random.Generator
MOST_GOODS: Final = 12
MOST_CARDS: Final = 8


class Good(NamedTuple):
    """One good of a scene.

    - x, y: the centre of its outline's box; `size`: the longest side of that box before the matrix; 0 for no good.
    - m00..m11: a 2 x 2 matrix about as large as 1, which turns, stretches, skews and mirrors.
    - standing: 1 where y is the lower edge, 0 where it is the centre.
    - thing: goods of a scene with the same number are the same thing.
    - shadow: how dark, 0..1.
    """

    x: float
    y: float
    size: float
    m00: float
    m01: float
    m10: float
    m11: float
    standing: float
    thing: float
    shadow: float


class Affine(NamedTuple):
    """From the layer of a thing (-1..1) to the picture: x' = a x + b y + dx, y' = c x + d y + dy. Numbers or arrays."""

    a: Any
    b: Any
    c: Any
    d: Any
    dx: Any
    dy: Any


@dataclass(frozen=True)
class Layout:
    """A scene without its looks.

    - goods: float32 (MOST_GOODS, 10), rows of `Good` from back to front; the rest is 0.
    - cards: float32 (MOST_CARDS, 7), left, top, right, bottom, red, green, blue; behind the goods; the rest is 0.
    - white: whether the background is that of a catalogue.
    """

    goods: NDArray[np.float32]
    cards: NDArray[np.float32]
    white: bool


def any_layout(rng: Rng) -> Layout:
    """A layout of any kind, in a picture of any aspect that was stretched to a square."""
    kind = rng.random()
    cards: list[list[float]] = []
    white = rng.random() < 0.12
    if kind < 0.08:
        goods: list[Good] = []
    elif kind < 0.22:
        goods, white = [_alone(rng, 0.6, 0.98, 0.04)], True
    elif kind < 0.42:
        goods, white = [_alone(rng, 0.3, 1.2, 0.16)], False
    elif kind < 0.67:
        goods = _scattered(rng)
    elif kind < 0.88:
        goods, cards = _shelf(rng)
        white = white and rng.random() < 0.3
    else:
        goods = _heap(rng)
    if not white and rng.random() < 0.12:
        cards += [_card(rng) for _ in range(rng.integers(1, 4))]
    return Layout(_rows(_stretched(rng, goods), MOST_GOODS, 10), _rows(cards, MOST_CARDS, 7), white)


def placed(goods: Any, bounds: Any) -> Affine:
    """The affine maps of goods.

    goods: (..., 10), as in `Layout`; bounds: (..., 4), the centre (x, y) and half lengths of the things' outlines in
    their layers. NumPy arrays or tensors.
    """
    x, y, size, m00, m01, m10, m11, standing, _, _ = (goods[..., n] for n in range(10))
    middle_x, middle_y, wide, high = (bounds[..., n] for n in range(4))
    scale = size / (wide + high + abs(wide - high))  # twice the longer one
    a, b, c, d = (m * scale for m in (m00, m01, m10, m11))
    centre_y = y - standing * high * abs(d)
    return Affine(a, b, c, d, x - a * middle_x - b * middle_y, centre_y - c * middle_x - d * middle_y)


def _alone(rng: Rng, least: float, most: float, astray: float) -> Good:
    x, y = 0.5 + rng.normal(0, astray, 2)
    return _good(rng, x, y, float(rng.uniform(least, most)), 0)


def _scattered(rng: Rng) -> list[Good]:
    """2 to 8 goods that overlap little."""
    goods: list[Good] = []
    largest = float(rng.uniform(0.2, 0.55))
    same = rng.random() < 0.2
    for number in range(int(rng.integers(2, 9))):
        size = largest * float(rng.uniform(0.5, 1.0))
        for _ in range(8):
            x, y = rng.uniform(0.02 + size / 3, 0.98 - size / 3, 2)
            if all(max(abs(x - g.x), abs(y - g.y)) > 0.42 * (size + g.size) for g in goods):
                goods.append(_good(rng, x, y, size, 0 if same else number))
                break
    return goods


def _shelf(rng: Rng) -> tuple[list[Good], list[list[float]]]:
    """Rows of goods that stand on boards, often several of a kind, with price tags below."""
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    columns = min(columns, MOST_GOODS // rows)
    pitch = float(rng.uniform(0.75, 1.15)) / columns
    size = min(pitch * float(rng.uniform(0.8, 1.15)), 0.95 / rows)
    start = float(rng.normal(0.5 - pitch * (columns - 1) / 2, 0.06))
    bottom, ink, tag = float(rng.uniform(0.8, 1.0)), colour(rng).tolist(), colour(rng).tolist()
    goods, cards = [], []
    for row in range(rows):
        y = bottom - (rows - 1 - row) * float(min(1.05 * size + 0.04, 0.95 / rows + 0.05))
        if rng.random() < 0.8:
            cards.append([0, y - 0.01, 1, y + float(rng.uniform(0.01, 0.06)), *ink])
        sort = int(rng.integers(0, 100))
        for column in range(columns):
            if rng.random() < 0.4:
                sort += 1
            if rng.random() < 0.08:
                continue
            x = start + pitch * column + float(rng.normal(0, 0.02))
            goods.append(
                _good(rng, x, y, size * float(rng.uniform(0.85, 1.05)), sort % MOST_GOODS, turn=0.03)._replace(
                    standing=1
                )
            )
            if rng.random() < 0.15 and len(cards) < MOST_CARDS:
                cards.append([x - 0.05, y, x + 0.05, y + 0.05, *tag])
    return goods, cards


def _heap(rng: Rng) -> list[Good]:
    """2 to 8 of one good that overlap."""
    size, reach = float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.12, 0.28))
    middle = 0.5 + rng.normal(0, 0.06, 2)
    places = middle + rng.normal(0, reach, (int(rng.integers(2, 9)), 2))
    return [_good(rng, x, y, size * float(rng.uniform(0.85, 1.1)), 0, turn=0.6) for x, y in places]


def _good(rng: Rng, x: float, y: float, size: float, thing: int, turn: float = 0.0) -> Good:
    angle = rng.normal(0, turn or 0.16)
    if not turn and rng.random() < 0.1:
        angle = rng.uniform(0, 2 * np.pi)
    stretch, skew = np.exp(rng.normal(0, 0.1)), rng.normal(0, 0.06)
    mirrored = -1 if rng.random() < 0.3 else 1
    shape = np.array([[mirrored * stretch, skew], [0, 1 / stretch]])
    c, s = np.cos(angle), np.sin(angle)
    (m00, m01), (m10, m11) = np.array([[c, -s], [s, c]]) @ shape
    shadow = rng.uniform(0.1, 0.6) if rng.random() < 0.4 else 0.0
    return Good(*(float(v) for v in (x, y, size, m00, m01, m10, m11, 0, thing, shadow)))


def _card(rng: Rng) -> list[float]:
    """A plain rectangle that is no good: a poster, a tag, a door."""
    x, y = rng.uniform(-0.1, 0.9, 2)
    wide, high = rng.uniform(0.05, 0.5, 2)
    return [x, y, x + wide, y + high, *colour(rng).tolist()]


def _stretched(rng: Rng, goods: list[Good]) -> list[Good]:
    wide = float(np.exp(rng.normal(0, 0.15)))
    return [
        g._replace(m00=g.m00 * wide, m01=g.m01 * wide, m10=g.m10 / wide, m11=g.m11 / wide) for g in goods[:MOST_GOODS]
    ]


def _rows(rows: list[Any], count: int, columns: int) -> NDArray[np.float32]:
    table = np.zeros((count, columns), np.float32)
    for number, row in enumerate(rows[:count]):
        table[number] = row
    return table
