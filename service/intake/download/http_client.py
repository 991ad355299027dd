"""HTTP to addresses that were checked: the request line is sent byte by byte as the link says."""

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

# What a host can do wrong on a connection.
HttpTrouble = (aiohttp.ClientError, OSError, ValueError)
_CHUNK = 64 * 1024
_MAX_HEADER_BYTES = 8190
_CONNECTIONS_PER_HOST = 8
_KEEP_S = 5.0  # a connection over TLS holds the last that was read in the clear


@dataclass(frozen=True)
class Timeouts:
    """Seconds for connecting and between two parts."""

    connect_s: float
    silence_s: float


class Answer:
    """What a host answers: its status and headers; the body is still to be read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response

    def header(self, name: str) -> bytes:
        """A header's value, as it came; empty where there is none. Repeated ones are joined by commas."""
        wanted = name.lower().encode()
        return b", ".join(value for held, value in self._response.raw_headers if held.lower() == wanted)

    @property
    def length(self) -> int:
        """The body's length as announced; 0 where it was not."""
        return self._response.content_length or 0

    @property
    def peer(self) -> Address | None:
        """The address at the other end of the connection; None where that is closed already."""
        transport = self._response.connection.transport if self._response.connection else None
        found = transport.get_extra_info("peername") if transport else None
        return ipaddress.ip_address(found[0].partition("%")[0]) if found else None

    def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises HttpTrouble."""
        return self._response.content.iter_chunked(_CHUNK)


class HttpClient:
    """For one event loop. Follows no redirect, keeps no cookie, knows no proxy."""

    def __init__(self, timeouts: Timeouts, connections: int) -> None:
        self._timeouts, self._connections = timeouts, connections
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def send(
        self, method: str, link: Link, addresses: tuple[Address, ...], headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        """Sends one request to one of these addresses. Raises HttpTrouble."""
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
    """aiohttp's writer in C puts requests together on the stack, where URL and credentials would stay until something
    else happens to lie there; its writer in Python uses memory that is overwritten when it is freed."""
    http_writer._serialize_headers = http_writer._py_serialize_headers


def _exact(link: Link) -> URL:
    """A URL that aiohttp sends as the link says.

    It is made as `pickle` makes one: yarl's constructors parse, encode again, and remember what they parsed for good,
    secrets included. The whole target is the path, which is sent as it is.
    """
    url = object.__new__(URL)
    url.__setstate__(((link.scheme, link.authority, link.target.decode(), "", ""),))
    return url


def kind_of(error: Exception) -> str:
    """What kind of failure it was, without address or name."""
    kinds = (
        (aiohttp.ClientSSLError, "TLS"), (aiohttp.ClientConnectorError, "no connection"),
        (aiohttp.ServerDisconnectedError, "it hung up"), (aiohttp.ClientPayloadError, "the answer is cut short"),
        (aiohttp.ClientResponseError, "the answer is no HTTP"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(error, kind)), "no connection")
