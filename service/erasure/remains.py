"""What is left of something that is being erased: whether it still exists, and its objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from index import Collection
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.erasure.model import COLLECTION, MODEL, PICTURES, RECORDS, TRAINING_SET, Erasure
from service.training.own_training import OwnTraining


class Remains:
    """For all tenants. All methods raise ServiceError."""

    def __init__(self, engine: Engine, training: OwnTraining, forget: Callable[[str], Awaitable[None]]) -> None:
        """`forget`: returns once no other process, and no other server that runs, has what was erased of a tenant."""
        self._engine, self._training, self._forget = engine, training, forget
        self._sweeps: dict[str, Callable[[str, Erasure], Awaitable[None]]] = {
            COLLECTION: self._sweep_collection, RECORDS: self._sweep_copies, PICTURES: self._sweep_copies,
            TRAINING_SET: lambda uid, e: training.sets.clear(uid, e.home),
            MODEL: lambda uid, e: training.own.clear(uid, e.home),
        }  # fmt: skip

    async def gone(self, tenant_uid: str, erasure: Erasure) -> bool | None:
        """Whether only objects are left of it; None if unknown."""
        what = erasure.what
        if what == TRAINING_SET:
            return not await self._training.sets.exists(tenant_uid, erasure.place, erasure.home)
        if what == MODEL:
            return not await self._training.own.holds(tenant_uid, erasure.home)
        there = await self.collection_at(tenant_uid, erasure.home)
        if what == COLLECTION or there is None:
            return there is None
        if what == PICTURES:
            return there.spec.policy_version > erasure.version
        return True if erasure.gone else None

    async def sweep(self, tenant_uid: str, erasure: Erasure) -> None:
        """Deletes its objects. Returns when none is left, and no other process of the server holds anything of it in
        memory. Raises UNAVAILABLE if the storage fails, or another process does not answer."""
        with translated_errors():
            await self._sweeps[erasure.what](tenant_uid, erasure)
        await self._forget(tenant_uid)

    async def collection_at(self, tenant_uid: str, home: str) -> Collection | None:
        """The collection whose pictures are stored under `home`."""
        with translated_errors():
            directory = await self._engine.workers.read(self._engine.spaces.directory, tenant_uid)
        return next((c for c in directory.every() if c.pictures.home == home), None)

    async def _sweep_collection(self, tenant_uid: str, erasure: Erasure) -> None:
        engine = self._engine
        directory = await engine.workers.read(engine.spaces.directory, tenant_uid)
        await engine.workers.upkeep(engine.picture_storage.sweep_deserted, tenant_uid, directory)

    async def _sweep_copies(self, tenant_uid: str, erasure: Erasure) -> None:
        collection = await self.collection_at(tenant_uid, erasure.home)
        if collection is None:
            await self._sweep_collection(tenant_uid, erasure)
        else:
            await self._engine.workers.upkeep(self._engine.picture_storage.sweep, tenant_uid, collection)
