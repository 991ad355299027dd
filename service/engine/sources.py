"""Fetches pictures that are given as a URL, within the limits of the tenant."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from service.engine.pictures import PictureSource
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.intake.download.fetch import Fetcher, FetchRequest, Validators
from service.metrics import Metrics
from service.tracing.allowed import Stage
from service.tracing.spans import stage

HostsOf = Callable[[str], Collection[str] | None]


@dataclass(frozen=True)
class FetchedPicture:
    """A picture with its bytes.

    - `picture`: None if its host answered that it has not changed.
    - `validators`: of the version that the host sent; None if it was not fetched.
    """

    picture: PictureSource | None
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

    async def resolved(self, picture: PictureSource, tenant_uid: str) -> PictureSource:
        """Returns the picture with its bytes. Raises ServiceError (SOURCE_MISSING, URL_..., HOST_BUSY, IMAGE_...)."""
        return (await self.fetch(picture, tenant_uid, Validators())).picture or picture

    async def fetch(self, picture: PictureSource, tenant_uid: str, known: Validators) -> FetchedPicture:
        """Fetches the picture, unless its host answers that the version `known` is current. Raises ServiceError."""
        if picture.image is not None:
            return FetchedPicture(picture, None)
        if not picture.url:
            raise ServiceError(Reason.SOURCE_MISSING, "set the picture as `image` or `url`", field="image")
        if self._fetcher is None:
            raise ServiceError(Reason.URL_FETCH_UNAVAILABLE, "this server accepts pictures only as bytes", field="url")
        hosts = await self._workers.read(self._hosts_of, tenant_uid)
        with stage(Stage.FETCH), self._metrics.picture_seconds.labels("fetch").time():
            fetched = await self._fetcher.fetch(FetchRequest(picture.url, hosts, known))
        if fetched.body is None:
            return FetchedPicture(None, fetched.validators)
        return FetchedPicture(replace(picture, image=fetched.body, url=""), fetched.validators)

    async def close(self) -> None:
        """Closes the connections."""
        if self._fetcher is not None:
            await self._fetcher.close()
