"""Collects tensors that wait for a model and runs them together.

Work-conserving: a run that is free takes at once all that waits, up to `max_batch_size`; there is no timer. Callers
that are gone (deadline, cancelled) are dropped when the batch is made. If a run fails, every waiter of that batch gets
the error and the next goes on; if a worker itself dies, every waiter gets an error and another takes its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.encoder.fair_queue import FairQueue, Lane
from service.errors import Reason, ServiceError
from service.runtime.background import end_task

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class BatcherLimits:
    """max_batch_size: tensors in one run. runs: runs at a time."""

    max_batch_size: int = 8
    runs: int = 1


@dataclass(frozen=True)
class _Item(Generic[T]):
    input: Any
    future: asyncio.Future[T]


class Batcher(Generic[T]):
    """One encoder's queue. Made, used and closed on one event loop. How much may wait is for the caller to bound."""

    def __init__(self, encode: Callable[[list[Any]], Sequence[T]], executor: Executor, limits: BatcherLimits) -> None:
        """`encode` maps inputs to as many results; `executor` calls it, `limits.runs` at a time."""
        self._encode, self._executor, self._limits = encode, executor, limits
        self._queue: FairQueue[_Item[T]] = FairQueue()
        self._wake = asyncio.Event()
        self._closed = False
        self._workers = {self._start_worker() for _ in range(limits.runs)}

    @property
    def waiting(self) -> int:
        """How many tensors wait."""
        return len(self._queue)

    async def encode(self, given: Any, lane: Lane, tenant: str = "") -> T:
        """The result of one input. Raises ServiceError (ENCODER_FAILED, SHUTTING_DOWN)."""
        if self._closed:
            raise ServiceError(Reason.SHUTTING_DOWN, "the server is shutting down", retry_delay_s=1.0)
        item: _Item[T] = _Item(given, asyncio.get_running_loop().create_future())
        self._queue.put(item, lane, tenant)
        self._wake.set()
        return await item.future

    async def close(self) -> None:
        """Refuses new tensors, runs those that wait, then stops."""
        self._closed = True
        self._wake.set()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def abandon(self) -> None:
        """Stops at once; whoever waits gets an error."""
        self._closed = True
        for worker in list(self._workers):
            await end_task(worker)
        self._fail_waiting()

    def _start_worker(self) -> asyncio.Task[None]:
        worker = asyncio.create_task(self._work(), name="batcher")
        worker.add_done_callback(self._replace)
        return worker

    def _replace(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if self._closed:
            return
        _LOG.error("a worker of the encoder queue died and was replaced")
        self._fail_waiting()
        self._workers.add(self._start_worker())

    def _fail_waiting(self) -> None:
        while (item := self._queue.take()) is not None:
            if not item.future.done():
                item.future.set_exception(ServiceError(Reason.ENCODER_FAILED, "the encoder queue failed"))

    async def _work(self) -> None:
        while True:
            while batch := self._take():
                await self._run_batch(batch)
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> list[_Item[T]]:
        batch: list[_Item[T]] = []
        while len(batch) < self._limits.max_batch_size and (item := self._queue.take()) is not None:
            if not item.future.done():  # a caller that is gone has cancelled its future
                batch.append(item)
        return batch

    async def _run_batch(self, batch: list[_Item[T]]) -> None:
        try:
            inputs = [item.input for item in batch]
            results = await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, inputs)
        except BaseException as error:
            _LOG.exception("a batch of %d failed", len(batch))
            for item in batch:
                if not item.future.done():
                    reason = f"the encoder failed: {type(error).__name__}"
                    item.future.set_exception(ServiceError(Reason.ENCODER_FAILED, reason))
            if not isinstance(error, Exception):
                raise
            return
        for item, result in zip(batch, results, strict=True):
            if not item.future.done():
                item.future.set_result(result)
