"""A queue with two lanes in which tenants take turns.

Searches go before inserts, but every fourth turn begins with the inserts, so that none starves. Within a lane each
tenant that waits gets one turn after the other, however many pictures one of them has sent.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")
_INSERTS_FIRST_EVERY = 4


class Lane(IntEnum):
    """Who waits: someone who searches, or a bulk insert."""

    SEARCH = 0
    INSERT = 1


class FairQueue(Generic[T]):
    """Unbounded; whoever puts must bound. For one thread."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, OrderedDict[str, deque[T]]] = {lane: OrderedDict() for lane in Lane}
        self._size = 0
        self._turn = 0

    def __len__(self) -> int:
        return self._size

    def put(self, item: T, lane: Lane, tenant: str) -> None:
        """Behind what the same tenant has in the same lane."""
        self._lanes[lane].setdefault(tenant, deque()).append(item)
        self._size += 1

    def take(self) -> T | None:
        """Whose turn it is, or None where nobody waits."""
        if not self._size:
            return None
        self._turn += 1
        for lane in sorted(Lane, reverse=self._turn % _INSERTS_FIRST_EVERY == 0):
            tenants = self._lanes[lane]
            if tenants:
                tenant, items = tenants.popitem(last=False)
                item = items.popleft()
                if items:
                    tenants[tenant] = items  # behind the tenants that wait
                self._size -= 1
                return item
        raise AssertionError("the size says that something waits")
