"""Doing many things at once, but not all of them, and letting others have the event loop in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
_SLICE_S = 0.001


class TimeSlice:
    """How long a task has been at work without waiting for anything. For loops whose steps need not wait."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def yield_if_over(self) -> None:
        """Lets others have the event loop, once a millisecond."""
        if time.perf_counter() - self._since > _SLICE_S:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


async def map_yielding(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """`function` of each item, in order, with others having the event loop in between. Raises what it raises."""
    time_slice, results = TimeSlice(), []
    for item in items:
        results.append(function(item))
        await time_slice.yield_if_over()
    return results


async def gather_bounded(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """The results, in order; `at_once` pieces run at a time, so that one call cannot fill a queue by itself.

    Each piece is taken from `work` only when it begins. Raises what the first piece that fails raises, once the others
    have been cancelled and have ended.
    """
    pieces = enumerate(work)
    results: dict[int, T] = {}
    time_slice = TimeSlice()

    async def run() -> None:
        for number, piece in pieces:
            results[number] = await piece
            await time_slice.yield_if_over()  # a piece may have had nothing to wait for

    tasks = [asyncio.create_task(run()) for _ in range(at_once)]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    finally:
        tasks.clear()  # an error of theirs holds this frame; with them in it that would be a cycle
    return [results[number] for number in range(len(results))]
