"""The objects of a picture, which is gone then: decoded in the sandboxed processes, as pictures to encode are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from index import Region, check_region
from service.detector.manifest import DetectorManifest
from service.detector.outputs import Candidates
from service.detector.registry import DetectorRegistry
from service.detector.session import DetectorSession
from service.detector.suppression import DetectedObject, ObjectLimits, objects_of
from service.encoder.admission import Visit
from service.encoder.batcher import Batcher, BatcherLimits
from service.engine.faults import translated_errors
from service.engine.pictures import EncodingPipeline, PictureSource, Purpose
from service.engine.workers import Workers
from service.errors import Reason, ServiceError, SettingError
from service.intake.notes import Note
from service.metrics import Metrics
from service.runtime.clock import Stopwatch
from service.tracing.allowed import Stage
from service.tracing.spans import note_laps

_LOG = structlog.get_logger(__name__)
_WHOLE = Region(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ObjectsOfPicture:
    """objects: the best score first; regions are parts of the whole picture, whatever part was looked at. notes: about
    the picture."""

    objects: tuple[DetectedObject, ...]
    notes: tuple[Note, ...] = ()

    def or_all(self, part: Region | None) -> tuple[DetectedObject, ...]:
        """The objects, or where there are none, all of the picture, or of the part of it that was looked at."""
        return self.objects or (DetectedObject(part or _WHOLE, "", 0.0),)


class DetectionPipeline:
    """Pictures wait and count here as those to encode do. Made, used and closed on one event loop."""

    def __init__(
        self, detectors: DetectorRegistry, pictures: EncodingPipeline, workers: Workers, metrics: Metrics,
        allow: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`allow`: raises ServiceError where a tenant may have no more pictures looked at; None: they all may."""
        self._detectors, self._pictures, self._workers = detectors, pictures, workers
        self._metrics, self._allow = metrics, allow
        self._session: DetectorSession | None = None
        self._batcher: Batcher[Candidates] | None = None

    @property
    def detector(self) -> DetectorManifest | None:
        """The detector that is used; None if this server has none."""
        return self._detectors.used

    def check(self) -> DetectorManifest:
        """The detector that is used. Raises ServiceError (DETECTOR_MISSING) if this server has none."""
        return self._detectors.check()[1]

    async def start(self) -> None:
        """Loads the detector, if there is one. Raises SettingError."""
        if self._detectors.used is not None:
            self._session = await self._workers.read(self._detectors.load)

    async def detect(self, picture: PictureSource, purpose: Purpose, limits: ObjectLimits) -> ObjectsOfPicture:
        """Finds the objects of a picture that is here as bytes, or of a region of it. Raises ServiceError
        (DETECTOR_MISSING, IMAGE_..., OVERLOADED and others)."""
        with translated_errors():
            check_region(picture.region)
        session = await self._loaded()
        if picture.image is None:
            raise ServiceError(Reason.SOURCE_MISSING, "set the picture as `image` or `url`", field="image")
        if self._allow is not None:
            await self._allow(purpose.tenant)
        visit = Visit(purpose.tenant, purpose.lane, len(picture.image))
        try:
            return await self._detect(picture, visit, session, limits)
        except ServiceError as error:
            if error.reason is Reason.OVERLOADED:
                self._metrics.pictures_refused.inc()
            raise

    async def close(self) -> None:
        """Finishes what waits."""
        if self._batcher is not None:
            await self._batcher.close()

    async def _detect(
        self, picture: PictureSource, visit: Visit, session: DetectorSession, limits: ObjectLimits
    ) -> ObjectsOfPicture:
        watch, times = Stopwatch(), [0.0]
        manifest, image = session.manifest, picture.image or b""
        try:
            async with self._pictures.admission.visit(visit):
                times.append(watch.seconds())
                decoded = await self._pictures.decoders.decode(
                    image, picture.region, manifest.input, visit.lane, visit.tenant, partial=picture.partial
                )
                times.append(watch.seconds())
                found = await self._running(session).encode(decoded.tensor, visit.lane, visit.tenant)
                times.append(watch.seconds())
        finally:
            for name, seconds in zip(("queue", "decode", "detect"), np.diff(times), strict=False):
                self._metrics.picture_seconds.labels(name).observe(seconds)
            note_laps((Stage.QUEUE, Stage.DECODE, Stage.DETECT), times, watch)
        objects = objects_of(found, decoded.size, manifest, limits)
        return ObjectsOfPicture(_of_whole(objects, picture.region), decoded.notes)

    async def _loaded(self) -> DetectorSession:
        try:
            if self._session is None:
                self._session = await self._workers.read(self._detectors.load)
            return self._session
        except SettingError as error:
            _LOG.error("the detector is unusable", exc_info=error)
            raise ServiceError(Reason.DETECTOR_MISSING, str(error)) from None

    def _running(self, session: DetectorSession) -> Batcher[Candidates]:
        if self._batcher is None:

            def detect(tensors: list[NDArray[Any]]) -> Sequence[Candidates]:
                return [session.detect(tensor) for tensor in tensors]

            self._batcher = Batcher(detect, self._workers.model, BatcherLimits(max_batch_size=1))
        return self._batcher


def _of_whole(objects: tuple[DetectedObject, ...], part: Region | None) -> tuple[DetectedObject, ...]:
    """Objects with regions of the whole picture, from those with regions of a part of it."""
    if part is None:
        return objects
    moved = (replace(found, region=_within(part, found.region)) for found in objects)
    return tuple(m for m in moved if m.region.left < m.region.right and m.region.top < m.region.bottom)


def _within(part: Region, inner: Region) -> Region:
    width, height = part.right - part.left, part.bottom - part.top
    corners = (
        part.left + inner.left * width, part.top + inner.top * height,
        part.left + inner.right * width, part.top + inner.bottom * height,
    )  # fmt: skip
    return Region(*np.array(corners).clip(0, 1).astype(np.float32).tolist())
