"""Boosts: what is added to the likeness of records for their attributes."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Decay(StrEnum):
    """How a factor falls with the distance of a number from the origin. It is 1 at the origin and a half at the scale;
    LINEAR is 0 from twice the scale on."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    GAUSS = "gauss"


class Side(StrEnum):
    """On which side of the origin the factor falls. MORE: numbers above the origin count as the origin, which is a cap.
    LESS: numbers below it do."""

    BOTH = "both"
    MORE = "more"
    LESS = "less"


class NumberFactor(NamedTuple):
    """A factor of 0 to 1 for the number of an attribute; 0 for a record without one. Numbers within `offset` of the
    origin count as the origin. scale: above 0."""

    attribute: str
    origin: float
    scale: float
    offset: float = 0.0
    decay: Decay = Decay.GAUSS
    side: Side = Side.BOTH


class Boost(NamedTuple):
    """Adds `weight` times a factor: that of a number, or 1 for records that match the filter."""

    weight: float
    filter: str = ""
    number: NumberFactor | None = None
