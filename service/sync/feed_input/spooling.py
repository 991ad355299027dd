"""Writes and closes spools from an event loop, without disk access on its thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from service.sync.feed_input.spool import Spool

_AT_ONCE = 256 * 1024  # switching threads takes as long as encrypting a tenth of it


class SpoolWriter:
    """Collects parts and passes them to `take` in a thread, in order."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self._parts: list[bytes] = []
        self._size = 0

    async def add(self, part: bytes) -> None:
        """Appends a part. Raises whatever `take` raises."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= _AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Passes on the remaining parts. Raises whatever `take` raises."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts:
            await asyncio.to_thread(lambda: self._take(b"".join(parts)))


async def open_spool(folder: Path) -> Spool:
    """An empty spool in the folder, which is created if missing. Raises OSError."""
    return await asyncio.to_thread(Spool, folder)


async def close_spool(spool: Spool) -> None:
    """Frees the disk space, even if the waiting task is cancelled."""
    await asyncio.shield(asyncio.to_thread(spool.close))


@asynccontextmanager
async def closing_spool(spool: Spool) -> AsyncIterator[Spool]:
    """Closes the spool at the end of the block."""
    try:
        yield spool
    finally:
        await close_spool(spool)
