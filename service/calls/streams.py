"""Streams of responses that end early: at a deadline, or when their key is no longer valid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from service.errors import release_frames
from service.runtime.background import end_task

LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class _End:
    """The end of the responses. `error`: the reason, if it came early."""

    error: Exception | None = None


async def limited(
    answers: AsyncGenerator[Any, None], check: Callable[[], Awaitable[object]], seconds: float | None
) -> AsyncIterator[Any]:
    """Yields the responses until `check`, called every two seconds, raises an error or the time is over (TimeoutError).

    A task of its own produces the responses. A generator does not notice if its consumer is cancelled while it waits
    elsewhere; the task is cancelled where it waits itself, and so ends in order.
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    making = asyncio.create_task(_make(answers, queue))
    look_at = loop.time() + LOOK_EVERY_S
    try:
        while True:
            getting = asyncio.ensure_future(queue.get())
            try:
                while not getting.done():
                    now = loop.time()
                    if deadline is not None and now >= deadline:
                        raise TimeoutError
                    if now >= look_at:
                        await check()
                        look_at = now + LOOK_EVERY_S
                    until = look_at if deadline is None else min(look_at, deadline)
                    await asyncio.wait({getting}, timeout=until - now)
            finally:
                getting.cancel()
            answer = getting.result()
            if isinstance(answer, _End):
                if answer.error is not None:
                    raise answer.error
                return
            yield answer
            del answer
            if loop.time() >= look_at:
                await check()
                look_at = loop.time() + LOOK_EVERY_S
    finally:
        await end_task(making)


async def _make(answers: AsyncGenerator[Any, None], queue: asyncio.Queue[Any]) -> None:
    try:
        async for answer in answers:
            await queue.put(answer)
    except asyncio.CancelledError as cancelled:
        # Where the cancellation came while an answer waited to be read, the source has not heard of it. What it held,
        # requests with pictures among it, would stay in a cycle of this task, its error and the frames of that error,
        # so the error ends here.
        try:
            await answers.athrow(asyncio.CancelledError())
        except (asyncio.CancelledError, StopAsyncIteration) as ended:
            release_frames(ended)
        release_frames(cancelled)
    except Exception as error:  # handed on to whoever reads
        await queue.put(_End(error))
    else:
        await queue.put(_End())
