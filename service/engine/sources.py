"""Pictures that are given as a URL: fetched as the tenant may, and asked for anew only where they may have changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from index import Collection
from index.model import Origin
from service.engine.pictures import PictureSource
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.intake.fetch import Fetcher, FetchRequest, Validators
from service.metrics import Metrics
from service.tenancy.registry import TenantRegistry


@dataclass(frozen=True)
class FetchedPicture:
    """A picture to look at, or, where `source` is None, one that its host says has not changed. `origin` is what to
    keep with the record: a keyed digest of the URL, never the URL itself."""

    source: PictureSource | None
    origin: Origin | None


class Sources:
    """For one event loop."""

    def __init__(self, fetcher: Fetcher | None, registry: TenantRegistry, workers: Workers, metrics: Metrics) -> None:
        """`fetcher` None: this server fetches nothing."""
        self._fetcher, self._registry, self._workers, self._metrics = fetcher, registry, workers, metrics

    @property
    def fetches(self) -> bool:
        """Whether pictures may be given as a URL."""
        return self._fetcher is not None

    async def resolved(self, source: PictureSource, tenant_uid: str) -> PictureSource:
        """The same with the picture's bytes. Raises ServiceError (SOURCE_MISSING, URL_..., HOST_BUSY, IMAGE_...)."""
        return (await self.fetch(source, tenant_uid, Validators())).source or source

    async def for_record(
        self, source: PictureSource, tenant_uid: str, collection: Collection, known: Origin | None
    ) -> FetchedPicture:
        """The picture of a record whose stored origin is `known`. Raises ServiceError."""
        if source.image is not None or not source.url:
            return await self.fetch(source, tenant_uid, Validators())
        url_digest = collection.content_digest(b"url\0" + source.url.encode(), source.region)
        same = known is not None and known.url_digest == url_digest
        validators = Validators(known.etag, known.last_modified) if known is not None and same else Validators()
        fetched = await self.fetch(source, tenant_uid, validators)
        return replace(fetched, origin=replace(fetched.origin, url_digest=url_digest) if fetched.origin else None)

    async def fetch(self, source: PictureSource, tenant_uid: str, known: Validators) -> FetchedPicture:
        """As `for_record`, with an origin that has no digest yet. Raises ServiceError."""
        if source.image is not None:
            return FetchedPicture(source, None)
        if not source.url:
            raise ServiceError(Reason.SOURCE_MISSING, "give the picture as `image` or `url`", field="image")
        if self._fetcher is None:
            raise ServiceError(Reason.URL_FETCH_UNAVAILABLE, "this server takes pictures as bytes only", field="url")
        hosts = await self._workers.read(self._registry.fetch_hosts, tenant_uid)
        with self._metrics.picture_seconds.labels("fetch").time():
            fetched = await self._fetcher.fetch(FetchRequest(source.url, hosts, known))
        origin = Origin(b"", fetched.validators.etag, fetched.validators.last_modified)
        return FetchedPicture(None if fetched.body is None else replace(source, image=fetched.body, url=""), origin)

    async def close(self) -> None:
        """Closes the connections."""
        if self._fetcher is not None:
            await self._fetcher.close()
