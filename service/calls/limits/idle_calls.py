"""Holds back callers whose calls send no message.

Starting a call, checking its key, waiting for its message and cleaning up costs about a millisecond. A caller that
starts call after call and sends nothing could take the server with that. After too many of them, its next calls wait
before any of this work.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from service.runtime.clock import SYSTEM_CLOCK, Clock

_PER_S = 20.0
_AT_ONCE_S = 5.0  # a hundred idle calls, before any call is held
_LONGEST_S = 2.0
_MOST_HELD = 200  # per caller
_MOST_CALLERS = 10_000


class _Caller:
    __slots__ = ("due", "held")

    def __init__(self) -> None:
        self.due, self.held = 0.0, 0


class IdleCalls:
    """Counts calls without a message by caller. For one event loop.

    A caller is the hash of its `authorization` header, so that no key stays in memory.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._callers: OrderedDict[int, _Caller] = OrderedDict()

    def note(self, caller: int) -> None:
        """Counts a call that ended without a message."""
        state = self._callers.pop(caller, None) or _Caller()
        self._callers[caller] = state
        state.due = max(state.due, self._clock.elapsed_s()) + 1 / _PER_S
        if len(self._callers) > _MOST_CALLERS:
            self._callers.popitem(last=False)

    async def wait(self, caller: int) -> bool:
        """Waits, at most two seconds, while the caller has started too many idle calls. Returns False at once if too
        many of its calls wait already."""
        state = self._callers.get(caller)
        wait_s = 0.0 if state is None else state.due - self._clock.elapsed_s() - _AT_ONCE_S
        if state is None or wait_s <= 0:
            return True
        if state.held >= _MOST_HELD:
            return False
        state.held += 1
        try:
            await asyncio.sleep(min(wait_s, _LONGEST_S))
        finally:
            state.held -= 1
        return True
