"""Collects tensors that wait for a model and runs them together.

Work-conserving: when the model is idle it takes at once all that waits, up to `max_batch_size`; there is no timer.
Searches go before inserts, but every fourth batch begins with the inserts, so that none starves. The queue is bounded;
beyond it callers are refused with a delay computed from the measured rate. Callers that are gone (deadline, cancelled)
are dropped when the batch is made. If a run fails, every waiter of that batch gets the error and the next goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from service.errors import Reason, ServiceError

_LOG = logging.getLogger(__name__)
_INSERTS_FIRST_EVERY = 4
Vector = NDArray[np.float32]


class Lane(IntEnum):
    """Who waits: someone who searches, or a bulk insert."""

    SEARCH = 0
    INSERT = 1


@dataclass(frozen=True)
class BatcherLimits:
    """max_batch_size: tensors in one run. max_queue_size: tensors that may wait, over both lanes."""

    max_batch_size: int = 8
    max_queue_size: int = 512


@dataclass(frozen=True)
class _Item:
    tensor: NDArray[np.generic]
    future: asyncio.Future[Vector]


class Batcher:
    """One model's queue. Made, used and closed on one event loop."""

    def __init__(
        self, run: Callable[[NDArray[np.generic]], NDArray[np.float32]], executor: Executor, limits: BatcherLimits
    ) -> None:
        """`run` maps a batch (n, ...) to vectors (n, dimension); it is called in `executor`, one batch at a time."""
        self._run, self._executor, self._limits = run, executor, limits
        self._lanes: dict[Lane, deque[_Item]] = {lane: deque() for lane in Lane}
        self._wake = asyncio.Event()
        self._closed = False
        self._batches = 0
        self._seconds_per_item = 0.01
        self._worker = asyncio.create_task(self._work(), name="batcher")

    @property
    def waiting(self) -> int:
        """How many tensors wait."""
        return sum(len(queue) for queue in self._lanes.values())

    async def encode(self, tensor: NDArray[np.generic], lane: Lane) -> Vector:
        """The vector of one tensor. Raises ServiceError (OVERLOADED, ENCODER_FAILED, SHUTTING_DOWN)."""
        if self._closed:
            raise ServiceError(Reason.SHUTTING_DOWN, "the server is shutting down", retry_delay_s=1.0)
        if self.waiting >= self._limits.max_queue_size:
            delay = max(0.05, self.waiting * self._seconds_per_item)
            raise ServiceError(Reason.OVERLOADED, "too many pictures wait to be encoded", retry_delay_s=delay)
        item = _Item(tensor, asyncio.get_running_loop().create_future())
        self._lanes[lane].append(item)
        self._wake.set()
        return await item.future

    async def close(self) -> None:
        """Refuses new tensors, runs those that wait, then stops."""
        self._closed = True
        self._wake.set()
        await self._worker

    async def _work(self) -> None:
        while not (self._closed and self.waiting == 0):
            await self._wake.wait()
            self._wake.clear()
            try:
                while batch := self._take():
                    await self._run_batch(batch)
            except BaseException:  # the loop is going down, or a fault of this class: nobody may hang
                self._fail_all()
                raise
            if self._closed:
                self._wake.set()

    def _fail_all(self) -> None:
        self._closed = True
        for queue in self._lanes.values():
            for item in queue:
                if not item.future.done():
                    item.future.set_exception(ServiceError(Reason.ENCODER_FAILED, "the queue of the encoder died"))
            queue.clear()

    def _take(self) -> list[_Item]:
        self._batches += 1
        inserts_first = self._batches % _INSERTS_FIRST_EVERY == 0
        batch: list[_Item] = []
        for lane in sorted(Lane, reverse=inserts_first):
            queue = self._lanes[lane]
            while queue and len(batch) < self._limits.max_batch_size:
                item = queue.popleft()
                if not item.future.done():  # a caller that is gone has cancelled its future
                    batch.append(item)
        return batch

    async def _run_batch(self, batch: list[_Item]) -> None:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            tensors = np.stack([item.tensor for item in batch])
            vectors = await loop.run_in_executor(self._executor, self._run, tensors)
        except BaseException as error:
            _LOG.exception("a batch of %d failed", len(batch))
            for item in batch:
                if not item.future.done():
                    reason = f"the encoder failed: {type(error).__name__}"
                    item.future.set_exception(ServiceError(Reason.ENCODER_FAILED, reason))
            if not isinstance(error, Exception):
                raise
            return
        self._seconds_per_item = 0.8 * self._seconds_per_item + 0.2 * (time.monotonic() - started) / len(batch)
        for item, vector in zip(batch, vectors, strict=True):
            if not item.future.done():
                item.future.set_result(vector)
