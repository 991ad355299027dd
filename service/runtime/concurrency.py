"""Bounded concurrency, and loops that yield the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from service.runtime.clock import Stopwatch

S = TypeVar("S")
T = TypeVar("T")
_SLICE_S = 0.001


class TimeSlice:
    """Measures how long a task has run without waiting, for loops whose steps do not wait."""

    def __init__(self) -> None:
        self._watch = Stopwatch()

    async def yield_if_over(self) -> None:
        """Yields the event loop once per millisecond."""
        if self._watch.seconds() > _SLICE_S:
            await asyncio.sleep(0)
            self._watch.restart()


async def map_yielding(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Calls `function` with each item, and yields the event loop in between.

    Returns the results in order. Raises what it raises.
    """
    time_slice, results = TimeSlice(), []
    for item in items:
        results.append(function(item))
        await time_slice.yield_if_over()
    return results


async def gather_bounded(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """Runs coroutines with at most `at_once` at a time, and returns the results in order.

    The limit prevents that one call fills a queue by itself. Each coroutine is taken from `work` only when it starts.
    If one fails, the others are cancelled and awaited, and its exception is raised.
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
        tasks.clear()  # their exceptions reference this frame, which would be a reference cycle
    return [results[number] for number in range(len(results))]
