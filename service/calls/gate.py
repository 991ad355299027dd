"""Whether a server takes calls, and how many it is at work on."""

from __future__ import annotations

import asyncio
import contextlib

from service.errors import Reason, ServiceError


class Gate:
    """Whether calls are accepted (not while loading and while draining), and how many run."""

    def __init__(self) -> None:
        self.open = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def check(self) -> None:
        """Raises ServiceError (SHUTTING_DOWN) while closed."""
        if not self.open:
            raise ServiceError(Reason.SHUTTING_DOWN, "the server is starting or stopping", retry_delay_s=1.0)

    def enter(self) -> None:
        """A call begins."""
        self._running += 1
        self._idle.clear()

    def leave(self) -> None:
        """A call has ended."""
        self._running -= 1
        if self._running == 0:
            self._idle.set()

    async def close(self, timeout_s: float) -> None:
        """Refuses new calls and waits until those that run have ended, at most so long."""
        self.open = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
