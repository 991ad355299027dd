"""Divides a number of places, or of bytes, fairly among owners: tenants, their keys, the keys' connections.

An owner alone may hold most of what there is. A rest is kept for others: it goes to owners that hold less than an equal
share. So nobody who asks for little is refused because of somebody who holds much.
"""

from __future__ import annotations

from collections.abc import Sequence

_KEPT_OF_ALL = 4  # a quarter, at the first level
_KEPT_OF_SHARE = 8  # an eighth, at the levels below


class _Node:
    """One owner, and the owners below it."""

    __slots__ = ("below", "capacity", "kept", "used")

    def __init__(self, capacity: int, part: int) -> None:
        self.capacity, self.kept, self.used = capacity, capacity // part, 0
        self.below: dict[str, _Node] = {}

    def admits(self, name: str, amount: int) -> bool:
        """Whether the owner `name` below may hold so much more."""
        free = self.capacity - self.used - amount
        if free < 0:
            return False
        if free >= self.kept:
            return True
        child = self.below.get(name)
        held, owners = (child.used, len(self.below)) if child else (0, len(self.below) + 1)
        return (held + amount) * owners <= self.capacity


class Shares:
    """For one event loop. A path names an owner at each level, such as tenant, key and connection."""

    def __init__(self, capacity: int) -> None:
        self._root = _Node(capacity, _KEPT_OF_ALL)

    @property
    def used(self) -> int:
        """How much all owners hold."""
        return self._root.used

    @property
    def empty(self) -> bool:
        """Whether nobody holds anything, and nobody is remembered."""
        return not self._root.used and not self._root.below

    def take(self, path: Sequence[str], amount: int = 1) -> bool:
        """Takes so much for an owner, or nothing and returns False where it would be more than its share."""
        node: _Node | None = self._root
        for name in path:
            if node is not None and not node.admits(name, amount):
                return False
            node = node.below.get(name) if node is not None else None
        if node is not None and node.used + amount > node.capacity:
            return False
        self.add(path, amount)
        return True

    def add(self, path: Sequence[str], amount: int) -> None:
        """Takes so much in any case, for what is there already."""
        if not amount:
            return
        node = self._root
        node.used += amount
        for name in path:
            child = node.below.get(name)
            if child is None:
                child = node.below[name] = _Node(node.capacity - node.kept, _KEPT_OF_SHARE)
            node = child
            node.used += amount

    def give(self, path: Sequence[str], amount: int = 1) -> None:
        """Gives back so much."""
        if not amount:
            return
        node = self._root
        node.used -= amount
        for name in path:
            child = node.below[name]
            child.used -= amount
            if not child.used:
                del node.below[name]
            node = child
