"""Lists, loads and deletes tenants' own models, each for its owner only."""

from __future__ import annotations

from functools import partial

from service.encoder.manifest import Manifest
from service.encoder.registry import OwnEncoder
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError
from service.tenancy.keyring import Principal
from service.training.model import OwnModel
from service.training.store import MODELS_HOME, TrainingStore
from service.training.stores import TrainingStores


class OwnModels:
    """The models of all tenants."""

    def __init__(self, stores: TrainingStores, engine: Engine) -> None:
        self._stores, self._engine = stores, engine

    def adopt_all(self) -> None:
        """Registers the models of all tenants with the encoder registry, at the start."""

        def adopted(tenant_uid: str, store: TrainingStore) -> None:
            for model in store.models():
                self.adopt(tenant_uid, model)

        self._stores.each(adopted)

    def adopt(self, tenant_uid: str, model: OwnModel) -> None:
        """Registers a model for its owner. Its file is read and decrypted on first use."""
        manifest = Manifest.model_validate_json(model.manifest)
        read = partial(self._engine.objects.get, tenant_uid, MODELS_HOME, model.object_id)
        self._engine.encoders.adopt(tenant_uid, OwnEncoder(manifest, read))

    async def all(self, caller: Principal) -> list[OwnModel]:
        """The caller's models, ordered by id. Raises ServiceError."""
        with translated_errors():
            return await self._engine.workers.read(lambda: self._stores.of(caller.tenant_uid).models())

    async def get(self, caller: Principal, encoder_id: str) -> OwnModel:
        """One of the caller's models. Raises ServiceError (MODEL_NOT_FOUND)."""
        found = next((m for m in await self.all(caller) if m.encoder_id == encoder_id), None)
        if found is None:
            raise ServiceError(Reason.MODEL_NOT_FOUND, f"no model {encoder_id[:80]!r}")
        return found

    async def pinned(self, caller: Principal, encoder_id: str) -> list[str]:
        """Names of the caller's collections that use a model."""
        directory = await self._engine.directory(caller)
        return sorted(c.spec.name for c in directory.every() if c.spec.encoder_id == encoder_id)

    async def take_away(self, caller: Principal, encoder_id: str) -> None:
        """Deletes a model. Its file is then orphaned; `clear` deletes it. Raises ServiceError."""
        uid, engine = caller.tenant_uid, self._engine
        for manifest in engine.encoders.disown(uid, encoder_id):
            await engine.pictures.put_away(manifest)
        with translated_errors():
            await engine.workers.upkeep(lambda: self._stores.of(uid).delete_model(encoder_id))

    async def clear(self, tenant_uid: str, object_id: str) -> None:
        """Deletes the file of a deleted model. Raises ServiceError."""
        engine = self._engine
        with translated_errors():
            await engine.workers.upkeep(engine.objects.delete, tenant_uid, MODELS_HOME, [object_id])
            await engine.workers.upkeep(lambda: self._stores.of(tenant_uid).forget_loose([(MODELS_HOME, object_id)]))

    async def holds(self, tenant_uid: str, object_id: str) -> bool:
        """Whether an object is the file of a model of the tenant."""
        with translated_errors():
            found = await self._engine.workers.read(lambda: self._stores.of(tenant_uid).models())
        return any(m.object_id == object_id for m in found)
