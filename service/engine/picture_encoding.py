"""Looking at a picture: fetched where it is a URL, recognised by its digest, encoded only where it is another one than
the collection knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from index import PictureDigests, Vector
from service.encoder.fair_queue import Lane
from service.encoder.manifest import Manifest
from service.engine.pictures import PictureEncoder, PictureSource, Purpose
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.intake.download.fetch import Validators
from service.intake.notes import Note


@dataclass(frozen=True)
class Viewer:
    """For whom a picture is looked at: whose it is, what encodes it, how its collection recognises it. copies: the
    collection keeps pictures."""

    tenant_uid: str
    encoder: Manifest
    digests: PictureDigests
    copies: bool = False


@dataclass(frozen=True)
class Look:
    """One picture to look at. stored: the digest that the record has, where it has one. validators: of the version that
    was seen there."""

    source: PictureSource
    stored: bytes | None = None
    validators: Validators = field(default_factory=Validators)


@dataclass(frozen=True)
class Seen:
    """What became of a look. digest: of the picture; the stored one where its host says that it has not changed.
    vector: shape (dimension,), None where the picture is the one that is stored. validators: None where it was not
    fetched. picture: as it was sent or fetched, for a collection that keeps it. notes: about one that was encoded."""

    digest: bytes | None
    vector: Vector | None
    validators: Validators | None
    picture: bytes | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = ()


class Looking(Protocol):
    """Whoever can look at pictures: this process, or a worker elsewhere."""

    def check(self, encoder: Manifest) -> None:
        """Raises ServiceError (ENCODER_MISSING) where it does not have the encoder."""

    async def look(self, viewer: Viewer, wanted: Look) -> Seen:
        """Raises ServiceError where the picture cannot be had or cannot be used."""
        ...


class LookingHere:
    """In this process."""

    def __init__(self, sources: Sources, pictures: PictureEncoder, workers: Workers) -> None:
        self._sources, self._pictures, self._workers = sources, pictures, workers

    def check(self, encoder: Manifest) -> None:
        """Every encoder that this process knows of is here."""

    async def look(self, viewer: Viewer, wanted: Look) -> Seen:
        """As `Looking.look`."""
        fetched = await self._sources.fetch(wanted.source, viewer.tenant_uid, wanted.validators)
        source = fetched.source
        if source is None or source.image is None:
            return Seen(wanted.stored, None, fetched.validators)
        image = source.image
        digest = await self._workers.hash(len(image), viewer.digests.of, image, source.region)
        kept = image if viewer.copies else None
        if digest == wanted.stored:
            return Seen(digest, None, fetched.validators, kept)
        purpose = Purpose(viewer.tenant_uid, Lane.INSERT)
        encoded = await self._pictures.encode(source, viewer.encoder, purpose, digest)
        return Seen(digest, encoded.vector, fetched.validators, kept, encoded.notes)
