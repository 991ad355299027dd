"""Threads by kind of work, so that one kind cannot starve another.

A function in a thread sees the context variables of its task, such as the deadline and the request id for the log.
What it sets stays in the thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from service.tracing.allowed import Stage
from service.tracing.spans import stage

P = ParamSpec("P")
T = TypeVar("T")
_HASHED_AT_ONCE = 64 * 1024
_LOWER_PRIORITY = 10


class Workers:
    """Thread pools.

    - `model`: runs models.
    - `hash`: digests large pictures.
    - `read`: searches and look-ups.
    - `write`: waits for the disk. Many writers share one commit.
    - `objects`: waits for object storage, which may be far away.
    - `upkeep`: work that may take minutes.
    - `background`: seconds of computing for one call, at a lower priority than everything else.
    """

    def __init__(self, cores: int) -> None:
        self.model = ThreadPoolExecutor(cores, "model")
        self._hash = ThreadPoolExecutor(cores, "hash")
        self._read = ThreadPoolExecutor(cores + 2, "read")
        self._write = ThreadPoolExecutor(16, "write")
        self._objects = ThreadPoolExecutor(16, "objects")
        self._upkeep = ThreadPoolExecutor(4, "upkeep")
        self._background = ThreadPoolExecutor(2, "background", initializer=_lower_priority)

    async def hash(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a digest of `size` bytes. A small one runs on the event loop, which takes less time than a thread."""
        if size <= _HASHED_AT_ONCE:
            return function(*args, **kwargs)
        return await self._run(self._hash, function, *args, **kwargs)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a search or a look-up."""
        return await self._run(self._read, function, *args, **kwargs)

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a change."""
        with stage(Stage.STORE):
            return await self._run(self._write, function, *args, **kwargs)

    async def objects(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Puts, gets or deletes an object."""
        with stage(Stage.STORE):
            return await self._run(self._objects, function, *args, **kwargs)

    async def upkeep(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that may take minutes, such as an erasure."""
        return await self._run(self._upkeep, function, *args, **kwargs)

    async def background(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a computation that takes seconds. It should end early when nobody waits for it any more."""
        return await self._run(self._background, function, *args, **kwargs)

    def close(self) -> None:
        """Waits for running functions, and ends the threads."""
        pools = (self._hash, self.model, self._read, self._write, self._objects, self._upkeep, self._background)
        for pool in pools:
            pool.shutdown(wait=True)

    async def _run(self, pool: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        context = copy_context()  # a thread of a pool has none of its own: neither deadline nor request id
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(function, *args, **kwargs))


def _lower_priority() -> None:
    """Lowers the priority of the calling thread, which only Linux can do."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + _LOWER_PRIORITY)
