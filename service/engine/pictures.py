"""A picture becomes a vector, and is gone: the one path for inserts, searches and one-time encoding."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Region, Vector
from index.attributes import check_region
from service.encoder.batcher import Batcher, BatcherLimits, Lane
from service.encoder.manifest import InputSpec, Manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import EncoderRegistry
from service.engine.faults import translated_errors
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.intake.decode import decode
from service.intake.limits import PictureLimits


@dataclass(frozen=True)
class PictureSource:
    """A picture as bytes or as a URL, and the region to encode. The representation never shows the content."""

    image: bytes | None = None
    url: str = ""
    region: Region | None = None

    def __repr__(self) -> str:
        size = "no" if self.image is None else len(self.image)
        return f"PictureSource({size} bytes, region={self.region})"


class PictureEncoder:
    """Decodes in threads, batches by encoder. Made, used and closed on one event loop."""

    def __init__(
        self, encoders: EncoderRegistry, workers: Workers, limits: PictureLimits, batching: BatcherLimits
    ) -> None:
        self.limits = limits
        self._encoders, self._workers, self._batching = encoders, workers, batching
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._loading = asyncio.Lock()

    async def load(self, encoder_id: str) -> None:
        """Loads an encoder before its first use. Raises SettingError where the model does not load."""
        await self._batcher(self._encoders.manifest(encoder_id))

    async def image_bytes(self, source: PictureSource) -> bytes:
        """The bytes of the picture. Raises ServiceError (SOURCE_MISSING, URL_FETCH_UNAVAILABLE)."""
        if source.image is not None:
            return source.image
        if source.url:
            raise ServiceError(Reason.URL_FETCH_UNAVAILABLE, "this server takes pictures as bytes only", field="url")
        raise ServiceError(Reason.SOURCE_MISSING, "give the picture as `image`", field="image")

    async def encode(self, source: PictureSource, encoder: Manifest, lane: Lane) -> Vector:
        """The vector, L2-normalised, shape (dimension,). Raises ServiceError."""
        with translated_errors():
            check_region(source.region)
        image = await self.image_bytes(source)
        batcher = await self._batcher(encoder)
        tensor = await self._workers.decode(_picture_tensor, image, self.limits, source.region, encoder.input)
        return await batcher.encode(tensor, lane)

    def waiting(self) -> int:
        """How many pictures wait for a model."""
        return sum(b.waiting for b in self._batchers.values())

    async def close(self) -> None:
        """Finishes what waits."""
        for batcher in self._batchers.values():
            await batcher.close()

    async def _batcher(self, encoder: Manifest) -> Batcher:
        wanted = (encoder.id, encoder.fingerprint)
        async with self._loading:
            if wanted not in self._batchers:
                session = await self._workers.read(self._encoders.session, encoder)
                self._batchers[wanted] = Batcher(session.run, self._workers.model, self._batching)
            return self._batchers[wanted]


def _picture_tensor(image: bytes, limits: PictureLimits, region: Region | None, spec: InputSpec) -> NDArray[np.generic]:
    return to_tensor(decode(image, limits, region), spec)
