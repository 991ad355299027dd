"""A picture becomes a vector, and is gone: the one path for inserts, searches and one-time encoding."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from index import Region, Vector, check_region
from service.encoder.admission import Admission, Visit
from service.encoder.batcher import Batcher, BatcherLimits
from service.encoder.contract import Embedding, Modality, encode_each
from service.encoder.decode_pool.pool import Decoders
from service.encoder.execution import LoadedEncoder
from service.encoder.fair_queue import Lane
from service.encoder.inflight import Inflight
from service.encoder.manifest import Manifest
from service.encoder.registry import EncoderRegistry
from service.engine.faults import translated_errors
from service.engine.workers import Workers
from service.errors import Reason, ServiceError, SettingError
from service.intake.notes import Note
from service.metrics import Metrics
from service.runtime.clock import Stopwatch
from service.tracing.allowed import Stage
from service.tracing.spans import note_laps, stage

_MOST_MODELS = 16  # in memory at a time


_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PictureSource:
    """A picture as bytes or as a URL, and the region to encode. partial: one that is cut short is used. The
    representation never shows the content."""

    image: bytes | None = None
    url: str = ""
    region: Region | None = None
    partial: bool = False

    def __repr__(self) -> str:
        size = "no" if self.image is None else len(self.image)
        return f"PictureSource({size} bytes, region={self.region})"


class Encoded(NamedTuple):
    """The vector of a picture, or of a whole query: float32, shape (dimension,), L2-normalised.

    notes: about the pictures. scale: of an emphasised query, the weighted cosine divided by the cosine with the vector.
    weights: of an emphasised query, of each number, shape (dimension,). unweighted: the vector before.
    """

    vector: Vector
    notes: tuple[Note, ...] = ()
    scale: float = 1.0
    weights: Vector | None = None
    unweighted: Vector | None = None


@dataclass(frozen=True)
class Purpose:
    """For whom and why a picture is encoded: which queue it waits in, and whose turn it takes."""

    tenant: str
    lane: Lane


_Batchers = dict[Modality, Batcher[list[Embedding]]]
_Prepare = Callable[[], Awaitable[tuple[Any, tuple[Note, ...]]]]  # what the model takes, and what is said of it


class EncodingPipeline:
    """Admits, decodes in sandboxed processes, batches by encoder. Made, used and closed on one event loop."""

    def __init__(
        self, encoders: EncoderRegistry, workers: Workers, decoders: Decoders, admission: Admission, metrics: Metrics,
        allow: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`allow`: raises ServiceError where a tenant may have no more pictures encoded; None: they all may."""
        self.decoders, self.admission = decoders, admission
        self._allow = allow
        self._encoders, self._workers, self._metrics = encoders, workers, metrics
        self._batchers: dict[tuple[str, str], _Batchers] = {}
        self._loading = asyncio.Lock()
        self._inflight: Inflight[Encoded] = Inflight()

    async def start(self, encoder_id: str) -> None:
        """Starts the decoders and loads an encoder before its first use. Raises SettingError."""
        try:
            await asyncio.gather(self.decoders.start(), self._loaded(self._encoders.manifest(encoder_id)))
        except ServiceError as error:
            if error.reason is not Reason.ENCODER_UNUSABLE:
                raise
            raise SettingError(error.message) from None

    async def try_encoder(self, encoder: Manifest) -> None:
        """Loads an encoder, which encodes a picture of its own, unless it is loaded. Raises ServiceError
        (ENCODER_UNUSABLE) where that fails."""
        await self._loaded(encoder)

    async def encode(
        self, picture: PictureSource, encoder: Manifest, purpose: Purpose, digest: bytes | None = None
    ) -> Encoded:
        """The vector of a picture. Raises ServiceError.

        A picture that the same tenant is having encoded at the moment, in the same lane, is not encoded again.
        `digest`: of the picture, where the caller has one.
        """
        if encoder.vectors_only:
            message = f"the encoder {encoder.id!r} has no model: its collections take vectors, not pictures"
            raise ServiceError(Reason.ENCODER_UNUSABLE, message)
        with translated_errors():
            check_region(picture.region)
        if picture.image is None:
            raise ServiceError(Reason.SOURCE_MISSING, "set the picture as `image` or `url`", field="image")
        image = picture.image
        part = (picture.region, picture.partial)
        key = (purpose, encoder.fingerprint, part, len(image), digest or await self._digest(image))
        visit = Visit(purpose.tenant, purpose.lane, len(image))

        async def decoded() -> tuple[NDArray[np.generic], tuple[Note, ...]]:
            found = await self.decoders.decode(
                image, picture.region, encoder.input, visit.lane, visit.tenant, partial=picture.partial
            )
            return found.tensor, found.notes

        return await self._inflight.once(key, lambda: self._encode(decoded, visit, encoder))

    async def encode_tensor(self, tensor: NDArray[np.generic], encoder: Manifest, purpose: Purpose) -> Encoded:
        """The vector of a picture that was drawn here, as the tensor that the model takes. Raises ServiceError."""

        async def drawn() -> tuple[NDArray[np.generic], tuple[Note, ...]]:
            return tensor, ()

        return await self._encode(drawn, Visit(purpose.tenant, purpose.lane, tensor.nbytes), encoder)

    async def encode_text(self, text: str, encoder: Manifest, purpose: Purpose) -> Encoded:
        """The vector of a text, by an encoder with a text tower. It waits and counts as a picture of its bytes does.
        Raises ServiceError."""

        async def given() -> tuple[str, tuple[Note, ...]]:
            return text, ()

        visit = Visit(purpose.tenant, purpose.lane, len(text.encode()))
        return await self._encode(given, visit, encoder, Modality.TEXT)

    async def check(self, image: bytes, tenant: str) -> None:
        """Decodes a picture without encoding it. Raises ServiceError where it cannot be used."""
        spec = self._encoders.manifest("").input
        async with self.admission.visit(Visit(tenant, Lane.INSERT, len(image))):
            with stage(Stage.DECODE):
                await self.decoders.decode(image, None, spec, Lane.INSERT, tenant)

    def waiting(self) -> int:
        """How many pictures are being decoded or encoded, or wait for it."""
        return self.admission.inside

    async def close(self) -> None:
        """Finishes what waits."""
        for batcher in [b for batchers in self._batchers.values() for b in batchers.values()]:
            await batcher.close()
        await self.decoders.close()

    async def _encode(
        self, prepare: _Prepare, visit: Visit, encoder: Manifest, modality: Modality = Modality.IMAGE
    ) -> Encoded:
        if self._allow is not None:
            await self._allow(visit.tenant)
        await self._loaded(encoder)
        watch = Stopwatch()
        times = [0.0]
        try:
            async with self.admission.visit(visit):
                times.append(watch.seconds())
                given, notes = await prepare()
                times.append(watch.seconds())
                batcher = (await self._loaded(encoder))[modality]  # it may have been put away meanwhile
                whole, *_ = await batcher.encode(given, visit.lane, visit.tenant)
                times.append(watch.seconds())
                return Encoded(whole.vector, notes)
        except ServiceError as error:
            if error.reason is Reason.OVERLOADED:
                self._metrics.pictures_refused.inc()
            raise
        finally:
            for name, seconds in zip(("queue", "decode", "model"), np.diff(times), strict=False):
                self._metrics.picture_seconds.labels(name).observe(seconds)
            note_laps((Stage.QUEUE, Stage.DECODE, Stage.ENCODE), times, watch)

    async def _digest(self, image: bytes) -> bytes:
        return await self._workers.hash(len(image), lambda: hashlib.sha256(image).digest())

    async def _loaded(self, encoder: Manifest) -> _Batchers:
        wanted = (encoder.id, encoder.fingerprint)
        async with self._loading:
            if wanted in self._batchers:
                self._batchers[wanted] = self._batchers.pop(wanted)  # the one used last is at the end
            else:
                await self._make_room()
                try:
                    loaded = await self._workers.read(self._encoders.load, encoder)
                except SettingError as error:
                    _LOG.error("an encoder is unusable", encoder=encoder.id, exc_info=error)
                    raise ServiceError(Reason.ENCODER_UNUSABLE, str(error)) from None
                self._batchers[wanted] = {m: self._batcher(loaded, m) for m in loaded.encoder.modalities}
            return self._batchers[wanted]

    def _batcher(self, loaded: LoadedEncoder, modality: Modality) -> Batcher[list[Embedding]]:
        execution = loaded.execution
        size = execution.batch if modality is Modality.IMAGE else 1  # a bad text must not fail others
        encode = partial(encode_each, loaded.encoder, modality=modality)
        return Batcher(encode, self._workers.model, BatcherLimits(size, execution.runs))

    async def put_away(self, encoder: Manifest) -> None:
        """Takes a model out of memory, once what waits for it is done."""
        async with self._loading:
            await self._drop((encoder.id, encoder.fingerprint))

    async def _make_room(self) -> None:
        """For another model where there are many: the one that has not been used for longest goes."""
        while len(self._batchers) >= _MOST_MODELS:
            await self._drop(next(iter(self._batchers)))

    async def _drop(self, wanted: tuple[str, str]) -> None:
        for batcher in self._batchers.pop(wanted, {}).values():
            await batcher.close()
        await self._workers.read(self._encoders.unload, *wanted)
