"""The HTTP port: `/metrics` (Prometheus), `/healthz` (the process runs), `/readyz` (it accepts calls), and added
pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from service.config import is_loopback
from service.errors import SettingError
from service.metrics import Metrics
from service.web.url_caches import forget_url

Page = Callable[[web.Request], Awaitable[web.Response]]
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Readiness:
    """Whether calls are accepted. `remarks`: one line for each part that is not served; they name no tenant."""

    ready: bool
    remarks: tuple[str, ...] = ()


class HttpPlace:
    """The address of the HTTP port, empty until it is bound. For objects created before that."""

    def __init__(self) -> None:
        self.host, self.port = "", 0

    def bound(self, host: str, port: int) -> None:
        """Sets the address once the port is bound."""
        self.host, self.port = host, port

    @property
    def loopback_url(self) -> str:
        """The URL for programs on this machine; empty if the server does not listen on loopback."""
        if not self.port or not is_loopback(self.host):
            return ""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class HttpServer:
    """Serves read-only pages. The built-in ones contain no data of tenants."""

    def __init__(
        self, metrics: Metrics, readiness: Callable[[], Readiness], refresh: Callable[[], None], place: HttpPlace,
        pages: Mapping[str, Page] | None = None,
    ) -> None:  # fmt: skip
        """`refresh` updates gauges before the metrics are written."""
        self._metrics, self._readiness, self._refresh = metrics, readiness, refresh
        self._place, self._pages = place, pages or {}
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """That it listens on; 0: none."""
        return self._place.port

    async def start(self, host: str, port: int) -> None:
        """Starts listening. Raises SettingError if the address cannot be bound."""
        application = web.Application(middlewares=[forget_url])
        application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/healthz", self._get_health)
        application.router.add_get("/readyz", self._get_ready)
        for path, page in self._pages.items():
            application.router.add_get(path, page)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingError.about("http", f"cannot bind {host}:{port}: {error.strerror}") from error
        self._place.bound(host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, _: web.Request) -> web.Response:
        text = await asyncio.to_thread(self._fresh)
        return web.Response(body=text, headers={"Content-Type": _PROMETHEUS})

    def _fresh(self) -> bytes:
        """All metrics as they are now. For threads: collections are asked, which may be at work."""
        self._refresh()
        return self._metrics.text()

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _get_ready(self, _: web.Request) -> web.Response:
        found = self._readiness()
        lines = ["ready" if found.ready else "not ready", *found.remarks]
        return web.Response(text="\n".join(lines) + "\n", status=200 if found.ready else 503)
