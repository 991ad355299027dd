"""Doing many things at once, but not all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def few_at_a_time(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """The results, in order; `at_once` pieces run at a time, so that one call cannot fill a queue by itself.

    Each piece is taken from `work` only when it begins. Raises what the first piece that fails raises, once the others
    have been cancelled and have ended.
    """
    pieces = enumerate(work)
    results: dict[int, T] = {}

    async def run() -> None:
        for number, piece in pieces:
            results[number] = await piece

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
