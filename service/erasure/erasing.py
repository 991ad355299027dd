"""Records, products and collections, erased for good: out of the store, its log, the memory, every snapshot and what
syncs remember; then certified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

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
            await asyncio.to_thread(self._forget_in_runs, uid, {*record_ids, *product_ids})
        ids = (*record_ids, *product_ids)
        found = Erased(
            uid, "records", collection_name, erased.records, now_ms(), ids, erased.sequence, erased.kept_snapshots
        )
        return await self._certified(caller, found)

    async def collection(self, caller: Principal, name: str) -> Receipt:
        """Erases a collection with all its files and snapshots. Raises ServiceError."""
        engine = self._parts.engine
        directory = await engine.directory(caller)
        collection = await engine.collection(caller, name)
        with translated_errors():
            records = await engine.workers.read(collection.count)
            await engine.workers.write(directory.delete, name)
        return await self._certified(caller, Erased(caller.tenant_uid, "collection", name, records, now_ms()))

    def _forget_in_runs(self, tenant_uid: str, ids: set[str]) -> None:
        ledger = self._parts.ledgers.of_if_any(tenant_uid)
        if ledger is not None:
            ledger.forget_records(ids)

    async def _certified(self, caller: Principal, erased: Erased) -> Receipt:
        receipt = certify(erased, self._parts.audit.signer)
        told: dict[str, str | int | bool] = {
            "what": erased.what, "collection": erased.collection, "records": erased.records,
            "receipt": receipt.receipt_id,
        }  # fmt: skip
        with translated_errors():
            await asyncio.to_thread(self._parts.audit.add, caller.tenant_uid, caller.actor, "erasure", told)
        return receipt
