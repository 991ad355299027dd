"""Records, products and collections, erased for good: out of the store, its log, the memory, every snapshot and what
syncs remember; then certified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from index import CollectionSpec, PicturePolicy
from index.pictures import Dropped, lost_by
from service.audit.logs import AuditLogs
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.erasure.receipts import Erased, Receipt, certify
from service.sync.ledgers import Ledgers
from service.tenancy.database import now_ms
from service.tenancy.keyring import Principal


@dataclass(frozen=True)
class ErasingParts:
    """What erasing works with."""

    engine: Engine
    ledgers: Ledgers
    audit: AuditLogs


@dataclass(frozen=True)
class PolicyChange:
    """What became of a change of policy. dropped: what was deleted, or, where nothing was changed, what would be."""

    spec: CollectionSpec
    dropped: Dropped
    changed: bool
    receipt: Receipt | None = None


class Erasing:
    """For any tenant."""

    def __init__(self, parts: ErasingParts) -> None:
        self._parts = parts

    async def records(
        self, caller: Principal, collection_name: str, record_ids: Sequence[str], product_ids: Sequence[str]
    ) -> Receipt:
        """Erases records by id and by product; returns once nothing of them is left. Raises ServiceError."""
        engine, uid = self._parts.engine, caller.tenant_uid
        collection = await engine.collection(caller, collection_name)
        with translated_errors():
            erased = await engine.workers.upkeep(collection.erase, record_ids, product_ids)
            await engine.workers.upkeep(engine.keeping.sweep, uid, collection)
            await asyncio.to_thread(self._forget_in_runs, uid, {*record_ids, *product_ids})
        ids = (*record_ids, *product_ids)
        found = Erased(
            uid, "records", collection_name, erased.records, now_ms(), ids, erased.sequence, erased.kept_snapshots
        )
        return await self.certified(caller, found)

    async def collection(self, caller: Principal, name: str) -> Receipt:
        """Erases a collection with all its files and snapshots. Raises ServiceError."""
        engine = self._parts.engine
        directory = await engine.directory(caller)
        collection = await engine.collection(caller, name)
        with translated_errors():
            records = await engine.workers.read(collection.count)
            await engine.workers.write(directory.delete, name)
            await engine.workers.upkeep(engine.keeping.sweep_deserted, caller.tenant_uid, directory)
        return await self.certified(caller, Erased(caller.tenant_uid, "collection", name, records, now_ms()))

    async def policy(self, caller: Principal, name: str, policy: PicturePolicy, *, force: bool) -> PolicyChange:
        """Changes what is kept of pictures; returns once what the new policy does not allow is deleted. Without `force`
        nothing is changed where something would be deleted. Raises ServiceError."""
        engine = self._parts.engine
        collection, directory = await engine.collection(caller, name), await engine.directory(caller)
        before = collection.spec
        with translated_errors():
            there = await engine.workers.read(collection.pictures.counts)
            lost = lost_by(there, policy)
            if lost != Dropped() and not force:
                return PolicyChange(before, lost, changed=False)
            collection, dropped = await engine.workers.upkeep(directory.set_policy, name, policy)
        spec, receipt = collection.spec, None
        changed = spec.policy_version != before.policy_version
        if changed:
            told: dict[str, str | int | bool] = {
                "collection": name, "from": before.picture_policy.value, "to": policy.value,
                "version": spec.policy_version,
            }  # fmt: skip
            with translated_errors():
                await asyncio.to_thread(self._parts.audit.add, caller.tenant_uid, caller.actor, "picture.policy", told)
        with translated_errors():  # the copies may be of a change whose deletion the storage refused
            swept = await engine.workers.upkeep(engine.keeping.sweep, caller.tenant_uid, collection)
        left = swept if policy is not PicturePolicy.ENCRYPTED_COPY else 0
        if dropped != Dropped() or left or (changed and before.picture_policy is not PicturePolicy.DISCARD):
            count = (dropped.copies or left) + dropped.urls
            receipt = await self.certified(caller, Erased(caller.tenant_uid, "pictures", name, count, now_ms()))
        return PolicyChange(spec, dropped, changed, receipt)

    def _forget_in_runs(self, tenant_uid: str, ids: set[str]) -> None:
        ledger = self._parts.ledgers.of_if_any(tenant_uid)
        if ledger is not None:
            ledger.forget_records(ids)

    async def certified(self, caller: Principal, erased: Erased) -> Receipt:
        """A receipt for what was erased, told in the audit log. Raises ServiceError."""
        receipt = certify(erased, self._parts.audit.signer)
        told: dict[str, str | int | bool] = {
            "what": erased.what, "collection": erased.collection, "records": erased.records,
            "receipt": receipt.receipt_id,
        }  # fmt: skip
        with translated_errors():
            await asyncio.to_thread(self._parts.audit.add, caller.tenant_uid, caller.actor, "erasure", told)
        return receipt
