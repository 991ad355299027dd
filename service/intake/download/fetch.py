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
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from service.errors import Reason, ServiceError
from service.intake.download.addresses import Address, Network, is_exempt, is_forbidden
from service.intake.download.content_coding import CodingDamaged, CodingUnknown, Decoder, decoders, inflated
from service.intake.download.host_limits import HostLimits, Hosts
from service.intake.download.http_client import Answer, HttpClient, HttpTrouble, Timeouts, kind_of
from service.intake.download.resolver import Resolve, system_resolve
from service.intake.download.urls import Link, host_allowed, parse_link

_WHOLE = frozenset({200, 203})  # 203: the same, altered by a proxy
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST_OVERLOADED = frozenset({429, 430, 503})
_WORTH_A_RETRY = frozenset({202, 408, 425, 500, 502, 504})  # 202: it is still being made
_GRACE_S = 3.0
_MAX_RATIO, _ALWAYS_ALLOWED = 100, 16 * 1024 * 1024  # of what is inflated
_YIELD_EVERY = 1 << 20
_RANGE = re.compile(rb"bytes 0-(\d{1,18})/(\d{1,18})")


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


Take = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class FetchRequest:
    """What to ask for. allowed_hosts None: any that is public. authorization: the header of that name. take: gets the
    parts of the body as they come, and is awaited; None keeps them all. body: JSON to send, by POST, and signature: its
    header."""

    url: str = field(repr=False)
    allowed_hosts: Collection[str] | None = None
    known: Validators = Validators()
    authorization: str = field(default="", repr=False)
    take: Take | None = None
    body: bytes | None = field(default=None, repr=False)
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
        self._client = HttpClient(Timeouts(limits.connect_s, limits.silence_s), limits.connections)

    async def fetch(self, request: FetchRequest) -> Fetched:
        """What is behind a URL; an empty body where `take` got it.

        Raises ServiceError (URL_..., HOST_BUSY, IMAGE_TOO_LARGE, IMAGE_EMPTY), and what `take` raises.
        """
        first = link = parse_link(request.url)
        try:
            async with asyncio.timeout(self._limits.total_s):
                for _ in range(self._limits.redirects + 1):
                    asked = request if link.origin == first.origin else replace(request, authorization="")
                    found = await self._hop(link, asked)
                    if isinstance(found, Fetched):
                        return found
                    if link.scheme == "https" and found.scheme == "http" and not self._limits.http:
                        raise _error(Reason.URL_FORBIDDEN, "the URL redirects from https to http")
                    link = found
        except TimeoutError:
            self._hosts.failed(link.host)
            raise _error(
                Reason.URL_TOO_SLOW, f"the URL did not answer within {self._limits.total_s:g} s", 1.0
            ) from None
        raise _error(Reason.URL_REFUSED, f"the URL redirects more than {self._limits.redirects} times")

    async def check(self, url: str, allowed_hosts: Collection[str] | None) -> None:
        """Raises ServiceError (URL_INVALID, URL_FORBIDDEN) where `fetch` would before it connects. A host that is not
        known now may be later."""
        link = parse_link(url)
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(self._limits.connect_s):
                    await self._check(link, allowed_hosts)
            except ServiceError as error:
                if error.reason is not Reason.URL_UNREACHABLE:
                    raise

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()

    async def _hop(self, link: Link, request: FetchRequest) -> Fetched | Link:
        addresses = await self._check(link, request.allowed_hosts)
        headers = _headers(request, self._limits.accept)
        async with self._hosts.turn(link.host):
            try:
                async with self._client.send(request.method, link, addresses, headers, request.body) as answer:
                    self._check_peer(answer)
                    return await self._read(link, answer, request)
            except HttpTrouble as error:
                self._hosts.failed(link.host)
                slow = isinstance(error, TimeoutError)
                what = "in time" if slow else f"properly ({kind_of(error)})"
                reason = Reason.URL_TOO_SLOW if slow else Reason.URL_UNREACHABLE
                raise _error(reason, f"the host of the URL does not answer {what}", 1.0) from None

    async def _check(self, link: Link, allowed_hosts: Collection[str] | None) -> tuple[Address, ...]:
        """The addresses of the host, all of which may be connected to."""
        if not host_allowed(link.host, allowed_hosts):
            raise _error(Reason.URL_FORBIDDEN, "the host of the URL is not on this tenant's list (tenants fetch-hosts)")
        if link.address is not None:
            addresses: tuple[Address, ...] = (link.address,)
        else:
            try:
                texts = await self._resolve(link.host, link.port)
                addresses = tuple(ipaddress.ip_address(t.partition("%")[0]) for t in texts)
            except (OSError, ValueError, UnicodeError):
                addresses = ()
        if not addresses:
            raise _error(Reason.URL_UNREACHABLE, "the host of the URL is not known", 1.0)
        if any(is_forbidden(a, self._limits.exempt) for a in addresses):
            message = "the host of the URL is not a public one; its operator can allow its network (fetch_networks)"
            raise _error(Reason.URL_FORBIDDEN, message)
        if not all(is_exempt(a, self._limits.exempt) for a in addresses):
            if not link.on_public_terms:
                raise _error(
                    Reason.URL_FORBIDDEN, "only the ports 443 and 80 are fetched from, but within fetch_networks"
                )
            if link.scheme == "http" and not self._limits.http:
                raise _error(Reason.URL_FORBIDDEN, "plain http is not allowed here (fetch_http); give an https URL")
        return addresses

    def _check_peer(self, answer: Answer) -> None:
        """The last word is that of the connection itself."""
        peer = answer.peer
        if peer is not None and is_forbidden(peer, self._limits.exempt):
            raise _error(Reason.URL_FORBIDDEN, "the host of the URL is not a public one")

    async def _read(self, link: Link, answer: Answer, request: FetchRequest) -> Fetched | Link:
        status = answer.status
        if status == 304 and request.known != Validators():
            self._hosts.succeeded(link.host)
            return Fetched(None, request.known)
        if request.body is not None and 200 <= status < 300:
            self._hosts.succeeded(link.host)
            return Fetched(b"", Validators())
        if status in _REDIRECTS and request.body is None:
            self._hosts.succeeded(link.host)
            return _target(link, answer.header("Location"))
        if status not in _WHOLE and not _is_whole(answer):
            raise self._refusal(link, answer)
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            parts.append(part)

        await self._body(answer, request.take or keep)
        self._hosts.succeeded(link.host)
        return Fetched(b"".join(parts), Validators(*(_header(answer, name) for name in ("ETag", "Last-Modified"))))

    def _refusal(self, link: Link, answer: Answer) -> ServiceError:
        status = answer.status
        if status in _HOST_OVERLOADED:
            pause = _retry_after_s(answer.header("Retry-After").decode("latin-1"))
            self._hosts.pause(link.host, pause)
            return _error(Reason.HOST_BUSY, f"the host of the URL asks for a pause (status {status})", pause)
        if status in _WORTH_A_RETRY:
            self._hosts.failed(link.host)
            return _error(Reason.URL_UNREACHABLE, f"the host of the URL answers with status {status}", 1.0)
        self._hosts.succeeded(link.host)
        reason = Reason.URL_NOT_FOUND if status in (404, 410) else Reason.URL_REFUSED
        return _error(reason, f"the host of the URL answers with status {status}")

    async def _body(self, answer: Answer, take: Take) -> None:
        started, received = time.monotonic(), 0
        if answer.length > self._limits.max_bytes:
            raise self._too_large()
        layers = self._layers(answer)
        gauge = _Gauge(self._limits.max_bytes, bool(layers))
        try:
            async for part in answer.parts():
                received += len(part)
                for piece in inflated(part, layers):
                    if not gauge.add(piece, received):
                        raise self._too_large()
                    if piece:
                        await take(piece)
                    if gauge.due():
                        await asyncio.sleep(0)
                seconds = time.monotonic() - started
                if seconds > _GRACE_S and received < self._limits.least_rate * seconds:
                    raise TimeoutError
            if received:
                for layer in layers:
                    layer.end()
        except CodingDamaged:
            message = f"the {self._limits.what} is not compressed as its host says, or cut short"
            raise _error(Reason.URL_REFUSED, message) from None

    def _layers(self, answer: Answer) -> list[Decoder]:
        try:
            return decoders(answer.header("Content-Encoding").decode("latin-1"))
        except CodingUnknown as error:
            message = f"the host sends the {self._limits.what} encoded ({error}) although it was asked not to"
            raise _error(Reason.URL_REFUSED, message) from None

    def _too_large(self) -> ServiceError:
        return _error(Reason.IMAGE_TOO_LARGE, f"the {self._limits.what} has more than {self._limits.max_bytes} bytes")


