"""Work that several callers want at the same moment is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.errors import ServiceError

T = TypeVar("T")


@dataclass
class _Work(Generic[T]):
    task: asyncio.Task[T]
    callers: int = 0


class Inflight(Generic[T]):
    """Keyed by what makes the work the same. Nothing is remembered once the work has ended. For one event loop."""

    def __init__(self) -> None:
        self._running: dict[Hashable, _Work[T]] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work with this key; starts it where nobody has. It goes on while one caller is left.

        Raises what the work raises, to each caller an error of its own.
        """
        work = self._running.get(key)
        if work is None:
            work = self._running[key] = _Work(asyncio.create_task(make()))
            work.task.add_done_callback(lambda task: self._forget(key, task))
        work.callers += 1
        try:
            return await asyncio.shield(work.task)
        except ServiceError as error:
            raise ServiceError(
                error.reason, error.message, field=error.field, retry_delay_s=error.retry_delay_s
            ) from None
        except asyncio.CancelledError:
            if work.callers == 1 and not work.task.done():
                self._forget(key, work.task)
                work.task.cancel()
            raise
        finally:
            work.callers -= 1

    def _forget(self, key: Hashable, task: asyncio.Task[T]) -> None:
        work = self._running.get(key)
        if work is not None and work.task is task:
            del self._running[key]
