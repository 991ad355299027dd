"""Encodes the picture of a record.

Fetches it if it is a URL. Compares its digest with the stored one, and encodes it only if they differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from index import PictureDigests, Vector
from service.encoder.fair_queue import Lane
from service.encoder.manifest import Manifest
from service.engine.pictures import EncodingPipeline, PictureSource, Purpose
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.intake.download.fetch import Validators
from service.intake.notes import Note


@dataclass(frozen=True)
class EncodeContext:
    """What all pictures of a run or call share.

    - `digests`: the keyed digests of the collection's pictures.
    - `copies`: whether the collection stores copies of pictures.
    """

    tenant_uid: str
    encoder: Manifest
    digests: PictureDigests
    copies: bool = False


@dataclass(frozen=True)
class EncodeRequest:
    """One picture to encode.

    - `stored`: the digest that the record has; None if it has none.
    - `validators`: of the version that was fetched last.
    """

    picture: PictureSource
    stored: bytes | None = None
    validators: Validators = field(default_factory=Validators)


@dataclass(frozen=True)
class EncodeResult:
    """The result for one picture.

    - `digest`: of the picture; the stored one if its host answered that it has not changed.
    - `vector`: float32, shape (dimension,); None if the picture is the stored one.
    - `validators`: those of its host; None if it was not fetched.
    - `image`: its bytes, for a collection that keeps copies.
    - `notes`: about a picture that was encoded.
    """

    digest: bytes | None
    vector: Vector | None
    validators: Validators | None
    image: bytes | None = field(default=None, repr=False)
    notes: tuple[Note, ...] = ()


class PictureEncoder(Protocol):
    """Encodes pictures: this process, or a worker on another machine."""

    def check(self, encoder: Manifest) -> None:
        """Raises ServiceError (ENCODER_MISSING) where it does not have the encoder."""

    async def encode(self, context: EncodeContext, request: EncodeRequest) -> EncodeResult:
        """Raises ServiceError where the picture cannot be had or cannot be used."""
        ...


class LocalPictureEncoder:
    """In this process."""

    def __init__(self, sources: Sources, pictures: EncodingPipeline, workers: Workers) -> None:
        self._sources, self._pictures, self._workers = sources, pictures, workers

    def check(self, encoder: Manifest) -> None:
        """Every encoder that this process knows of is here."""

    async def encode(self, context: EncodeContext, request: EncodeRequest) -> EncodeResult:
        """As `PictureEncoder.encode`."""
        fetched = await self._sources.fetch(request.picture, context.tenant_uid, request.validators)
        picture = fetched.picture
        if picture is None or picture.image is None:
            return EncodeResult(request.stored, None, fetched.validators)
        image = picture.image
        digest = await self._workers.hash(len(image), context.digests.of, image, picture.region)
        kept = image if context.copies else None
        if digest == request.stored:
            return EncodeResult(digest, None, fetched.validators, kept)
        purpose = Purpose(context.tenant_uid, Lane.INSERT)
        encoded = await self._pictures.encode(picture, context.encoder, purpose, digest)
        return EncodeResult(digest, encoded.vector, fetched.validators, kept, encoded.notes)
