"""A port for HTTP: `/metrics` (Prometheus), `/healthz` (the process runs), `/readyz` (it accepts calls), added pages,
and the API on all other paths."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from service.errors import ServiceError, SettingError
from service.metrics import Metrics
from service.runtime.certificates import Certificates
from service.settings.addresses import is_loopback
from service.web.connections import KEEP_ALIVE_S, Connections
from service.web.tls import Handshakes, client_certificate
from service.web.url_caches import forget_url

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LINGER_S, _SHUTDOWN_S = 2.0, 2.0
_REQUEST_LOG = logging.getLogger(__name__)
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
    """

    metrics: Metrics
    readiness: Callable[[], Readiness]
    refresh: Callable[[], None]


class HttpPlace:
    """The address of the port, empty until it is bound. For objects created before that."""

    def __init__(self, *, secure: bool = False) -> None:
        """`secure`: it speaks TLS."""
        self.host, self.port, self._scheme = "", 0, "https" if secure else "http"

    def bound(self, host: str, port: int) -> None:
        """Sets the address once the port is bound."""
        self.host, self.port = host, port

    @property
    def loopback_url(self) -> str:
        """The URL for programs on this machine; empty if the server does not listen on loopback."""
        if not self.port or not is_loopback(self.host):
            return ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class Pages:
    """What the port serves besides health.

    - `reading`: pages by path, which need no client certificate.
    - `doors`: receive all requests below a path.
    - `api`: receives all other requests; None: they are 404.
    - `metrics`: whether `/metrics` is served.
    - `most_connections`: of all clients together.
    - `certificates`: None: the port speaks plain HTTP.
    """

    reading: Mapping[str, Page] = field(default_factory=dict)
    doors: Mapping[str, Page] = field(default_factory=dict)
    api: Page | None = None
    metrics: bool = True
    most_connections: int = 1000
    certificates: Certificates | None = None


class HttpServer:
    """Serves read-only pages, and the API. The built-in pages contain no data of tenants."""

    def __init__(self, vitals: Vitals, place: HttpPlace, pages: Pages | None = None) -> None:
        self._vitals, self._place, self._pages = vitals, place, pages or Pages()
        self._connections = Connections(self._pages.most_connections)
        certificates = self._pages.certificates
        self._secure = Handshakes(certificates).secure if certificates is not None else None
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0: none."""
        return self._place.port

    async def start(self, host: str, port: int, setting: str = "http") -> None:
        """Starts listening. Raises SettingError, about `setting`, if the address cannot be bound."""
        application = web.Application(middlewares=[self._connections.middleware, forget_url])
        if self._pages.metrics:
            application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/healthz", self._get_health)
        application.router.add_get("/readyz", self._get_ready)
        for path, page in self._pages.reading.items():
            application.router.add_get(path, page)
        for path, door in self._pages.doors.items():
            application.router.add_route("*", path + "{path:(?s:.*)}", door, expect_handler=_leave_to_the_call)
        if self._pages.api is not None:
            application.router.add_route("*", "/{path:(?s:.*)}", self._pages.api, expect_handler=_leave_to_the_call)
        runner = self._runner = web.AppRunner(
            application, access_log=None, logger=_REQUEST_LOG, handler_cancellation=True, auto_decompress=False,
            lingering_time=_LINGER_S, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=_SHUTDOWN_S,
        )  # fmt: skip
        await runner.setup()
        try:
            self._listening = await asyncio.get_running_loop().create_server(self._accept, host, port, backlog=128)
        except OSError as error:
            raise SettingError.about(setting, f"cannot bind {host}:{port}: {error.strerror}") from error
        self._place.bound(host, self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stops listening and ends requests that are still served."""
        if self._listening is not None:
            self._listening.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._connections.close()

    def _accept(self) -> asyncio.Protocol:
        assert self._runner is not None
        assert self._runner.server is not None
        return self._connections.wrap(self._runner.server(), self._secure)

    async def _get_metrics(self, request: web.Request) -> web.Response:
        try:
            client_certificate(request, self._pages.certificates).check()
        except ServiceError as error:
            return web.Response(status=401, text=f"{error.reason.name}: {error.message}\n")
        text = await asyncio.to_thread(self._fresh)
        return web.Response(body=text, headers={"Content-Type": _PROMETHEUS})

    def _fresh(self) -> bytes:
        """Returns all metrics. For threads, because it waits for collections."""
        self._vitals.refresh()
        return self._vitals.metrics.text()

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _get_ready(self, _: web.Request) -> web.Response:
        found = self._vitals.readiness()
        lines = ["ready" if found.ready else "not ready", *found.remarks]
        return web.Response(text="\n".join(lines) + "\n", status=200 if found.ready else 503)


class _NoMalformedRequests(logging.Filter):
    """Drops what aiohttp logs for requests that are not HTTP: anyone could fill the log with them."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_REQUEST_LOG.addFilter(_NoMalformedRequests())


async def _leave_to_the_call(_: web.Request) -> None:
    """A client that waits before it sends its body is told to go on when the body is read: after its key was judged."""
