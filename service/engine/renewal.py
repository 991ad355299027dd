"""A record's picture, encoded only where it is another one than the collection knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from index import Collection, Origin, RecordWrite
from service.encoder.fair_queue import Lane
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.pictures import PictureSource, Purpose


@dataclass(frozen=True)
class Known:
    """What the collection holds of some records: content digests and origins, by record id."""

    digests: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)


class Renewal:
    """For any tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def known(self, collection: Collection, ids: Sequence[str], fetched: Sequence[str]) -> Known:
        """What is stored of records by id; origins of those whose picture is to be fetched. Raises ServiceError."""
        read = self._engine.workers.read
        with translated_errors():
            return Known(
                await read(collection.digests, ids) if ids else {},
                await read(collection.origins, fetched) if fetched else {},
            )

    async def with_picture(
        self, tenant: str, collection: Collection, write: RecordWrite, picture: PictureSource, known: Known
    ) -> RecordWrite:
        """The write with its picture's digest and origin, and its vector where that is not stored already. Raises
        ServiceError."""
        engine, record_id = self._engine, write.record_id
        encoder = engine.encoder_of(collection)
        stored, origin = known.digests.get(record_id), known.origins.get(record_id)
        fetched = await engine.sources.for_record(picture, tenant, collection, origin if stored else None)
        write = replace(write, region=picture.region, origin=fetched.origin)
        if fetched.source is None or fetched.source.image is None:
            return replace(write, digest=stored)  # its host says that it is the same: the stored vector stays
        image = fetched.source.image
        digest = await engine.workers.hash(len(image), collection.content_digest, image, picture.region)
        write = replace(write, digest=digest)
        if stored == digest:
            return write  # the same picture: the stored vector stays
        vector = await engine.pictures.encode(fetched.source, encoder, Purpose(tenant, Lane.INSERT), digest)
        return replace(write, vector=vector)
