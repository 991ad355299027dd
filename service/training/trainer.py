"""Trains models in the background, one at a time per server. Interrupted trainings resume after a restart."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from service.runtime.background import end_task
from service.training.model import State, Training
from service.training.store import TrainingStore
from service.training.training_job import TrainerParts, TrainingJob, ended_training

_LOG = structlog.get_logger(__name__)


class Trainer:
    """Executes trainings. For one event loop."""

    def __init__(self, parts: TrainerParts) -> None:
        self._parts, self._workers, self._spaces = parts, parts.engine.workers, parts.engine.spaces
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._loop: asyncio.Task[None] | None = None
        self._current: tuple[str, asyncio.Task[None]] | None = None
        self.changed = asyncio.Condition()

    async def start(self) -> None:
        """Queues interrupted trainings, and starts to work."""
        for waiting in await self._workers.read(self._interrupted):
            self._waiting.put_nowait(waiting)
        self._loop = asyncio.create_task(self._work(), name="trainer")

    def _interrupted(self) -> list[tuple[str, str]]:
        """Trainings that have not ended, the oldest of a tenant first: its uid and theirs. For threads."""
        found = list[tuple[str, str]]()

        def look(tenant_uid: str, store: TrainingStore) -> None:
            found.extend((tenant_uid, t.training_id) for t in reversed(store.trainings()) if not t.state.final)

        self._parts.stores.each(look)
        return found

    async def stop(self) -> None:
        """Stops the current training. The next start resumes it."""
        if self._loop is not None:
            await end_task(self._loop)

    def submit(self, tenant_uid: str, training_id: str) -> None:
        """Queues a training."""
        self._waiting.put_nowait((tenant_uid, training_id))

    async def cancel(self, tenant_uid: str, training: Training) -> None:
        """Cancels a training that waits or runs."""
        store = await self._workers.read(self._parts.stores.of, tenant_uid)
        await self._note(store, ended_training(training, State.CANCELLED, "cancelled"))
        if self._current is not None and self._current[0] == training.training_id:
            self._current[1].cancel()

    async def _work(self) -> None:
        while True:
            tenant_uid, training_id = await self._waiting.get()
            task = asyncio.create_task(self._make(tenant_uid, training_id))
            self._current = training_id, task
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            finally:
                self._current = None
                await end_task(task)
            if (current := asyncio.current_task()) is not None and current.cancelling():
                return

    async def _make(self, tenant_uid: str, training_id: str) -> None:
        parts = self._parts
        try:
            # Raises if the tenant is bound to another region.
            await self._workers.read(self._spaces.directory, tenant_uid)
            store = await self._workers.read(parts.stores.of, tenant_uid)
            training = await self._workers.read(store.training, training_id)
            if training is None or training.state.final:
                return
            await TrainingJob(parts, tenant_uid, store, training, self._note).make()
        except Exception as error:  # the next training must still run
            _LOG.error("a training failed", training_id=training_id, exc_info=error)

    async def _note(self, store: TrainingStore, training: Training) -> None:
        await self._workers.write(store.note, training)
        async with self.changed:
            self.changed.notify_all()
