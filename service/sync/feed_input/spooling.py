"""Filling and closing spools from an event loop, whose thread never writes to the disk itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from service.sync.feed_input.spool import Spool

_AT_ONCE = 256 * 1024  # a change of threads takes as long as to encrypt a tenth of it


class SpoolWriter:
    """Gathers parts that come one by one and hands them to `take` in a thread, in order."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self._parts: list[bytes] = []
        self._size = 0

    async def add(self, part: bytes) -> None:
        """Adds to the end. Raises what `take` raises."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= _AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Hands on what is left. Raises what `take` raises."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts:
            await asyncio.to_thread(lambda: self._take(b"".join(parts)))


async def open_spool(folder: Path) -> Spool:
    """An empty spool in the folder, which is made where it is missing. Raises OSError."""
    return await asyncio.to_thread(Spool, folder)


async def close_spool(spool: Spool) -> None:
    """Gives the disk's space back, also where the task that waits for it is cancelled."""
    await asyncio.shield(asyncio.to_thread(spool.close))


@asynccontextmanager
async def closing_spool(spool: Spool) -> AsyncIterator[Spool]:
    """Closes the spool at the end of the block."""
    try:
        yield spool
    finally:
        await close_spool(spool)
