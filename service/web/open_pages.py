"""The pages that need no key: `/metrics` (Prometheus), `/healthz` (the process runs), `/readyz` (it accepts calls).

Requests for them are counted by address. The metrics are written once for all who ask meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from service.errors import ServiceError
from service.metrics import Metrics
from service.runtime.certificates import Certificates
from service.web.metrics_access import MetricsAccess
from service.web.tls import client_certificate

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]
Admits = Callable[[web.Request], bool]
_COLLECTIONS = "collections"  # parameter with which metrics of each collection are shown
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Readiness:
    """Whether calls are accepted. `remarks`: one line for each part that is not served; they name no tenant."""

    ready: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vitals:
    """What the port tells about the server.

    - `refresh`: updates gauges before the metrics are written. Called in a thread.
    - `text`: returns the metrics as they are shown; None: those of this process. Called in a thread.
    - `of_collections`: returns metrics with a series for each collection in memory. Called in a thread.
    """

    metrics: Metrics
    readiness: Callable[[], Readiness]
    refresh: Callable[[], None]
    of_collections: Callable[[], bytes] = bytes
    text: Callable[[], bytes] | None = None


class OpenPages:
    """For one event loop."""

    def __init__(
        self, vitals: Vitals, certificates: Certificates | None, admits: Admits, access: MetricsAccess
    ) -> None:
        """`certificates`: those of the port. `admits`: counts a request without a key; returns whether to answer it.
        `access`: who may read the metrics."""
        self._vitals, self._certificates, self._admits, self._access = vitals, certificates, admits, access
        self._writing: asyncio.Task[bytes] | None = None

    def pages(self, *, metrics: bool) -> dict[str, Page]:
        """Returns the pages by path."""
        own: dict[str, Page] = {"/healthz": self._get_health, "/readyz": self._get_ready}
        if metrics:
            own["/metrics"] = self._get_metrics
        return {path: self._counted(page) for path, page in own.items()}

    def _counted(self, page: Page) -> Page:
        async def get(request: web.Request) -> web.StreamResponse:
            return await page(request) if self._admits(request) else too_many_requests()

        return get

    async def _get_metrics(self, request: web.Request) -> web.Response:
        try:
            client_certificate(request, self._certificates).check()
        except ServiceError as error:
            return web.Response(status=401, text=f"{error.reason.name}: {error.message}\n")
        if (refused := await self._access.refusal(request)) is not None:
            return refused
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(asyncio.to_thread(self._written), name="write metrics")
        text = await asyncio.shield(self._writing)
        if request.query.get(_COLLECTIONS):
            text += await asyncio.to_thread(self._vitals.of_collections)
        return web.Response(body=text, headers={"Content-Type": _PROMETHEUS})

    def _written(self) -> bytes:
        """Returns all metrics. For threads, because it waits for collections."""
        self._vitals.refresh()
        text = self._vitals.text or self._vitals.metrics.text
        return text()

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _get_ready(self, _: web.Request) -> web.Response:
        found = self._vitals.readiness()
        lines = ["ready" if found.ready else "not ready", *found.remarks]
        return web.Response(text="\n".join(lines) + "\n", status=200 if found.ready else 503)


def too_many_requests() -> web.Response:
    """The response to requests without a key beyond the limit of their address."""
    text = "OVERLOADED: too many requests without a key from this address\n"
    return web.Response(status=429, text=text, headers={"Retry-After": "1"})
