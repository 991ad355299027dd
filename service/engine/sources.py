"""Pictures that are given as a URL: fetched as the tenant may, and asked for anew only where they may have changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from service.engine.pictures import PictureSource
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.intake.download.fetch import Fetcher, FetchRequest, Validators
from service.metrics import Metrics

HostsOf = Callable[[str], Collection[str] | None]


@dataclass(frozen=True)
class FetchedPicture:
    """A picture to look at, or, where `source` is None, one that its host says has not changed. validators: what its
    host said of the version; None where it was not fetched."""

    source: PictureSource | None
    validators: Validators | None


class Sources:
    """For one event loop."""

    def __init__(self, fetcher: Fetcher | None, hosts_of: HostsOf, workers: Workers, metrics: Metrics) -> None:
        """`fetcher` None: this server fetches nothing. `hosts_of`: which hosts a tenant's pictures may come from."""
        self._fetcher, self._hosts_of, self._workers, self._metrics = fetcher, hosts_of, workers, metrics

    @property
    def fetches(self) -> bool:
        """Whether pictures may be given as a URL."""
        return self._fetcher is not None

    async def resolved(self, source: PictureSource, tenant_uid: str) -> PictureSource:
        """The same with the picture's bytes. Raises ServiceError (SOURCE_MISSING, URL_..., HOST_BUSY, IMAGE_...)."""
        return (await self.fetch(source, tenant_uid, Validators())).source or source

    async def fetch(self, source: PictureSource, tenant_uid: str, known: Validators) -> FetchedPicture:
        """The picture, asked for anew where its host knows the version that is `known`. Raises ServiceError."""
        if source.image is not None:
            return FetchedPicture(source, None)
        if not source.url:
            raise ServiceError(Reason.SOURCE_MISSING, "set the picture as `image` or `url`", field="image")
        if self._fetcher is None:
            raise ServiceError(Reason.URL_FETCH_UNAVAILABLE, "this server accepts pictures only as bytes", field="url")
        hosts = await self._workers.read(self._hosts_of, tenant_uid)
        with self._metrics.picture_seconds.labels("fetch").time():
            fetched = await self._fetcher.fetch(FetchRequest(source.url, hosts, known))
        found = None if fetched.body is None else replace(source, image=fetched.body, url="")
        return FetchedPicture(found, fetched.validators)

    async def close(self) -> None:
        """Closes the connections."""
        if self._fetcher is not None:
            await self._fetcher.close()