class _Gauge:
    """Whether a body stays within its limits; one that is inflated must not grow a hundredfold."""

    def __init__(self, most: int, grows: bool) -> None:
        self._most, self._grows = most, grows
        self._size = self._last = 0

    def add(self, piece: bytes, received: int) -> bool:
        """Whether the piece still fits. received: bytes that came for all until here."""
        self._size += len(piece)
        ratio = max(_ALWAYS_ALLOWED, received * _MAX_RATIO) if self._grows else self._most
        return self._size <= min(self._most, ratio)

    def due(self) -> bool:
        """Whether others should have the event loop now."""
        due = self._size - self._last >= _YIELD_EVERY
        self._last = self._size if due else self._last
        return due


def _headers(request: FetchRequest, accept: str) -> dict[str, str]:
    known = request.known
    sent = {
        "User-Agent": "Afterimage", "Accept": accept, "Accept-Encoding": "identity",
        "If-None-Match": known.etag, "If-Modified-Since": "" if known.etag else known.last_modified,
        "Authorization": request.authorization, "Afterimage-Signature": request.signature,
        "Content-Type": "" if request.body is None else "application/json",
    }  # fmt: skip
    return {name: value for name, value in sent.items() if value}


def _header(answer: Answer, name: str) -> str:
    value = answer.header(name).decode("latin-1")
    return value if len(value) <= 200 and value.isascii() and value.isprintable() else ""


def _is_whole(answer: Answer) -> bool:
    """Whether a part of the whole (206), which nobody asked for, is all of it."""
    found = _RANGE.fullmatch(answer.header("Content-Range")) if answer.status == 206 else None
    return found is not None and int(found[1]) + 1 == int(found[2])


def _target(link: Link, location: bytes) -> Link:
    if not location.strip():
        raise _error(Reason.URL_REFUSED, "the URL redirects to nowhere")
    return link.join(location)


def _retry_after_s(text: str) -> float:
    """Seconds from a Retry-After header, given in seconds or as a date; a minute where it says nothing."""
    if text.isdigit() and len(text) < 7:
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(1.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 60.0


def _error(reason: Reason, message: str, retry_delay_s: float | None = None) -> ServiceError:
    return ServiceError(reason, message, field="url", retry_delay_s=retry_delay_s)
