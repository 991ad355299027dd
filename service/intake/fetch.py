"""Fetches a picture, or a catalogue feed, from a URL that a caller gave, without letting the caller choose where the
server connects.

The host is resolved once, every address is checked, and the connection goes to a checked address; the same for each
redirect. Nothing of the server goes along: no proxy, no cookie. Credentials go to the origin that they were given for,
and nowhere else. Sizes are counted while reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ipaddress
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import aiohttp
from yarl import URL

from service.errors import Reason, ServiceError
from service.intake.addresses import Address, Network, is_exempt, is_forbidden
from service.intake.hosts import HostLimits, Hosts
from service.intake.links import Link, host_allowed, parse_link
from service.intake.resolver import PinnedResolver, Resolve, pin, system_resolve

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST_OVERLOADED = frozenset({429, 430, 503})
_WORTH_A_RETRY = frozenset({408, 425, 500, 502, 504})
_CHUNK = 64 * 1024
_GRACE_S = 3.0


@dataclass(frozen=True)
class FetchLimits:
    """max_bytes: of one body. total_s, connect_s, silence_s: time for all, for connecting, between two parts.
    least_rate: bytes per second, after three seconds. http: whether plain http may be used at all. exempt: networks
    that are not public and may be fetched from, on any port and by http. connections: open at a time. what: is
    fetched; accept: media types to ask for."""

    max_bytes: int = 16 * 1024 * 1024
    total_s: float = 15.0
    connect_s: float = 3.0
    silence_s: float = 5.0
    least_rate: int = 1024
    redirects: int = 3
    http: bool = False
    exempt: tuple[Network, ...] = ()
    connections: int = 64
    what: str = "picture"
    accept: str = "image/*"


@dataclass(frozen=True)
class Validators:
    """What a host said of the version of a picture that it gave, for asking next time whether it changed."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class Fetched:
    """A body, or None where the host says that it has not changed since the validators that were sent."""

    body: bytes | None
    validators: Validators

    def __repr__(self) -> str:
        return f"Fetched({'unchanged' if self.body is None else len(self.body)})"


@dataclass(frozen=True)
class FetchRequest:
    """What to ask for. allowed_hosts None: any that is public. authorization: the header of that name. take: gets the
    parts of the body as they come; None keeps them all. body: JSON to send, by POST, and signature: its header."""

    url: str
    allowed_hosts: Collection[str] | None = None
    known: Validators = Validators()
    authorization: str = field(default="", repr=False)
    take: Callable[[bytes], object] | None = None
    body: bytes | None = None
    signature: str = field(default="", repr=False)

    @property
    def method(self) -> str:
        """POST where something is sent."""
        return "GET" if self.body is None else "POST"


