"""Ends a call whose peer does not read its response.

grpc.aio cannot cancel a call on the server side: a status waits behind the response, which waits for the peer. gRPC
cancels a call, and frees what it holds, when nothing refers to it any more. Two tasks do: the one that runs the
handler, and the one that created it and waits for the peer to close. The second is remembered when the first is
created.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]

_WITH_HANDLER = "_handle_exceptions"  # name of grpc's coroutine that runs a handler
_waiting: contextvars.ContextVar[asyncio.Task[Any] | None] = contextvars.ContextVar("waiting", default=None)


def remember_waiting_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Enables `CallTasks.end` for the calls of this loop."""
    loop.set_task_factory(_make_task)  # type: ignore[arg-type]


def _make_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    if getattr(coro, "__name__", "") == _WITH_HANDLER and options.get("context") is None:
        context = contextvars.copy_context()
        context.run(_waiting.set, asyncio.current_task(loop))
        options["context"] = context
    return asyncio.Task(coro, loop=loop, **options)


def when_done(context: Context, call: Callable[[], object]) -> None:
    """Calls `call` once the peer has taken the whole response or has disconnected."""
    context.add_done_callback(lambda _: call())  # type: ignore[arg-type]


class CallTasks:
    """The tasks of the current call. Create it in its handler."""

    def __init__(self) -> None:
        self._handling, self._waiting = asyncio.current_task(), _waiting.get()

    def end_unless_done(self, context: Context, seconds: float, dropped: Callable[[], None]) -> None:
        """Cancels the call, and calls `dropped`, unless its peer takes the whole response within `seconds`."""

        def end() -> None:
            dropped()
            self.end()

        timer = asyncio.get_running_loop().call_later(seconds, end)
        when_done(context, timer.cancel)

    def end(self) -> None:
        """Cancels the call."""
        for task in (self._waiting, self._handling):
            if task is not None:
                task.cancel()
