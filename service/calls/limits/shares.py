"""Shares a number of places or bytes fairly among owners: tenants, their keys, the keys' connections.

A single owner may hold most of the total. The rest is reserved for owners that hold less than an equal share, so an
owner that needs little is never refused because another one holds much.
"""

from __future__ import annotations

from collections.abc import Sequence

_KEPT_OF_ALL = 4  # a quarter, at the first level
_KEPT_OF_SHARE = 8  # an eighth, at the levels below


class _Node:
    """An owner, with the owners below it."""

    __slots__ = ("below", "capacity", "kept", "used")

    def __init__(self, capacity: int, part: int) -> None:
        self.capacity, self.kept, self.used = capacity, capacity // part, 0
        self.below: dict[str, _Node] = {}

    def admits(self, name: str, amount: int) -> bool:
        """Returns whether the owner `name` below may hold `amount` more."""
        free = self.capacity - self.used - amount
        if free < 0:
            return False
        if free >= self.kept:
            return True
        child = self.below.get(name)
        held, owners = (child.used, len(self.below)) if child else (0, len(self.below) + 1)
        return (held + amount) * owners <= self.capacity


class Shares:
    """Shares of one total. For one event loop. A path names an owner at each level: tenant, key, connection."""

    def __init__(self, capacity: int) -> None:
        self._root = _Node(capacity, _KEPT_OF_ALL)

    @property
    def used(self) -> int:
        """The sum that all owners hold."""
        return self._root.used

    @property
    def empty(self) -> bool:
        """Whether no owner is known."""
        return not self._root.used and not self._root.below

    def take(self, path: Sequence[str], amount: int = 1) -> bool:
        """Takes `amount` for an owner. Returns False, and takes nothing, beyond its share."""
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
        """Takes `amount` for an owner without a limit."""
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
        """Returns `amount` of an owner."""
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
