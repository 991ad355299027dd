"""Creates the methods of both clients from the calls, with their way to wait."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from afterimage.client.arguments import made
from afterimage.client.calls import Call

if TYPE_CHECKING:  # not in Python 3.9
    from typing import Concatenate, ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")


def async_method(make: Callable[P, Call[T]]) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """Returns a method of `AsyncClient` that executes the call which `make` returns."""

    @functools.wraps(make)
    async def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast("T", await self._run(made(make, *args, **kwargs)))

    return cast("Callable[Concatenate[Any, P], Awaitable[T]]", method)


def sync_method(make: Callable[P, Call[T]]) -> Callable[Concatenate[Any, P], T]:
    """Returns a method of `Client` that executes the call which `make` returns."""

    @functools.wraps(make)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast("T", self._run(made(make, *args, **kwargs)))

    return cast("Callable[Concatenate[Any, P], T]", method)


async_sleep = asyncio.sleep
sync_sleep = time.sleep
