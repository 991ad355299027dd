"""Limits the share of time of a tenant's large responses while other tenants search.

The interpreter runs one thread at a time, so building a page of a thousand records delays searches by milliseconds.
The CPU time of a tenant's large responses is counted. Its next one waits until they are a small share of the elapsed
time. While no other tenant searches, nothing waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import ParamSpec, TypeVar

from service.runtime.clock import SYSTEM_CLOCK, Clock

P = ParamSpec("P")
T = TypeVar("T")
_SHARE = 0.03  # of the time, for all large responses of a tenant
_SENDING = 2.0  # serialising and sending a response take about as long again as reading and building it
# Bridges the gap between two searches of one caller, also where large responses keep the event loop from the second.
_RECENT_S = 0.2
_PLACES = 2  # large responses of one owner that are built at once while nobody else searches
_LOOK_EVERY_S = 0.05


class Work:
    """CPU time of one response, on any thread, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[P, T]) -> Callable[P, T]:
        """Returns the function with the CPU time of its thread counted."""

        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - started

        return run


class _Owner:
    __slots__ = ("lock", "places", "rests_until", "waiting")

    def __init__(self) -> None:
        self.lock, self.places, self.rests_until, self.waiting = asyncio.Lock(), asyncio.Semaphore(_PLACES), 0.0, 0


class BulkShare:
    """Delays large responses while others search. For one event loop."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._searches, self._ended = Counter[str](), dict[str, float]()
        self._owners: dict[str, _Owner] = {}

    @contextlib.contextmanager
    def searching(self, owner: str) -> Iterator[None]:
        """Marks a running search of this owner."""
        self._searches[owner] += 1
        try:
            yield
        finally:
            self._searches[owner] -= 1
            if not self._searches[owner]:
                del self._searches[owner]
            self._note_end(owner)

    @contextlib.asynccontextmanager
    async def paced(self, owner: str) -> AsyncIterator[Work]:
        """Waits until a large response of this owner may be built; one at a time while others search. The caller adds
        its CPU time to the yielded Work.

        Whether others search is asked again for each response when its place is free: many may arrive in one moment.
        """
        state, work = self._owners.setdefault(owner, _Owner()), Work()
        state.waiting += 1
        try:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(state.places)
                if self._others_search(owner):
                    await stack.enter_async_context(state.lock)
                    await self._rest(owner, state)
                try:
                    yield work
                finally:
                    self._charge(owner, state, work.seconds)
        finally:
            state.waiting -= 1
            if not state.waiting and state.rests_until < self._clock.elapsed_s():
                self._owners.pop(owner, None)

    async def _rest(self, owner: str, state: _Owner) -> None:
        # Polls: setting an event would cost every search.
        while (left := state.rests_until - self._clock.elapsed_s()) > 0 and self._others_search(owner):  # noqa: ASYNC110
            await asyncio.sleep(min(left, _LOOK_EVERY_S))

    def _charge(self, owner: str, state: _Owner, seconds: float) -> None:
        if self._others_search(owner):
            state.rests_until = max(state.rests_until, self._clock.elapsed_s()) + _SENDING * seconds * (1 / _SHARE - 1)

    def _others_search(self, owner: str) -> bool:
        if len(self._searches) - (owner in self._searches):
            return True
        since = self._clock.elapsed_s() - _RECENT_S
        return any(ended > since for other, ended in self._ended.items() if other != owner)

    def _note_end(self, owner: str) -> None:
        """Keeps the last two owners whose searches ended; at least one of them is not the owner that asks."""
        self._ended.pop(owner, None)
        self._ended[owner] = self._clock.elapsed_s()
        if len(self._ended) > 2:
            del self._ended[next(iter(self._ended))]
