"""Takes runs from a board, several at a time, in a server or in a worker on another machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from service.coordination.run_board import BoardAway, RunBoard, RunRef
from service.runtime.background import end_task

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_ASK_AGAIN_S = 1.0
Work = Callable[[RunRef, int], Coroutine[Any, Any, None]]  # executes a run, under the epoch of its lease


class SyncWorker:
    """For one event loop. Set `wake` when there is a run to take."""

    def __init__(self, name: str, at_once: int, work: Work) -> None:
        """`name`: a unique name under which leases are taken. `at_once`: maximum number of concurrent runs."""
        self._name, self._at_once, self._work = name, at_once, work
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()

    def start(self, board: RunBoard) -> None:
        """Starts to take runs."""
        self._loop = asyncio.create_task(self._take_runs(board), name="sync worker")

    async def stop(self) -> None:
        """Releases its runs. Another worker, or this one after a restart, continues them."""
        if self._loop is not None:
            await end_task(self._loop)
        for task in list(self._tasks):
            await end_task(task)

    async def _take_runs(self, board: RunBoard) -> None:
        returned = away = False
        while True:
            try:
                if not returned:  # an earlier process of this name may have left leases
                    await board.return_all(self._name)
                    returned = True
                while len(self._tasks) < self._at_once and (found := await board.take(self._name)):
                    self._begin(*found)
                away = False
            except BoardAway:
                if not away:
                    _LOG.warning("taking no runs while Redis is unavailable")
                away = True
                await asyncio.sleep(_ASK_AGAIN_S)
            except Exception as error:  # the loop must continue; the cause is in the log
                _LOG.error("taking runs failed", exc_info=error)
                await asyncio.sleep(_ASK_AGAIN_S)
            self.wake.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self.wake.wait()
            except TimeoutError:
                pass

    def _begin(self, ref: RunRef, epoch: int) -> None:
        task = asyncio.create_task(self._work(ref, epoch), name=f"run {ref.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.wake.set())
