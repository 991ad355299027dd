"""Ends background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

_ASK_AGAIN_S = 0.2


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancels a task repeatedly until it has ended.

    A single cancellation is not sufficient. A library with its own timeout may consume it (redis-py does so while it
    connects), and the task would continue.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_ASK_AGAIN_S)
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it as unhandled
