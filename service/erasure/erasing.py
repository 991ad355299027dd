"""Permanent erasure at a tenant's request, with a signed receipt.

Data is removed from the store and its log, from memory, from every snapshot, from object storage and from the state of
syncs. Each erasure is stored before it begins (`model`). If the object storage fails, or the process ends, the intent
stays open. `finishing`, or a repetition of the call, then finishes it. A repetition returns the receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from index import CollectionSpec, Dropped, PicturePolicy, lost_by
from service.audit.acts import OpenAct
from service.audit.recorder import Act, current_act
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.erasure.finishing import Finishing
from service.erasure.model import COLLECTION, MODEL, PICTURES, TRAINING_SET, Erasure
from service.erasure.receipts import Receipt
from service.erasure.remains import Remains
from service.errors import Reason, ServiceError
from service.sync.ledgers import Ledgers
from service.tenancy.keyring import Principal
from service.tracing.allowed import Stage
from service.tracing.spans import stage
from service.training.own_training import OwnTraining


@dataclass(frozen=True)
class ErasingParts:
    """The dependencies of erasing."""

    engine: Engine
    ledgers: Ledgers
    training: OwnTraining
    remains: Remains
    finishing: Finishing


@dataclass(frozen=True)
class PolicyChange:
    """The result of a change of policy. `dropped`: what was deleted or, if nothing was changed, what would be."""

    spec: CollectionSpec
    dropped: Dropped
    changed: bool
    receipt: Receipt | None = None


class Erasing:
    """Erasures of all tenants. Methods must run within an audited call, whose current act they use."""

    def __init__(self, parts: ErasingParts) -> None:
        self._parts, self._finishing, self._remains = parts, parts.finishing, parts.remains
        metrics = parts.engine.metrics
        self._policy_changes = metrics.policy_changes

    async def records(
        self, caller: Principal, name: str, record_ids: Sequence[str], product_ids: Sequence[str]
    ) -> Receipt:
        """Erases records by id and by product. Returns when nothing of them is left. Raises ServiceError."""
        engine, act, ids = self._parts.engine, current_act(), (*record_ids, *product_ids)
        collection = await engine.collection(caller, name)
        async with self._finishing.alone(caller.tenant_uid, name):
            erasure = Erasure.of_records(name, collection.pictures.home, ids)
            await self._note(act, erasure)
            with translated_errors(), stage(Stage.STORE):
                erased = await engine.workers.upkeep(collection.erase, record_ids, product_ids)
                await asyncio.to_thread(self._forget_in_runs, caller.tenant_uid, set(ids))
            before = await self._finishing.earlier(act, erasure, ids)
            if not erased.records and not before.begun and before.receipt is not None:
                act.finishes(before.number)
                return before.receipt
            erasure = erasure.erased(
                erased.records + before.records, sequence=erased.sequence, snapshots=erased.kept_snapshots
            )
            await self._note(act, erasure)
            act.leave_open()
            await self._finishing.take_over(act, before.begun)
            await self._remains.sweep(caller.tenant_uid, erasure)
            return await self._certified(act, erasure)

    async def collection(self, caller: Principal, name: str) -> Receipt:
        """Erases a collection with all its files and snapshots. Raises ServiceError."""
        engine, act = self._parts.engine, current_act()
        async with self._finishing.alone(caller.tenant_uid, name):
            try:
                collection = await engine.collection(caller, name)
            except ServiceError as error:
                if error.reason is not Reason.COLLECTION_NOT_FOUND:
                    raise
                return await self._finished_earlier(act, COLLECTION, name, error)
            directory = await engine.directory(caller)
            with translated_errors():
                count = await engine.workers.read(collection.count)
                erasure = Erasure(COLLECTION, name, collection.pictures.home, count)
                await self._note(act, erasure)
                act.leave_open()
                await engine.workers.write(directory.delete, name, with_kept=True)
            await self._remains.sweep(caller.tenant_uid, erasure)
            return await self._certified(act, erasure)

    async def training_set(self, caller: Principal, name: str) -> Receipt:
        """Deletes a training set with all its pictures. Raises ServiceError."""
        act, sets = current_act(), self._parts.training.sets
        async with self._finishing.alone(caller.tenant_uid, name):
            try:
                found, _ = await sets.get(caller, name)
            except ServiceError as error:
                if error.reason is not Reason.TRAINING_SET_NOT_FOUND:
                    raise
                return await self._finished_earlier(act, TRAINING_SET, name, error)
            erasure = Erasure(TRAINING_SET, name, found.uid, found.examples)
            await self._note(act, erasure)
            act.leave_open()
            erasure = erasure.erased(await sets.take_away(caller, found.uid))
            await self._remains.sweep(caller.tenant_uid, erasure)
            return await self._certified(act, erasure)

    async def model(self, caller: Principal, encoder_id: str) -> None:
        """Deletes a model. Returns when its file is deleted. Raises ServiceError."""
        act, own = current_act(), self._parts.training.own
        async with self._finishing.alone(caller.tenant_uid, encoder_id):
            try:
                model = await own.get(caller, encoder_id)
            except ServiceError as error:
                if error.reason is not Reason.MODEL_NOT_FOUND:
                    raise
                with translated_errors():
                    await self._finishing.finish_earlier(act, MODEL, encoder_id, error)
                return
            erasure = Erasure(MODEL, encoder_id, model.object_id)
            await self._note(act, erasure)
            act.leave_open()
            await own.take_away(caller, encoder_id)
            await self._remains.sweep(caller.tenant_uid, erasure)

    async def policy(self, caller: Principal, name: str, policy: PicturePolicy, *, force: bool) -> PolicyChange:
        """Changes the picture policy. Returns when everything that the new policy does not allow is deleted.

        Without `force`, nothing is changed if something would be deleted. Raises ServiceError.
        """
        engine, act = self._parts.engine, current_act()
        collection, directory = await engine.collection(caller, name), await engine.directory(caller)
        async with self._finishing.alone(caller.tenant_uid, name):
            before = collection.spec
            with translated_errors():
                there = await engine.workers.read(collection.pictures.counts)
            lost = lost_by(there, policy)
            if lost != Dropped() and not force:
                return PolicyChange(before, lost, changed=False)
            home = collection.pictures.home
            erasure = Erasure(PICTURES, name, home, lost.copies + lost.urls, version=before.policy_version)
            await self._note(act, erasure)
            act.leave_open()
            with translated_errors():
                collection, dropped = await engine.workers.upkeep(directory.set_policy, name, policy)
                swept = await engine.workers.upkeep(engine.picture_storage.sweep, caller.tenant_uid, collection)
            return await self._policy_changed(
                act, erasure, before, PolicyChange(collection.spec, dropped, False), swept
            )

    async def _policy_changed(
        self, act: Act, erasure: Erasure, before: CollectionSpec, done: PolicyChange, swept: int
    ) -> PolicyChange:
        spec, dropped = done.spec, done.dropped
        changed = spec.policy_version != before.policy_version
        if changed:
            act.tell({"from": before.picture_policy.value})
            self._policy_changes.labels(spec.picture_policy.value).inc()
        # Copies may remain from an earlier change whose deletion the storage refused.
        left = 0 if spec.picture_policy.keeps_copies else swept
        earlier = await self._finishing.earlier(act, erasure)
        begun = [a for a in earlier.begun if Erasure.from_json(a.resume).version < before.policy_version]
        cut_off = sum(Erasure.from_json(a.resume).records for a in begun)
        receipt = None
        if dropped != Dropped() or left or cut_off or (changed and before.picture_policy.keeps_anything):
            count = (dropped.copies or left) + dropped.urls
            receipt = await self._certified(act, erasure.erased(max(count, cut_off)), earlier.begun)
        elif earlier.receipt is not None and not changed:
            act.finishes(earlier.number)
            receipt = earlier.receipt
        return PolicyChange(spec, dropped, changed, receipt)

    def _forget_in_runs(self, tenant_uid: str, ids: set[str]) -> None:
        ledger = self._parts.ledgers.of_if_any(tenant_uid)
        if ledger is not None:
            ledger.forget_records(ids)

    async def _note(self, act: Act, erasure: Erasure) -> None:
        with translated_errors():
            await act.note(erasure.to_json())

    async def _certified(self, act: Act, erasure: Erasure, closes: Sequence[OpenAct] = ()) -> Receipt:
        with translated_errors():
            return await self._finishing.certified(act, erasure, closes)

    async def _finished_earlier(self, act: Act, what: str, place: str, missing: ServiceError) -> Receipt:
        """The receipt of an earlier call. Raises `missing` if there is none."""
        with translated_errors():
            receipt = await self._finishing.finish_earlier(act, what, place, missing)
        if receipt is None:
            raise missing
        return receipt
