"""Inserting records: digest first, encode what is new, write once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from index import Collection, DigestMoved, Outcome, RecordWrite, Vector, WriteResult
from index.checks import check_record
from index.model import Attributes
from service.encoder.batcher import Lane
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.pictures import PictureSource
from service.errors import Reason, ServiceError
from service.tenancy.registry import Principal


@dataclass(frozen=True)
class RecordInput:
    """A record as it was sent. Exactly one of `picture` and `vector` is set."""

    record_id: str
    product_id: str = ""
    attributes: Attributes = field(default_factory=dict)
    picture: PictureSource | None = None
    vector: Vector | None = None


Prepared = RecordWrite | ServiceError


class Ingest:
    """Inserts for any tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def insert(
        self,
        principal: Principal,
        collection_name: str,
        records: Sequence[RecordInput | ServiceError],
        *,
        insert_only: bool,
    ) -> list[WriteResult]:
        """One result per record, in order; a ServiceError among the records becomes its own failure.

        Raises ServiceError where the collection does not exist or nothing could be stored.
        """
        collection = await self._engine.collection(principal, collection_name)
        known = await self._known_digests(collection, records)
        prepared = await asyncio.gather(*(self._prepare(collection, r, known) for r in records))
        results = await self._write(collection, records, prepared, insert_only)
        moved = [i for i, r in enumerate(results) if isinstance(r.error, DigestMoved)]
        if moved:
            again = await asyncio.gather(*(self._prepare(collection, records[i], {}) for i in moved))
            retried = await self._write(collection, [records[i] for i in moved], again, insert_only)
            for i, result in zip(moved, retried, strict=True):
                results[i] = result
        return results

    async def _known_digests(
        self, collection: Collection, records: Sequence[RecordInput | ServiceError]
    ) -> dict[str, bytes]:
        ids = [r.record_id for r in records if isinstance(r, RecordInput) and r.picture is not None]
        with translated_errors():
            return await self._engine.workers.read(collection.digests, ids) if ids else {}

    async def _prepare(
        self, collection: Collection, record: RecordInput | ServiceError, known: dict[str, bytes]
    ) -> Prepared:
        if isinstance(record, ServiceError):
            return record
        write = RecordWrite(record.record_id, record.vector, record.product_id, record.attributes)
        try:
            check_record(write)
            if record.picture is None:
                return write
            return await self._with_picture(collection, write, record.picture, known)
        except Exception as error:
            return as_service_error(error)

    async def _with_picture(
        self, collection: Collection, write: RecordWrite, picture: PictureSource, known: dict[str, bytes]
    ) -> RecordWrite:
        engine = self._engine
        encoder = engine.encoder_of(collection)
        image = await engine.pictures.image_bytes(picture)
        digest = await engine.workers.decode(collection.content_digest, image, picture.region)
        write = replace(write, region=picture.region, digest=digest)
        if known.get(write.record_id) == digest:
            return write  # the same picture: the stored vector stays
        vector = await engine.pictures.encode(picture, encoder, Lane.INSERT)
        return replace(write, vector=vector)

    async def _write(
        self,
        collection: Collection,
        records: Sequence[RecordInput | ServiceError],
        prepared: Sequence[Prepared],
        insert_only: bool,
    ) -> list[WriteResult]:
        writes = [p for p in prepared if isinstance(p, RecordWrite)]
        with translated_errors():
            stored = iter(await self._engine.workers.write(collection.upsert, writes, insert_only=insert_only))
        results = []
        for record, item in zip(records, prepared, strict=True):
            if isinstance(item, RecordWrite):
                results.append(next(stored))
            else:
                record_id = record.record_id if isinstance(record, RecordInput) else ""
                results.append(WriteResult(record_id, Outcome.FAILED, error=item))
        return results


def missing_source() -> ServiceError:
    """The failure of a record that has neither picture nor vector."""
    return ServiceError(Reason.SOURCE_MISSING, "give exactly one of image, url and vector", field="image")
