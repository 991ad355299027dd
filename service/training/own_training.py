"""The calls of tenants about training: sets, trainings, models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import replace

from service.encoder.manifest import Manifest
from service.errors import Reason, ServiceError
from service.objects.links import Linked
from service.tenancy.keyring import Principal
from service.training.model import Training, TrainingRequest
from service.training.sets import TrainingSets
from service.training.trainer import Trainer
from service.training.training_job import TrainerParts


class OwnTraining:
    """For all tenants, on one event loop. Methods with a `caller` raise ServiceError."""

    def __init__(self, parts: TrainerParts) -> None:
        self._stores, self._engine = parts.stores, parts.engine
        self.sets, self.own = TrainingSets(parts.stores, parts.engine), parts.own
        self._trainer = Trainer(parts)

    async def start(self) -> None:
        """Registers all models, and resumes interrupted trainings."""
        await asyncio.to_thread(self.own.adopt_all)
        await self._trainer.start()

    def note_progress(self) -> None:
        """Stores the state of the training databases in the manifests of tenants."""
        self._stores.note_progress()

    async def stop(self) -> None:
        """Stops the current training. The next start resumes it."""
        await self._trainer.stop()
        await asyncio.to_thread(self._stores.close)

    async def begin(self, caller: Principal, request: TrainingRequest) -> Training:
        """Queues a training."""
        await self.sets.uid(caller, request.training_set)
        base = self._engine.encoders.manifest(request.base_encoder)
        if request.model_name in {m.encoder_id for m in await self.own.all(caller)}:
            raise ServiceError(Reason.MODEL_EXISTS, f"model {request.model_name!r} exists", field="model_name")
        if any(t.request.model_name == request.model_name and not t.state.final for t in await self.all(caller)):
            message = f"a training of {request.model_name!r} has not ended"
            raise ServiceError(Reason.TRAINING_ACTIVE, message, field="model_name")
        made = await self.sets.ask(caller, lambda store: store.create_training(replace(request, base_encoder=base.id)))
        self._trainer.submit(caller.tenant_uid, made.training_id)
        return made

    async def all(self, caller: Principal) -> list[Training]:
        """The last trainings, newest first."""
        return await self.sets.ask(caller, lambda store: store.trainings())

    async def get(self, caller: Principal, training_id: str) -> Training:
        """One training."""
        found = await self.sets.ask(caller, lambda store: store.training(training_id))
        if found is None:
            raise ServiceError(Reason.TRAINING_NOT_FOUND, f"no training {training_id[:80]!r}")
        return found

    async def cancel(self, caller: Principal, training_id: str) -> Training:
        """Cancels a training."""
        found = await self.get(caller, training_id)
        if found.state.final:
            raise ServiceError(Reason.TRAINING_ACTIVE, f"the training is already {found.state}")
        await self._trainer.cancel(caller.tenant_uid, found)
        return await self.get(caller, training_id)

    async def change(self, longest_s: float) -> None:
        """Waits until any training has changed, at most `longest_s` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s), self._trainer.changed:
                await self._trainer.changed.wait()

    async def picture(self, linked: Linked) -> bytes:
        """The picture of an example to which a link leads."""
        return await self.sets.picture(linked.tenant_uid, linked.place, linked.object_id)

    def forget(self, deleted_uids: Iterable[str]) -> list[Manifest]:
        """Closes the stores of deleted tenants. Returns their models, which must be unloaded. Call it in a thread."""
        gone = self._stores.forget(set(deleted_uids))
        return [manifest for uid in gone for manifest in self._engine.encoders.disown(uid)]

    def sweep(self) -> None:
        """Deletes orphaned objects. Failures are logged. Call it in a thread."""
        self._stores.each(lambda uid, _: self.sets.sweep_now(uid))
