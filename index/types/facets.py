"""Facets as they are asked for: an attribute, or ranges of its numbers."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import NamedTuple

from index.types.errors import InvalidInput

MOST_EDGES = 32
_RANGES = re.compile(r"([^\[\]]*)\[([^\[\]]*)\]")


class NumberRange(NamedTuple):
    """Numbers from `low` up to but not including `high`. None: without end."""

    low: float | None
    high: float | None


class FacetRequest(NamedTuple):
    """The attribute whose values are counted. edges: of the ranges of numbers that are counted instead; none: values
    are."""

    attribute: str
    edges: tuple[float, ...] = ()

    @property
    def ranges(self) -> tuple[NumberRange, ...]:
        """The ranges, the first and the last without end."""
        ends = (None, *self.edges, None)
        return tuple(NumberRange(low, high) for low, high in pairwise(ends))


def parse_facet(text: str) -> FacetRequest:
    """Reads `color`, or `price[0,50,100]`, whose numbers are the edges of ranges. Raises InvalidInput (facets)."""
    if "[" not in text and "]" not in text:
        return FacetRequest(text)
    found = _RANGES.fullmatch(text)
    if found is None:
        raise InvalidInput("facets", f"{text[:80]!r} is not a facet; write price or price[0,50,100]")
    try:
        edges = tuple(float(edge) for edge in found[2].split(","))
    except ValueError:
        raise InvalidInput("facets", f"{text[:80]!r} has an edge that is not a number") from None
    if not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
        raise InvalidInput("facets", f"the edges of {text[:80]!r} do not increase")
    if len(edges) > MOST_EDGES:
        raise InvalidInput("facets", f"a facet has {len(edges)} edges, more than {MOST_EDGES}")
    return FacetRequest(found[1], edges)