class Fetcher:
    """Made, used and closed on one event loop."""

    def __init__(self, limits: FetchLimits, hosts: HostLimits, resolve: Resolve | None = None) -> None:
        """`resolve` gives the addresses of a host name, as text; the system's resolver where it is left out."""
        self._limits, self._hosts = limits, Hosts(hosts)
        self._resolve = resolve or system_resolve
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, request: FetchRequest) -> Fetched:
        """What is behind a URL; an empty body where `take` got it.

        Raises ServiceError (URL_..., HOST_BUSY, IMAGE_TOO_LARGE, IMAGE_EMPTY), and what `take` raises.
        """
        first = link = parse_link(request.url)
        try:
            async with asyncio.timeout(self._limits.total_s):
                for _ in range(self._limits.redirects + 1):
                    asked = request if link.url.origin() == first.url.origin() else replace(request, authorization="")
                    found = await self._hop(link, asked)
                    if isinstance(found, Fetched):
                        return found
                    if link.url.scheme == "https" and found.url.scheme == "http" and not self._limits.http:
                        raise _error(Reason.URL_FORBIDDEN, "the URL redirects from https to http")
                    link = found
        except TimeoutError:
            self._hosts.failed(link.host)
            raise _error(
                Reason.URL_TOO_SLOW, f"the URL did not answer within {self._limits.total_s:g} s", 1.0
            ) from None
        raise _error(Reason.URL_REFUSED, f"the URL redirects more than {self._limits.redirects} times")

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def _hop(self, link: Link, request: FetchRequest) -> Fetched | Link:
        if not host_allowed(link.host, request.allowed_hosts):
            raise _error(Reason.URL_FORBIDDEN, "the host of the URL is not on this tenant's list")
        addresses = await self._checked_addresses(link)
        async with self._hosts.turn(link.host):
            pin(addresses)
            try:
                headers = _headers(request)
                session = self._connected()
                async with session.request(
                    request.method, link.url, headers=headers, data=request.body, allow_redirects=False
                ) as response:
                    self._check_peer(response)
                    return await self._read(link, response, request)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self._hosts.failed(link.host)
                what = "in time" if isinstance(error, TimeoutError) else f"properly ({_kind(error)})"
                reason = Reason.URL_TOO_SLOW if isinstance(error, TimeoutError) else Reason.URL_UNREACHABLE
                raise _error(reason, f"the host of the URL does not answer {what}", 1.0) from None

    async def _checked_addresses(self, link: Link) -> tuple[Address, ...]:
        """The addresses of the host, all of which may be connected to."""
        if link.address is not None:
            addresses: tuple[Address, ...] = (link.address,)
        else:
            try:
                texts = await self._resolve(link.host, link.url.port or 443)
                addresses = tuple(ipaddress.ip_address(t.partition("%")[0]) for t in texts)
            except (OSError, ValueError, UnicodeError):
                addresses = ()
        if not addresses:
            raise _error(Reason.URL_UNREACHABLE, "the host of the URL is not known", 1.0)
        if any(is_forbidden(a, self._limits.exempt) for a in addresses):
            raise _error(Reason.URL_FORBIDDEN, "the host of the URL is not a public one")
        if not all(is_exempt(a, self._limits.exempt) for a in addresses):
            if not link.on_public_terms:
                raise _error(Reason.URL_FORBIDDEN, "only the ports 443 and 80 are fetched from")
            if link.url.scheme == "http" and not self._limits.http:
                raise _error(Reason.URL_FORBIDDEN, "plain http is not allowed here; give an https URL")
        return addresses

    def _check_peer(self, response: aiohttp.ClientResponse) -> None:
        """The last word is that of the connection itself."""
        transport = response.connection.transport if response.connection else None
        peer = transport.get_extra_info("peername") if transport else None
        if peer is not None and is_forbidden(ipaddress.ip_address(peer[0].partition("%")[0]), self._limits.exempt):
            response.close()
            raise _error(Reason.URL_FORBIDDEN, "the host of the URL is not a public one")

    async def _read(self, link: Link, response: aiohttp.ClientResponse, request: FetchRequest) -> Fetched | Link:
        status = response.status
        if status == 304 and request.known != Validators():
            self._hosts.succeeded(link.host)
            return Fetched(None, request.known)
        if request.body is not None and 200 <= status < 300:
            self._hosts.succeeded(link.host)
            return Fetched(b"", Validators())
        if status in _REDIRECTS and request.body is None:
            self._hosts.succeeded(link.host)
            return _target(link, response.headers.get("Location", ""))
        if status != 200:
            raise self._refusal(link, response)
        if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise _error(
                Reason.URL_REFUSED, f"the host sends the {self._limits.what} encoded although it was asked not to"
            )
        parts: list[bytes] = []
        await self._body(response, request.take or parts.append)
        self._hosts.succeeded(link.host)
        return Fetched(b"".join(parts), Validators(*(_header(response, name) for name in ("ETag", "Last-Modified"))))

    def _refusal(self, link: Link, response: aiohttp.ClientResponse) -> ServiceError:
        status = response.status
        if status in _HOST_OVERLOADED:
            pause = _retry_after_s(response.headers.get("Retry-After", ""))
            self._hosts.pause(link.host, pause)
            return _error(Reason.HOST_BUSY, f"the host of the URL asks for a pause (status {status})", pause)
        if status in _WORTH_A_RETRY:
            self._hosts.failed(link.host)
            return _error(Reason.URL_UNREACHABLE, f"the host of the URL answers with status {status}", 1.0)
        self._hosts.succeeded(link.host)
        reason = Reason.URL_NOT_FOUND if status in (404, 410) else Reason.URL_REFUSED
        return _error(reason, f"the host of the URL answers with status {status}")

    async def _body(self, response: aiohttp.ClientResponse, take: Callable[[bytes], object]) -> None:
        limit, started, size = self._limits.max_bytes, time.monotonic(), 0
        if (response.content_length or 0) > limit:
            raise self._too_large()
        async for part in response.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > limit:
                raise self._too_large()
            take(part)
            seconds = time.monotonic() - started
            if seconds > _GRACE_S and size < self._limits.least_rate * seconds:
                raise TimeoutError

    def _too_large(self) -> ServiceError:
        return _error(Reason.IMAGE_TOO_LARGE, f"the {self._limits.what} has more than {self._limits.max_bytes} bytes")

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=PinnedResolver(), use_dns_cache=False, limit=limits.connections, limit_per_host=8
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s, sock_read=limits.silence_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                max_line_size=8190,
                max_field_size=8190,
                headers={"User-Agent": "Afterimage", "Accept": limits.accept, "Accept-Encoding": "identity"},
            )
        return self._session


def _headers(request: FetchRequest) -> dict[str, str]:
    known = request.known
    sent = {
        "If-None-Match": known.etag, "If-Modified-Since": "" if known.etag else known.last_modified,
        "Authorization": request.authorization, "Afterimage-Signature": request.signature,
        "Content-Type": "" if request.body is None else "application/json",
    }  # fmt: skip
    return {name: value for name, value in sent.items() if value}


def _header(response: aiohttp.ClientResponse, name: str) -> str:
    value = response.headers.get(name, "")
    return value if len(value) <= 200 and value.isascii() and value.isprintable() else ""


def _target(link: Link, location: str) -> Link:
    if not location or len(location) > 4000:
        raise _error(Reason.URL_REFUSED, "the URL redirects to nowhere")
    with contextlib.suppress(ValueError, UnicodeError):
        return parse_link(str(link.url.join(URL(location, encoded=True))))
    raise _error(Reason.URL_REFUSED, "the URL redirects to something that is no URL")


def _retry_after_s(text: str) -> float:
    """Seconds from a Retry-After header, given in seconds or as a date; a minute where it says nothing."""
    if text.isdigit() and len(text) < 7:
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(1.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 60.0


def _kind(error: Exception) -> str:
    """What kind of failure it was, without address or name."""
    kinds = (
        (aiohttp.ClientSSLError, "TLS"), (aiohttp.ClientConnectorError, "no connection"),
        (aiohttp.ServerDisconnectedError, "it hung up"), (aiohttp.ClientPayloadError, "the answer is cut short"),
        (aiohttp.ClientResponseError, "the answer is no HTTP"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(error, kind)), "no connection")


def _error(reason: Reason, message: str, retry_delay_s: float | None = None) -> ServiceError:
    return ServiceError(reason, message, field="url", retry_delay_s=retry_delay_s)
