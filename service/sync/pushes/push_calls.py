"""Changes of one item of a source between two feeds.

A push is one transaction of the collection, in which the order between it and feeds is decided. It needs no lease: a
run that works meanwhile checks in its own transactions what was pushed since its feed was current.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from index import DigestMoved, InvalidInput, ItemPush, Outcome, PushResult, RecordWrite, check_id
from service.engine.change_detection import Known
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.access import SyncAccess
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feeds.model import Item
from service.sync.pushes.pushed_item import read_item
from service.sync.runs.preparing import RecordPreparer, SyncJob
from service.sync.runs.staging import Staged, item_key, records_of
from service.sync.source_model import Source
from service.tenancy.keyring import Principal

_AHEAD_MS = 300_000  # how far the clock of a shop may be ahead of this one
_READS = 4  # items that are read at a time


@dataclass(frozen=True)
class ItemChange:
    """A change of one item.

    - `item_json`: the item as the feed has it; empty: the item is deleted.
    - `item_id`: of the item to delete.
    - `changed_ms`: when it was made, in milliseconds since 1970; 0: now.
    """

    item_json: str = ""
    item_id: str = ""
    changed_ms: int = 0


@dataclass(frozen=True)
class Pushed:
    """What came of a change.

    - `outcome`: created, updated, unchanged, deleted or skipped.
    - `reason`, `message`: why it was skipped.
    - `records`: how many records the item has now. `deleted`: how many were taken out.
    - `sequence`: of the collection's last change by it; 0: nothing was changed.
    - `notes`: what of the item was left out, and why.
    """

    outcome: str
    item_id: str
    reason: str = ""
    message: str = ""
    records: int = 0
    deleted: int = 0
    sequence: int = 0
    notes: tuple[str, ...] = ()


class PushCalls(SyncAccess):
    """For one event loop. All methods raise ServiceError."""

    _reading: asyncio.Semaphore | None = None

    async def push(self, principal: Principal, name: str, change: ItemChange) -> Pushed:
        """Stores a change of one item of a source, given by name or id, whole or not at all."""
        arrived_ms = now_ms(self._clock)
        if change.changed_ms < 0 or change.changed_ms > arrived_ms + _AHEAD_MS:
            message = "the time of the change is before 1970, or more than 5 minutes in the future"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="change_time")
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._read(ledger.source, name)
        item = await self._item(source, change)
        job = await self._job(principal, source)
        push = ItemPush(source.source_id, item.item_id, min(change.changed_ms or arrived_ms, arrived_ms))
        late = await self._read(job.sourced.standing, push)  # before pictures are fetched
        stored = late or await self._stored(job, push, item)
        return _pushed(stored, item)

    async def _item(self, source: Source, change: ItemChange) -> Item:
        if not change.item_json:
            try:
                check_id("delete_item_id", change.item_id)
            except InvalidInput as error:
                raise ServiceError(Reason.ARGUMENT_INVALID, str(error), field="delete_item_id") from None
            return Item(0, change.item_id, "", (), {}, deleted=True)
        if self._reading is None:
            self._reading = asyncio.Semaphore(_READS)
        async with self._reading:
            return await self._read(read_item, self._parts.readers, source, change.item_json)

    async def _job(self, principal: Principal, source: Source) -> SyncJob:
        config = source.config
        collection = await self._engine.collection(principal, config.collection)
        place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
        from_disk = config.url.startswith(PREFIX)
        return SyncJob(
            principal.tenant_uid, collection, source.source_id, "push", 0, place.files, from_disk, lambda: None
        )

    async def _stored(self, job: SyncJob, push: ItemPush, item: Item) -> PushResult:
        if item.deleted:
            return await self._write(job.sourced.push, push, ())
        key = item_key(await self._read(self._parts.ledgers.data_key, job.tenant_uid))
        rows = await self._read(lambda: list(records_of(item, key, job.url_digest)))
        preparer = RecordPreparer(self._engine, job)
        known = await preparer.known([row.record_id for row in rows])
        writes = await self._prepared(preparer, rows, known)
        with translated_errors():
            try:
                return await self._workers.write(job.sourced.push, push, writes)
            except DigestMoved:  # a record changed in the meantime: encode all pictures again
                writes = await self._prepared(preparer, rows, Known())
                return await self._workers.write(job.sourced.push, push, writes)

    async def _prepared(self, preparer: RecordPreparer, rows: Sequence[Staged], known: Known) -> list[RecordWrite]:
        """The writes of the records. Raises what refuses the first picture that cannot be used."""
        writes = []
        with translated_errors():
            for row in rows:
                writes.append((await preparer.prepared(row, known)).write)
        return writes


def _pushed(stored: PushResult, item: Item) -> Pushed:
    if stored.outcome != "applied":
        reason, message = _why_skipped(stored)
        return Pushed("skipped", item.item_id, reason, message, notes=item.notes)
    outcomes = {result.outcome for result in stored.results}
    if item.deleted:
        outcome = "deleted" if stored.deleted else "unchanged"
    elif stored.results[0].outcome is Outcome.CREATED:
        outcome = "created"
    else:
        outcome = "unchanged" if outcomes <= {Outcome.UNCHANGED} and not stored.deleted else "updated"
    return Pushed(
        outcome, item.item_id, records=len(stored.results), deleted=stored.deleted, sequence=stored.sequence,
        notes=item.notes,
    )  # fmt: skip


def _why_skipped(stored: PushResult) -> tuple[str, str]:
    if stored.outcome == "stale":
        return "FEED_NEWER", "the feed that was applied last is newer than this change"
    if stored.outcome == "superseded":
        return "PUSH_NEWER", "a later change of this item was pushed before"
    return "OTHER_SOURCE", f"record {stored.other!r} follows another source"
