"""Inserting each object of a picture as a record of its own: the parts of a record.

The part number 1, 2, ... of the record `ID` is the record `ID#1`, `ID#2`, ... Its attribute `object_of` is `ID`, which
makes it a part: no other record is ever deleted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakValueDictionary

from index import (
    AttributeValue,
    Collection,
    DigestMoved,
    KeptPicture,
    Outcome,
    RecordWrite,
    WriteResult,
    check_record,
)
from service.detector.suppression import DetectedObject, ObjectLimits
from service.encoder.fair_queue import Lane
from service.engine.change_detection import ChangeDetector, Known
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.ingest import RecordInput
from service.engine.pictures import PictureSource, Purpose
from service.errors import Reason, ServiceError
from service.intake.notes import Note
from service.runtime.call_facts import about
from service.runtime.concurrency import gather_bounded
from service.tenancy.keyring import Principal

OBJECT_OF, OBJECT_LABEL, OBJECT_SCORE = "object_of", "object_label", "object_score"
RESERVED = (OBJECT_OF, OBJECT_LABEL, OBJECT_SCORE)
MOST_PARTS = 32
_RECORDS_AT_ONCE, _PARTS_AT_ONCE = 4, 8


@dataclass(frozen=True)
class InsertOptions:
    """How records are inserted. split: how many objects become parts; None: records are not split."""

    insert_only: bool = False
    split: ObjectLimits | None = None


@dataclass(frozen=True)
class Part:
    """A part of a record that was inserted."""

    result: WriteResult
    found: DetectedObject


class Split(NamedTuple):
    """What became of a record that was to be split. result: of all parts together; if it FAILED, nothing was changed.
    removed: ids of earlier parts that the new picture does not have."""

    result: WriteResult
    parts: tuple[Part, ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


class Splitting:
    """For any tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._change_detector = engine, ChangeDetector(engine)
        # Of two inserts of one record at a time, the later one decides alone which parts there are.
        self._storing: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    async def insert(
        self, principal: Principal, collection: Collection, records: Sequence[RecordInput | ServiceError],
        options: InsertOptions,
    ) -> list[Split]:  # fmt: skip
        """Inserts the parts of records; each record is inserted as a whole or fails alone. Results are in order.

        Raises ServiceError (DETECTOR_MISSING).
        """
        self._engine.detection.check()

        async def one(record: RecordInput | ServiceError) -> Split:
            if isinstance(record, ServiceError):
                return Split(WriteResult("", Outcome.FAILED, error=record))
            with about(record_id=record.write.record_id):
                try:
                    return await self._split(principal.tenant_uid, collection, record, options)
                except Exception as error:
                    return Split(WriteResult(record.write.record_id, Outcome.FAILED, error=as_service_error(error)))

        return await gather_bounded((one(record) for record in records), _RECORDS_AT_ONCE)

    async def _split(self, tenant: str, collection: Collection, record: RecordInput, options: InsertOptions) -> Split:
        write, picture = record.write, record.picture
        if picture is None:
            raise ServiceError(Reason.ARGUMENT_INVALID, "a vector has no objects to split into", field="vector")
        check_record(write)
        if taken := [name for name in RESERVED if name in write.attributes]:
            message = f"the attribute {taken[0]!r} is set by split_objects"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="attributes")
        given = replace(picture, partial=collection.spec.partial)
        resolved = await self._engine.sources.resolved(given, tenant)
        found = await self._engine.detection.detect(
            resolved, Purpose(tenant, Lane.INSERT), options.split or ObjectLimits(1)
        )
        objects = found.or_all(picture.region)
        asked = [_part_of(write, number, one) for number, one in enumerate(objects, 1)]
        earlier = [part_id(write.record_id, number) for number in range(len(objects) + 1, MOST_PARTS + 1)]
        known = await self._change_detector.known(collection, [w.record_id for w in asked], ())

        storing = self._storing.setdefault((tenant, collection.spec.name, write.record_id), asyncio.Lock())

        async def store(known: Known) -> tuple[list[WriteResult], tuple[str, ...]]:
            prepared = (
                self._change_detector.with_picture(
                    tenant, collection, part, replace(resolved, region=part.region), known
                )
                for part in asked
            )
            ready = [_with_url(p.write, picture, collection) for p in await gather_bounded(prepared, _PARTS_AT_ONCE)]
            async with storing:
                return await self._engine.workers.write(
                    _stored, collection, ready, earlier, write.record_id, options.insert_only
                )

        with translated_errors():
            try:
                results, removed = await store(known)
            except DigestMoved:  # somebody changed a part meanwhile
                results, removed = await store(Known())
        parts = tuple(Part(result, one) for result, one in zip(results, objects, strict=True))
        return Split(_together(write.record_id, results, removed), parts, removed, found.notes)


def part_id(record_id: str, number: int) -> str:
    """The id of a part of a record; numbers begin with 1."""
    return f"{record_id}#{number}"


def _part_of(write: RecordWrite, number: int, found: DetectedObject) -> RecordWrite:
    """A part without its vector. Parts of a record without a product id are grouped by the record."""
    added: dict[str, AttributeValue] = {OBJECT_OF: write.record_id, OBJECT_SCORE: found.score}
    if found.label:
        added[OBJECT_LABEL] = found.label
    return replace(
        write, record_id=part_id(write.record_id, number), product_id=write.product_id or write.record_id,
        region=found.region,
        attributes={**write.attributes, **added},
    )  # fmt: skip


def _with_url(write: RecordWrite, picture: PictureSource, collection: Collection) -> RecordWrite:
    """A collection that keeps references keeps the URL of the whole picture, which was fetched already."""
    policy = collection.spec.picture_policy
    if picture.url and policy.keeps_urls:
        return replace(write, kept=KeptPicture(url=picture.url))
    return write


def _stored(
    collection: Collection, writes: Sequence[RecordWrite], earlier: Sequence[str], record_id: str, insert_only: bool
) -> tuple[list[WriteResult], tuple[str, ...]]:
    """Stores all parts, and deletes those of `earlier` that are parts of the record, in one transaction."""
    stale = [r for r in collection.get(earlier).values() if r.attributes.get(OBJECT_OF) == record_id]
    rows = [(record.row_id, record.sequence) for record in stale]
    results = collection.upsert_together(writes, insert_only=insert_only, delete=rows)
    return results, tuple(record.record_id for record in stale)


def _together(record_id: str, results: Sequence[WriteResult], removed: Sequence[str]) -> WriteResult:
    outcomes = {result.outcome for result in results}
    outcome = next(iter(outcomes)) if len(outcomes) == 1 and not removed else Outcome.UPDATED
    return WriteResult(record_id, outcome, max(result.sequence for result in results))
