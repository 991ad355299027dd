"""Takes runs from the board and works on them in this process."""

from __future__ import annotations

import asyncio

import structlog

from service.background import end_task
from service.coordination.run_board import BoardAway, RunRef
from service.sync.attempts import Attempts, Lease, SyncParts

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_ASK_AGAIN_S = 1.0


class SyncWorker:
    """For one event loop."""

    def __init__(self, parts: SyncParts, attempts: Attempts) -> None:
        self._parts, self._attempts = parts, attempts
        self._name = parts.server
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()

    def start(self) -> None:
        """Begins to take runs."""
        self._loop = asyncio.create_task(self._take_runs(), name="sync worker")

    async def stop(self) -> None:
        """Lets go of what it works on; another worker, or this one after a restart, goes on from there."""
        if self._loop is not None:
            await end_task(self._loop)
        for task in list(self._tasks):
            await end_task(task)

    async def _take_runs(self) -> None:
        returned = away = False
        while True:
            try:
                if not returned:  # what an earlier process of this server held, it cannot hold any more
                    await self._parts.board.return_all(self._name)
                    returned = True
                while len(self._tasks) < self._parts.at_once and (found := await self._parts.board.take(self._name)):
                    self._begin(*found)
                away = False
            except BoardAway:
                if not away:
                    _LOG.warning("no runs are taken while Redis is away")
                away = True
                await asyncio.sleep(_ASK_AGAIN_S)
            except Exception as error:  # the loop must go on; the cause is in the log
                _LOG.error("taking runs failed", exc_info=error)
                await asyncio.sleep(_ASK_AGAIN_S)
            self.wake.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self.wake.wait()
            except TimeoutError:
                pass

    def _begin(self, ref: RunRef, epoch: int) -> None:
        work = self._attempts.work(Lease(ref, epoch, self._name))
        task = asyncio.create_task(work, name=f"run {ref.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.wake.set())
