"""Ending tasks that run in the background."""

from __future__ import annotations

import asyncio
from typing import Any

_ASK_AGAIN_S = 0.2


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancels a task until it has ended, whatever its outcome.

    Asking once is not enough: a library that waits under a timeout of its own may take the cancellation for that one
    (redis-py does while it connects), and the task would go on.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_ASK_AGAIN_S)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it as forgotten
