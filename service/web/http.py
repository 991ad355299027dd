"""A port for HTTP: pages without a key, added pages, and the API on all other paths."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from service.errors import SettingError
from service.runtime.certificates import Certificates
from service.settings.addresses import is_loopback
from service.web.connections import KEEP_ALIVE_S, ConnectionLimits, Connections
from service.web.counted_protocol import CountedProtocol
from service.web.malformed import request_handler
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import Admits, OpenPages, Page, Vitals
from service.web.request_counts import RequestCounts
from service.web.tls import Handshakes
from service.web.url_caches import forget_url

_LINGER_S, _SHUTDOWN_S = 10.0, 2.0
_REQUEST_LOG = logging.getLogger(__name__)


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

    - `reading`: pages by path, which need no key.
    - `doors`: receive all requests below a path.
    - `api`: receives all other requests; None: they are 404.
    - `metrics`: whether `/metrics` is served.
    - `access`: who may read `/metrics`.
    - `admits`: counts requests for the pages without a key; returns whether to answer them.
    - `connections`: None: of a port with the default limits.
    - `certificates`: None: the port speaks plain HTTP.
    """

    reading: Mapping[str, Page] = field(default_factory=dict)
    doors: Mapping[str, Page] = field(default_factory=dict)
    api: Page | None = None
    metrics: bool = True
    access: MetricsAccess = field(default_factory=MetricsAccess)
    admits: Admits = lambda request: True
    connections: Connections | None = None
    certificates: Certificates | None = None


class HttpServer:
    """Serves read-only pages, and the API. The built-in pages contain no data of tenants."""

    def __init__(self, vitals: Vitals, place: HttpPlace, pages: Pages | None = None) -> None:
        self._place, self._pages = place, pages or Pages()
        self._connections = self._pages.connections or Connections(ConnectionLimits(), vitals.metrics)
        certificates = self._pages.certificates
        self._open_pages = OpenPages(vitals, certificates, self._pages.admits, self._pages.access)
        self._counts = RequestCounts(vitals.metrics)
        self._secure = Handshakes(certificates).secure if certificates is not None else None
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0: none."""
        return self._place.port

    async def start(self, host: str, port: int, setting: str = "http") -> None:
        """Starts listening. Raises SettingError, about `setting`, if the address cannot be bound."""
        application = web.Application(middlewares=[self._counts.middleware, self._connections.middleware, forget_url])
        application.on_response_prepare.append(_name_server)
        for path, page in {**self._open_pages.pages(metrics=self._pages.metrics), **self._pages.reading}.items():
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
        return CountedProtocol(self._connections, request_handler(self._runner.server), self._secure)


class _NoMalformedRequests(logging.Filter):
    """Drops what aiohttp logs for requests that are not HTTP: anyone could fill the log with them."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_REQUEST_LOG.addFilter(_NoMalformedRequests())


async def _name_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "afterimage"  # aiohttp would name its version and Python's


async def _leave_to_the_call(_: web.Request) -> None:
    """A client that waits before it sends its body is told to go on when the body is read: after its key was judged."""
