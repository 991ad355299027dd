"""Calls after one fixed delay, most of which are cancelled: timeouts of what nearly always ends in time.

The loop keeps its timers in a heap, where cancelled ones stay until they are due or half of all. Where every call has
such a timer, that costs more than what it guards. Those of one delay come due in the order in which they began, so one
timer of the loop serves all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Delayed:
    """One call to come."""

    __slots__ = ("_call", "due")

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due, self._call = due, call

    @property
    def over(self) -> bool:
        """Whether it was made or cancelled."""
        return self._call is _nothing

    def cancel(self) -> None:
        """Does not make it. No harm once it is made."""
        self._call = _nothing

    def make(self) -> None:
        """Makes it, once."""
        call, self._call = self._call, _nothing
        call()


class Delays:
    """Calls after `seconds`. For one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: deque[Delayed] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Callable[[], object]) -> Delayed:
        """Calls `call` after the delay, unless that is cancelled."""
        waiting, loop = self._waiting, asyncio.get_running_loop()
        while waiting and waiting[0].over:
            waiting.popleft()
        delayed = Delayed(loop.time() + self.seconds, call)
        waiting.append(delayed)
        if self._timer is None:
            self._timer = loop.call_at(delayed.due, self._make)
        return delayed

    def _make(self) -> None:
        """Makes what is due. The timer may ring for what was cancelled meanwhile."""
        loop, waiting = asyncio.get_running_loop(), self._waiting
        self._timer = None
        try:
            while waiting and (waiting[0].over or waiting[0].due <= loop.time()):
                waiting.popleft().make()
        finally:
            if waiting:
                self._timer = loop.call_at(waiting[0].due, self._make)


def _nothing() -> None:
    """What a call that is over does."""
