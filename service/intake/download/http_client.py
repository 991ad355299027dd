"""HTTP requests to checked addresses. The request line is sent exactly as the link has it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import http_writer
from yarl import URL

from service.intake.download.addresses import Address
from service.intake.download.resolver import PinnedResolver, pin
from service.intake.download.urls import Link

# Every exception that a misbehaving host can cause on a connection.
HttpTrouble = (aiohttp.ClientError, OSError, ValueError)
_CHUNK = 64 * 1024
_MAX_HEADER_BYTES = 8190
_CONNECTIONS_PER_HOST = 8
_KEEP_S = 5.0  # short, because an open TLS connection holds its last plaintext


@dataclass(frozen=True)
class Timeouts:
    """Timeouts in seconds, for connecting and between two parts."""

    connect_s: float
    silence_s: float


class Answer:
    """Status and headers of a response whose body has not been read yet."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response

    def header(self, name: str) -> bytes:
        """The raw value of a header; b"" if absent. Values of repeated headers are joined by commas."""
        wanted = name.lower().encode()
        return b", ".join(value for held, value in self._response.raw_headers if held.lower() == wanted)

    @property
    def length(self) -> int:
        """The announced length of the body; 0 if unknown."""
        return self._response.content_length or 0

    @property
    def peer(self) -> Address | None:
        """The remote address of the connection; None if it is already closed."""
        transport = self._response.connection.transport if self._response.connection else None
        found = transport.get_extra_info("peername") if transport else None
        return ipaddress.ip_address(found[0].partition("%")[0]) if found else None

    def parts(self) -> AsyncIterator[bytes]:
        """Yields the body as it arrives. Raises HttpTrouble."""
        return self._response.content.iter_chunked(_CHUNK)


class HttpClient:
    """An HTTP client for one event loop. Follows no redirects, stores no cookies, uses no proxy."""

    def __init__(self, timeouts: Timeouts, connections: int) -> None:
        self._timeouts, self._connections = timeouts, connections
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def send(
        self, method: str, link: Link, addresses: tuple[Address, ...], headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        """Sends one request to one of `addresses`. Raises HttpTrouble."""
        pin(addresses)
        sending = self._opened().request(method, _exact(link), headers=headers, data=body, allow_redirects=False)
        async with sending as response:
            yield Answer(response)

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            _write_headers_on_the_heap()
            timeouts = self._timeouts
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=PinnedResolver(), use_dns_cache=False, limit=self._connections,
                    limit_per_host=_CONNECTIONS_PER_HOST, keepalive_timeout=_KEEP_S,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=timeouts.connect_s, sock_read=timeouts.silence_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False,
                max_line_size=_MAX_HEADER_BYTES, max_field_size=_MAX_HEADER_BYTES,
            )  # fmt: skip
        return self._session


def _write_headers_on_the_heap() -> None:
    """Makes aiohttp serialise headers in Python, on the heap.

    Its C writer builds requests on the stack, where URL and credentials would remain until something else overwrites
    them. Freed heap memory is overwritten.
    """
    http_writer._serialize_headers = http_writer._py_serialize_headers


def _exact(link: Link) -> URL:
    """A URL that aiohttp sends exactly as the link has it.

    It is created by `__setstate__`, as `pickle` does. yarl's constructors would parse and encode again, and cache what
    they parsed for good, secrets included. The whole target is passed as the path, which is sent unchanged.
    """
    url = object.__new__(URL)
    url.__setstate__(((link.scheme, link.authority, link.target.decode(), "", ""),))
    return url


def kind_of(error: Exception) -> str:
    """The kind of a failure, without address or name."""
    kinds = (
        (aiohttp.ClientSSLError, "TLS"), (aiohttp.ClientConnectorError, "no connection"),
        (aiohttp.ServerDisconnectedError, "it closed the connection"),
        (aiohttp.ClientPayloadError, "the response is truncated"),
        (aiohttp.ClientResponseError, "the response is not valid HTTP"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(error, kind)), "no connection")
