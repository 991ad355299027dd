"""Groups that cover pairs: each pair of a number and a later one near it is in at least one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Covering:
    """Makes groups one after another. No group repeats a pair of its first number that an earlier one has."""

    def __init__(self, count: int, different: Mapping[int, Numbers] | None = None) -> None:
        """count: numbers are 0 to count - 1. different: numbers that may not be together, both ways."""
        self._groups: list[Numbers] = []
        self._groups_of: dict[int, list[int]] = defaultdict(list)
        self._together = np.full(count, -1, np.int64)  # the last number that each one was found together with
        self._different = different or {}
        self._limited = np.zeros(count, np.bool_)
        self._limited[list(self._different)] = True

    def groups(self, first: int, others: Numbers, distances: NDArray[np.float32]) -> Iterator[tuple[Numbers, float]]:
        """A number with those near it that it was not together with: the first in front, and the largest distance to
        it. Several groups where some of them may not be together; none where nothing is new."""
        for number in self._groups_of.get(first, ()):
            self._together[self._groups[number]] = first
        new = self._together[others] != first
        if not new.any():
            return
        others, distances = others[new], distances[new]
        for part in self._parts(others):
            yield self._added(np.concatenate([[first], others[part]])), float(distances[part].max())

    def alone(self, number: int) -> Numbers:
        """A group of one."""
        return self._added(np.array([number], np.int64))

    def has(self, number: int) -> bool:
        """Whether a number is in a group."""
        return bool(self._groups_of.get(number))

    def _added(self, group: Numbers) -> Numbers:
        for other in group.tolist():
            self._groups_of[other].append(len(self._groups))
        self._groups.append(group)
        return group

    def _parts(self, others: Numbers) -> list[NDArray[np.bool_]]:
        """Masks of parts, none of which has two that may not be together: each goes to the first part that it can."""
        part_of = np.zeros(len(others), np.int64)
        taken: list[set[int]] = []  # numbers that may not join a part
        for place in np.flatnonzero(self._limited[others]).tolist():
            number = int(others[place])
            part = next((n for n, excluded in enumerate(taken) if number not in excluded), len(taken))
            if part == len(taken):
                taken.append(set())
            taken[part].update(self._different[number].tolist())
            part_of[place] = part
        return [part_of == n for n in range(max(1, len(taken)))]
