"""Encodes the picture of a record only if it differs from the stored one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from index import Collection, KeptPicture, Origin, RecordWrite
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.picture_encoding import EncodeContext, EncodeRequest, LocalPictureEncoder, PictureEncoder
from service.engine.pictures import PictureSource
from service.intake.download.fetch import Validators
from service.intake.notes import Note


@dataclass(frozen=True)
class Known:
    """Stored facts of some records, by record id: content digests, origins, and stored pictures."""

    digests: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    kept: Mapping[str, KeptPicture] = field(default_factory=dict)


class PreparedWrite(NamedTuple):
    """A write that is complete, and notes about its picture."""

    write: RecordWrite
    notes: tuple[Note, ...] = ()


class ChangeDetector:
    """For any tenant. `picture_encoder`: encodes the pictures; None: this process."""

    def __init__(self, engine: Engine, picture_encoder: PictureEncoder | None = None) -> None:
        self._engine = engine
        self._picture_encoder = picture_encoder or LocalPictureEncoder(engine.sources, engine.pictures, engine.workers)

    async def known(self, collection: Collection, ids: Sequence[str], fetched: Sequence[str]) -> Known:
        """What is stored of records by id; origins of those whose picture is to be fetched. Raises ServiceError."""
        read = self._engine.workers.read
        with translated_errors():
            return Known(
                await read(collection.digests, ids) if ids else {},
                await read(collection.origins, fetched) if fetched else {},
                await read(collection.pictures.of, ids) if ids and _copies(collection) else {},
            )

    async def with_picture(
        self, tenant: str, collection: Collection, write: RecordWrite, picture: PictureSource, known: Known
    ) -> PreparedWrite:
        """The write with its picture's digest and origin, and its vector where that is not stored already. Raises
        ServiceError."""
        picture = replace(picture, partial=collection.spec.partial)
        stored, origin = known.digests.get(write.record_id), known.origins.get(write.record_id)
        digests, url_digest = collection.picture_digests, b""
        validators, copy_missing = Validators(), _copies(collection) and write.record_id not in known.kept
        if picture.image is None and picture.url:
            url_digest = digests.of_url(picture.url, picture.region)
            if stored and origin is not None and origin.url_digest == url_digest and not copy_missing:
                validators = Validators(origin.etag, origin.last_modified)
        context = EncodeContext(tenant, self._engine.encoder_of(collection), digests, _copies(collection))
        result = await self._picture_encoder.encode(context, EncodeRequest(picture, stored, validators))
        write = replace(write, region=picture.region, digest=result.digest, vector=result.vector)
        if result.image is not None and (copy_missing or result.vector is not None):
            write = replace(write, kept=await self._engine.picture_storage.keep(tenant, collection, result.image))
        elif picture.url and collection.spec.picture_policy.keeps_urls:
            write = replace(write, kept=KeptPicture(url=picture.url))
        if result.validators is not None:
            write = replace(write, origin=Origin(url_digest, result.validators.etag, result.validators.last_modified))
        return PreparedWrite(write, result.notes)


def _copies(collection: Collection) -> bool:
    return collection.spec.picture_policy.keeps_copies
