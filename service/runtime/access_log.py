"""The log's line for each call, formatted and written beside the event loop.

A line written at once takes longer than most of what else surrounds a call. So lines are collected, and a thread writes
those of a tenth of a second together. A kill loses the last ones. What must not be lost is in the audit log.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor

from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.runtime.logs import LogEvent, write_events

WRITE_EVERY_S = 0.1
_MOST_WAITING = 50_000  # while whoever reads the log does not
_NAME = __name__
_LOG = logging.getLogger(_NAME)


class AccessLog:
    """Collects the lines of calls. For one event loop."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock, self._thread = clock, ThreadPoolExecutor(1, "access log")
        self._waiting: list[LogEvent] = []
        self._left_out = 0
        self._writing: Future[None] | None = None

    def note(self, fields: dict[str, object]) -> None:
        """Adds the line of a call that ended now. `fields`: by their names in the log."""
        if not _LOG.isEnabledFor(logging.INFO):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._left_out += 1
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(WRITE_EVERY_S, self._write)
        self._waiting.append(LogEvent(self._clock.now_s(), "call", fields))

    def _write(self) -> None:
        """Has the thread write what waits, once it has written what came before."""
        if self._writing is not None and not self._writing.done():
            asyncio.get_running_loop().call_later(WRITE_EVERY_S, self._write)
            return
        events, self._waiting = self._waiting, []
        left_out, self._left_out = self._left_out, 0
        if events:
            self._writing = self._thread.submit(_written, events, left_out)

    async def close(self) -> None:
        """Writes what waits, and ends the thread. Call it after the last call."""
        if self._writing is not None:
            await asyncio.wrap_future(self._writing)
        self._write()
        await asyncio.to_thread(self._thread.shutdown)


def _written(events: list[LogEvent], left_out: int) -> None:
    write_events(_NAME, events)
    if left_out:
        _LOG.warning("the log is read too slowly: %d calls have no line", left_out)
