"""Groups of records that look the same.

Leaders, not chains: rows are taken in order of insertion; a row without a group leads one, and every later row without
a group that lies within the distance joins it. So each member is near the first, and a chain of small steps cannot join
what is far apart. Exact; the cost grows with the square of the rows, hence MAX_ROWS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyroaring import AbstractBitMap

from index.errors import InvalidInput
from index.rows import View, gather

MAX_ROWS = 100_000
_LEADERS_AT_ONCE = 256


@dataclass(frozen=True)
class SlotGroup:
    """Slots that look the same, the earliest first, and the largest distance of one to the first."""

    slots: tuple[int, ...]
    max_distance: float


def duplicate_groups(view: View, allowed: AbstractBitMap, max_distance: float) -> Iterator[SlotGroup]:
    """Groups of two or more allowed slots. Raises InvalidInput where too many rows are allowed."""
    if len(allowed) > MAX_ROWS:
        raise InvalidInput("filter", f"{len(allowed)} records are more than {MAX_ROWS}; narrow them with a filter")
    slots = np.array(allowed, np.int64)
    slots = slots[np.argsort(view.row_ids[slots], kind="stable")]
    vectors = gather(view, slots).astype(np.float32)
    free = np.ones(len(slots), bool)
    for start in range(0, len(slots), _LEADERS_AT_ONCE):
        block = slice(start, start + _LEADERS_AT_ONCE)
        near = np.maximum(1.0 - vectors[block] @ vectors[start:].T, 0.0)
        for offset, distances in enumerate(near):
            leader = start + offset
            if not free[leader]:
                continue
            free[leader] = False
            members = np.flatnonzero((distances <= max_distance) & free[start:])
            if len(members):
                free[members + start] = False
                joined = (leader, *(members + start).tolist())
                yield SlotGroup(tuple(int(slots[i]) for i in joined), float(distances[members].max()))
