"""The deadline of the current call. It is set once per call, and read where work is queued.

Searches in memory, counts and records that are kept end without a wait. A timeout around them could never fire, and its
timer costs more than some of them. So `within` runs a call up to its first wait, and times only the rest.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar, cast

from service.runtime.clock import SYSTEM_CLOCK

T = TypeVar("T")
_ends_at: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)


def set_deadline(seconds: float | None) -> None:
    """Sets the deadline of the current context to `seconds` from now; None: no deadline."""
    _ends_at.set(math.inf if seconds is None else SYSTEM_CLOCK.elapsed_s() + seconds)


def remaining_s() -> float:
    """The remaining seconds; infinite without a deadline."""
    return _ends_at.get() - SYSTEM_CLOCK.elapsed_s()


async def within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Raises TimeoutError once it has waited until `seconds` have passed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    async with asyncio.timeout_at(None if seconds is None else began + seconds):
        return cast(T, await _Rest(work, awaited))


class _Rest:
    """The rest of a coroutine after its first wait, for what it awaits there."""

    def __init__(self, work: Coroutine[Any, Any, T], awaited: object) -> None:
        self._work, self._awaited = work, awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        work, awaited = self._work, self._awaited
        while True:
            try:
                given = yield awaited
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                given, failed = error, True
            else:
                failed = False
            try:
                awaited = work.throw(given) if failed else work.send(given)
            except StopIteration as done:
                return done.value
            finally:
                given = None  # the traceback of an error has this frame
