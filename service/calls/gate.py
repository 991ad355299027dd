"""Whether the server takes calls, and how many are running."""

from __future__ import annotations

import asyncio
import contextlib

from service.errors import Reason, ServiceError


class Gate:
    """Open while the server takes calls: not while it loads or drains. Counts running calls."""

    def __init__(self) -> None:
        """running: how many calls are."""
        self.open = False
        self.running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def check(self) -> None:
        """Raises ServiceError (SHUTTING_DOWN) while closed."""
        if not self.open:
            raise ServiceError(Reason.SHUTTING_DOWN, "the server is starting or stopping", retry_delay_s=1.0)

    def enter(self) -> None:
        """Counts the start of a call."""
        self.running += 1
        self._idle.clear()

    def leave(self) -> None:
        """Counts the end of a call."""
        self.running -= 1
        if self.running == 0:
            self._idle.set()

    async def close(self, timeout_s: float) -> None:
        """Refuses new calls. Waits until running calls have ended, at most `timeout_s` seconds."""
        self.open = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
