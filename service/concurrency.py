"""Doing many things at once, but not all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def few_at_a_time(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """The results, in order; `at_once` pieces run at a time, so that one call cannot fill a queue by itself.

    Raises what the first piece that fails raises.
    """
    places = asyncio.Semaphore(at_once)

    async def one(piece: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await piece

    return list(await asyncio.gather(*(one(piece) for piece in work)))
