"""What boosts add to the likeness of each slot of a view."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyroaring import AbstractBitMap

from index.speed.roaring_arrays import members
from index.types.boosts import Boost, Decay, NumberFactor, Side

if TYPE_CHECKING:
    from index.vectors.segment.view import View

BoostKey = tuple[tuple[Boost, ...], float | None]  # boosts, and the cap of all together


class Boosts(NamedTuple):
    """What boosts add, float32. parts: of each boost, shape (boosts, slots). totals: together, shape (slots,)."""

    parts: NDArray[np.float32]
    totals: NDArray[np.float32]


def boosts_of(view: View, boosts: tuple[Boost, ...], cap: float | None, matching: list[AbstractBitMap]) -> Boosts:
    """What each slot of a view gets. matching: the slots that match the filter of each boost; of one with a number, any
    slots."""
    parts = np.zeros((len(boosts), view.count), np.float32)
    for part, boost, rows in zip(parts, boosts, matching, strict=True):
        if boost.number is None:
            part[members(rows)] = boost.weight
        else:
            slots, values = view.columns.number_entries(boost.number.attribute)
            known = slots < view.count
            with np.errstate(over="ignore"):  # what is infinitely far has the factor 0
                part[slots[known]] = boost.weight * _factors(boost.number, values[known])
    total = parts.sum(axis=0)
    return Boosts(parts, total if cap is None else np.clip(total, -cap, cap))


def _factors(number: NumberFactor, values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - number.origin
    if number.side is Side.MORE:
        away = np.minimum(away, 0.0)
    elif number.side is Side.LESS:
        away = np.maximum(away, 0.0)
    steps = np.maximum(np.abs(away) - number.offset, 0.0) / number.scale
    if number.decay is Decay.LINEAR:
        return np.maximum(1.0 - steps / 2.0, 0.0)
    return np.exp2(-steps if number.decay is Decay.EXPONENTIAL else -steps * steps)
