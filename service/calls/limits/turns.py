"""Runs CPU-intensive work a few pieces at a time, with owners taking turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator


class Turns:
    """Schedules pieces of work. For one event loop."""

    def __init__(self, places: int) -> None:
        """`places`: maximum number of concurrent pieces, at least 2. One owner has at most `places` - 1."""
        self._free, self._most = places, places - 1
        self._running = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns

    @contextlib.asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Waits for a turn of the owner, and holds it until the block ends."""
        if not self._free or self._running[owner] >= self._most:
            await self._wait(owner)
        else:
            self._begin(owner)
        try:
            yield
        finally:
            self._end(owner)

    def _begin(self, owner: str) -> None:
        self._free -= 1
        self._running[owner] += 1

    def _end(self, owner: str) -> None:
        self._free += 1
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        self._call_next()

    async def _wait(self, owner: str) -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(called)
        try:
            await called
        except asyncio.CancelledError:
            if not called.cancelled():  # it was called, and could not begin any more
                self._end(owner)
            raise

    def _call_next(self) -> None:
        """Wakes those whose turn it is. Skips those that were cancelled."""
        for owner in list(self._waiting):
            if not self._free:
                return
            if self._running[owner] >= self._most:
                continue
            waiting = self._waiting.pop(owner)
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            called = waiting.popleft() if waiting else None
            if waiting:
                self._waiting[owner] = waiting  # behind the others
            if called is not None:
                self._begin(owner)
                called.set_result(None)
