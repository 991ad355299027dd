"""Inserting records: digest first, encode what is new, write once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from index import Collection, DigestMoved, Outcome, RecordWrite, WriteResult, check_record
from service.engine.change_detection import ChangeDetector, Known, PreparedWrite
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.pictures import PictureSource
from service.errors import Reason, ServiceError
from service.intake.notes import Note
from service.runtime.call_facts import about
from service.runtime.concurrency import gather_bounded
from service.tenancy.keyring import Principal


@dataclass(frozen=True)
class RecordInput:
    """A record to insert. picture: the write gets its vector; None if the write has one."""

    write: RecordWrite
    picture: PictureSource | None = None


class Inserted(NamedTuple):
    """What became of a record, and what there is to say about its picture."""

    result: WriteResult
    notes: tuple[Note, ...] = ()


Prepared = PreparedWrite | ServiceError
_AT_ONCE = 16  # pictures of one call that are worked on at a time


class Ingest:
    """Inserts for any tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._change_detector = engine, ChangeDetector(engine)

    async def insert(
        self,
        principal: Principal,
        collection_name: str,
        records: Sequence[RecordInput | ServiceError],
        *,
        insert_only: bool,
    ) -> list[Inserted]:
        """One result per record, in order; a ServiceError among the records becomes its own failure.

        Raises ServiceError where the collection does not exist or nothing could be stored.
        """
        collection = await self._engine.collection(principal, collection_name)
        known = await self._known(collection, records)
        tenant = principal.tenant_uid
        prepared = await self._prepare_all(tenant, collection, records, known)
        results = await self._write(collection, records, prepared, insert_only)
        moved = [i for i, r in enumerate(results) if isinstance(r.result.error, DigestMoved)]
        if moved:
            repeated = [records[i] for i in moved]
            again = await self._prepare_all(tenant, collection, repeated, Known())
            retried = await self._write(collection, repeated, again, insert_only)
            for i, result in zip(moved, retried, strict=True):
                results[i] = result
        return results

    async def _known(self, collection: Collection, records: Sequence[RecordInput | ServiceError]) -> Known:
        pictures = [
            (r.write.record_id, r.picture) for r in records if isinstance(r, RecordInput) and r.picture is not None
        ]
        ids, fetched = [i for i, _ in pictures], [i for i, p in pictures if p.image is None]
        return await self._change_detector.known(collection, ids, fetched)

    async def _prepare_all(
        self, tenant: str, collection: Collection, records: Sequence[RecordInput | ServiceError], known: Known
    ) -> list[Prepared]:
        return await gather_bounded((self._prepare(tenant, collection, r, known) for r in records), _AT_ONCE)

    async def _prepare(
        self, tenant: str, collection: Collection, record: RecordInput | ServiceError, known: Known
    ) -> Prepared:
        if isinstance(record, ServiceError):
            return record
        write = record.write
        with about(record_id=write.record_id):
            try:
                check_record(write)
                if record.picture is None:
                    return PreparedWrite(write)
                return await self._change_detector.with_picture(tenant, collection, write, record.picture, known)
            except Exception as error:
                return as_service_error(error)

    async def _write(
        self,
        collection: Collection,
        records: Sequence[RecordInput | ServiceError],
        prepared: Sequence[Prepared],
        insert_only: bool,
    ) -> list[Inserted]:
        writes = [p.write for p in prepared if isinstance(p, PreparedWrite)]
        with translated_errors(), self._engine.metrics.picture_seconds.labels("store").time():
            stored = iter(await self._engine.workers.write(collection.upsert, writes, insert_only=insert_only))
        results = []
        for record, item in zip(records, prepared, strict=True):
            if isinstance(item, PreparedWrite):
                results.append(Inserted(next(stored), item.notes))
            else:
                record_id = record.write.record_id if isinstance(record, RecordInput) else ""
                results.append(Inserted(WriteResult(record_id, Outcome.FAILED, error=item)))
        return results


def missing_source() -> ServiceError:
    """The failure of a record that has neither picture nor vector."""
    return ServiceError(Reason.SOURCE_MISSING, "set exactly one of image, url and vector", field="image")
