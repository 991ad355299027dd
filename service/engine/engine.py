"""What every call needs: the tenant's collections, the encoders, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from index import Collection, CollectionSpec, PicturePolicy, TenantDirectory
from service.detector.suppression import ObjectLimits
from service.encoder.fair_queue import Lane
from service.encoder.manifest import BlockSpec, Manifest, ScoreSpec
from service.encoder.registry import EncoderRegistry
from service.engine.detection.pipeline import DetectionPipeline, ObjectsOfPicture
from service.engine.emphasis import Emphasis, check_default_emphasis, effective_emphasis
from service.engine.faults import translated_errors
from service.engine.picture_storage import PictureStorage
from service.engine.pictures import Encoded, EncodingPipeline, PictureSource, Purpose
from service.engine.sources import Sources
from service.engine.terms.colors import Color, check_takes_color, colored_disc, only_color
from service.engine.terms.texts import check_takes_text, nothing_made_of_text
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.metrics import Metrics
from service.objects.links import Linked
from service.objects.sealed import SealedObjects
from service.tenancy.allowances import Allowances
from service.tenancy.keyring import Principal
from service.tenancy.spaces import TenantSpaces
from service.tuning.calibration import Calibration
from service.tuning.drawn import calibration_of_drawn
from service.tuning.tuning import Tuning, tuning_of


@dataclass(frozen=True)
class NewCollection:
    """A collection to make. encoder_id: empty takes the server's default."""

    name: str
    encoder_id: str = ""
    description: str = ""
    learning: bool = True
    picture_policy: PicturePolicy = PicturePolicy.DISCARD
    partial: bool = False
    feedback: bool = False
    default_emphasis: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """Shared by all calls of a server."""

    spaces: TenantSpaces
    encoders: EncoderRegistry
    pictures: EncodingPipeline
    detection: DetectionPipeline
    sources: Sources
    workers: Workers
    metrics: Metrics
    allowances: Allowances
    picture_storage: PictureStorage
    _drawn: dict[object, Calibration] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def objects(self) -> SealedObjects:
        """The sealed objects of all tenants: copies of pictures, pictures of training sets, models."""
        return self.picture_storage.objects

    async def start(self, default_encoder: str) -> None:
        """Removes what deleted tenants left, and loads the default encoder and the detector. Raises SettingError."""
        await asyncio.to_thread(self.spaces.remove_deleted)
        await self.pictures.start(default_encoder)
        await self.detection.start()

    async def close_collections(self, snapshots_s: float) -> None:
        """Closes what calls use: downloads, decoders, collections. Snapshots are begun for `snapshots_s` seconds.
        Threads still serve what has begun."""
        await self.sources.close()
        await self.detection.close()
        await self.pictures.close()
        await asyncio.to_thread(self.spaces.close, snapshots_s)

    async def close_threads(self) -> None:
        """Ends the threads, after all that uses them."""
        await asyncio.to_thread(self.workers.close)

    async def directory(self, principal: Principal) -> TenantDirectory:
        """The caller's own directory. Raises ServiceError."""
        with translated_errors():
            return await self.workers.read(self.spaces.directory, principal.tenant_uid)

    async def collection(self, principal: Principal, name: str) -> Collection:
        """One of the caller's own collections. Raises ServiceError (COLLECTION_NOT_FOUND)."""
        directory = self.spaces.opened_directory(principal.tenant_uid) or await self.directory(principal)
        with translated_errors():
            return directory.collection(name)

    async def create_collection(self, principal: Principal, wanted: NewCollection) -> Collection:
        """Makes a collection pinned to an encoder, once that has encoded a picture. Raises ServiceError."""
        manifest = self.encoders.manifest(wanted.encoder_id, principal.tenant_uid)
        if not manifest.vectors_only:
            await self.pictures.try_encoder(manifest)
        dimension = manifest.output.dimension
        if wanted.default_emphasis:
            check_default_emphasis(manifest.output.blocks, wanted.default_emphasis)
        tuning = await self.workers.upkeep(self.first_tuning, manifest, wanted.default_emphasis)
        spec = CollectionSpec(
            wanted.name, manifest.id, manifest.fingerprint, dimension, wanted.description, wanted.learning,
            wanted.picture_policy, partial=wanted.partial, feedback=wanted.feedback, tuning=tuning.to_text(),
        )  # fmt: skip
        directory = await self.directory(principal)
        with translated_errors():
            return await self.workers.write(directory.create, spec)

    async def encoded(self, principal: Principal, picture: PictureSource, encoder: Manifest) -> Encoded:
        """The vector of a picture that someone searches with. Raises ServiceError."""
        resolved = await self.sources.resolved(picture, principal.tenant_uid)
        return await self.pictures.encode(resolved, encoder, Purpose(principal.tenant_uid, Lane.SEARCH))

    async def objects_of(self, principal: Principal, picture: PictureSource, limits: ObjectLimits) -> ObjectsOfPicture:
        """The objects of a picture that someone looks at or searches with. Raises ServiceError."""
        resolved = await self.sources.resolved(picture, principal.tenant_uid)
        return await self.detection.detect(resolved, Purpose(principal.tenant_uid, Lane.SEARCH), limits)

    async def encoded_color(self, principal: Principal, color: Color, encoder: Manifest) -> Encoded:
        """The vector of a colour that someone searches with, for the allowance of a picture. Raises ServiceError
        (QUERY_UNSUPPORTED)."""
        check_takes_color(encoder)
        purpose = Purpose(principal.tenant_uid, Lane.SEARCH)
        drawn = await self.workers.read(colored_disc, color, encoder.input)
        found = await self.pictures.encode_tensor(drawn, encoder, purpose)
        return Encoded(only_color(found.vector, encoder.output.blocks))

    async def encoded_text(self, principal: Principal, text: str, encoder: Manifest, field: str) -> Encoded:
        """The vector of a text, for the allowance of a picture. field: of the request, with the text. Raises
        ServiceError (QUERY_UNSUPPORTED, ARGUMENT_INVALID)."""
        check_takes_text(encoder, field)
        found = await self.pictures.encode_text(text, encoder, Purpose(principal.tenant_uid, Lane.SEARCH))
        if not found.vector.any():
            raise nothing_made_of_text(field)
        return found

    async def kept_picture(self, linked: Linked) -> bytes:
        """The copy that a link leads to. Raises ServiceError (PICTURE_NOT_FOUND, PICTURE_DAMAGED)."""
        with translated_errors():
            directory = await self.workers.read(self.spaces.directory, linked.tenant_uid)
        for collection in directory.every():
            if collection.pictures.home == linked.place:
                return await self.picture_storage.copy(linked.tenant_uid, collection, linked.object_id)
        raise ServiceError(Reason.PICTURE_NOT_FOUND, "the collection was deleted")

    def encoder_of(self, collection: Collection) -> Manifest:
        """The encoder that a collection is pinned to. Raises ServiceError (ENCODER_MISSING) where this server has none
        that makes the same vectors: a search never mixes two encoders."""
        spec = collection.spec
        manifest = self.pinned(collection)
        if manifest is not None:
            return manifest
        message = (
            f"the collection is pinned to encoder {spec.encoder_id!r} with fingerprint {spec.encoder_fingerprint}, "
            "which this server does not have; only vectors can be inserted and searched with"
        )
        raise ServiceError(Reason.ENCODER_MISSING, message)

    def blocks_of(self, collection: Collection) -> tuple[BlockSpec, ...]:
        """The named blocks of the collection's vectors; none where the encoder is missing or names none."""
        manifest = self.pinned(collection)
        return manifest.output.blocks if manifest is not None else ()

    def score_of(self, collection: Collection) -> ScoreSpec:
        """The calibration of the collection's encoder; a neutral one where the encoder is missing."""
        manifest = self.pinned(collection)
        return manifest.score if manifest is not None else ScoreSpec()

    def calibration_of(self, collection: Collection) -> Calibration:
        """How the collection's scores are read: its own calibration, or that of its encoder."""
        own = tuning_of(collection.spec.tuning).calibration
        return own or Calibration.of_encoder(self.score_of(collection))

    def emphasis_of(self, collection: Collection, requested: Mapping[str, float]) -> Emphasis:
        """The weights of a search: those of the request, or else the collection's."""
        spec = collection.spec
        return effective_emphasis(requested, tuning_of(spec.tuning), self.blocks_of(collection), learning=spec.learning)

    def first_tuning(self, manifest: Manifest, weights: Mapping[str, float]) -> Tuning:
        """The tuning that a new collection begins with. Blocks for a second where the encoder has drawn samples."""
        return Tuning(dict(weights), calibration=self.drawn_calibration(manifest, weights))

    def drawn_calibration(self, manifest: Manifest, weights: Mapping[str, float]) -> Calibration | None:
        """The calibration that drawn pictures give under weights; None where the encoder has no drawn samples. Blocks
        for a second, once for each weights."""
        samples = self.encoders.drawn_samples(manifest)
        if samples is None:
            return None
        key = (manifest.fingerprint, manifest.score, tuple(sorted(weights.items())))
        if key not in self._drawn:
            near = manifest.score.near_duplicate_distance
            self._drawn[key] = calibration_of_drawn(samples, manifest.output.blocks, weights, near)
        return self._drawn[key]

    def first_calibrations(self) -> dict[str, Calibration]:
        """The calibration of new collections, by the id of their encoder."""
        return {
            m.id: self.drawn_calibration(m, {}) or Calibration.of_encoder(m.score) for m in self.encoders.manifests()
        }

    def pinned(self, collection: Collection) -> Manifest | None:
        """The encoder that a collection is pinned to; None where this server has none that makes the same vectors."""
        spec = collection.spec
        return self.encoders.pinned(spec.encoder_id, spec.encoder_fingerprint, collection.owner)
