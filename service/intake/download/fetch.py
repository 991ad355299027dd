"""Fetches a picture or a feed from a URL that a caller gave, safe against server-side request forgery.

The host is resolved once. Every address is checked, and the connection goes to a checked address. The same holds for
each redirect. Requests use no proxy and no cookies. Credentials are sent only to the origin for which they were given.
Sizes are counted while reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from service.errors import Reason, ServiceError
from service.intake.download.addresses import Address, is_exempt, is_forbidden
from service.intake.download.host_limits import HostLimits, Hosts
from service.intake.download.http_client import Answer, HttpClient, HttpTrouble, Timeouts, kind_of
from service.intake.download.limits import FetchLimits
from service.intake.download.resolver import Resolve, system_resolve
from service.intake.download.response import Take, is_whole, read_body, redirect_target, retry_after_s, url_error
from service.intake.download.urls import Link, host_allowed, parse_link
from service.runtime.clock import SYSTEM_CLOCK, Clock, Stopwatch

_WHOLE = frozenset({200, 203})  # 203: modified by a proxy
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST_OVERLOADED = frozenset({429, 430, 503})
Counted = Callable[[str, str, float], object]
_RETRYABLE = frozenset({202, 408, 425, 500, 502, 504})  # 202: the content is not ready yet


@dataclass(frozen=True)
class Validators:
    """Validators of the version of a picture that a host sent, for a conditional request later."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class Fetched:
    """A body, or None if the host answered that it has not changed since the validators of the request."""

    body: bytes | None
    validators: Validators

    def __repr__(self) -> str:
        return f"Fetched({'unchanged' if self.body is None else len(self.body)})"


@dataclass(frozen=True)
class FetchRequest:
    """One request.

    - `allowed_hosts`: hosts that may be fetched from; None: any public host.
    - `authorization`: value of the Authorization header.
    - `take`: receives the parts of the body as they arrive, and is awaited; None: `Fetched.body` holds them all.
    - `body`: JSON to send by POST; `signature`: value of the Afterimage-Signature header.
    """

    url: str = field(repr=False)
    allowed_hosts: Collection[str] | None = None
    known: Validators = Validators()
    authorization: str = field(default="", repr=False)
    take: Take | None = None
    body: bytes | None = field(default=None, repr=False)
    signature: str = field(default="", repr=False)

    @property
    def method(self) -> str:
        """POST if there is a body, else GET."""
        return "GET" if self.body is None else "POST"


class Fetcher:
    """Fetches URLs. Create, use and close it on one event loop."""

    def __init__(
        self, limits: FetchLimits, hosts: HostLimits, resolve: Resolve | None = None, clock: Clock = SYSTEM_CLOCK,
        counted: Counted = lambda kind, reason, seconds: None,
    ) -> None:  # fmt: skip
        """`resolve` returns the addresses of a host name as text. The default is the system's resolver. `counted` is
        told of each download: its kind, the reason why it failed (OK, UNCHANGED if it did not), and its duration."""
        self._limits, self._hosts, self._clock = limits, Hosts(hosts, clock), clock
        self._resolve, self._counted = resolve or system_resolve, counted
        self._client = HttpClient(Timeouts(limits.connect_s, limits.silence_s), limits.connections)

    async def fetch(self, request: FetchRequest) -> Fetched:
        """Fetches a URL, following redirects. The body is empty if `take` received it.

        Raises ServiceError (URL_..., HOST_BUSY, IMAGE_TOO_LARGE, IMAGE_EMPTY), and whatever `take` raises.
        """
        kind, reason, watch = self._limits.what if request.body is None else "webhook", "", Stopwatch()
        try:
            found = await self._fetch(request)
            reason = "OK" if found.body is not None else "UNCHANGED"
            return found
        except ServiceError as error:
            reason = error.reason.name
            raise
        finally:
            if reason:  # not cancelled
                self._counted(kind, reason, watch.seconds())

    async def _fetch(self, request: FetchRequest) -> Fetched:
        first = link = parse_link(request.url)
        try:
            async with asyncio.timeout(self._limits.total_s):
                for _ in range(self._limits.redirects + 1):
                    asked = request if link.origin == first.origin else replace(request, authorization="")
                    found = await self._hop(link, asked)
                    if isinstance(found, Fetched):
                        return found
                    if link.scheme == "https" and found.scheme == "http" and not self._limits.http:
                        raise url_error(Reason.URL_FORBIDDEN, "the URL redirects from https to http")
                    link = found
        except TimeoutError:
            self._hosts.failed(link.host)
            raise url_error(
                Reason.URL_TOO_SLOW, f"the URL did not answer within {self._limits.total_s:g} s", 1.0
            ) from None
        raise url_error(Reason.URL_REFUSED, f"the URL redirects more than {self._limits.redirects} times")

    async def check(self, url: str, allowed_hosts: Collection[str] | None) -> None:
        """Raises ServiceError (URL_INVALID, URL_FORBIDDEN) if `fetch` would do so before connecting.

        A host that cannot be resolved passes, because it may exist later.
        """
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
                raise url_error(reason, f"the host of the URL does not respond {what}", 1.0) from None

    async def _check(self, link: Link, allowed_hosts: Collection[str] | None) -> tuple[Address, ...]:
        """Resolves the host. Returns its addresses, all of which are allowed."""
        if not host_allowed(link.host, allowed_hosts):
            raise url_error(
                Reason.URL_FORBIDDEN, "the host of the URL is not on this tenant's list (tenants fetch-hosts)"
            )
        if link.address is not None:
            addresses: tuple[Address, ...] = (link.address,)
        else:
            try:
                texts = await self._resolve(link.host, link.port)
                addresses = tuple(ipaddress.ip_address(t.partition("%")[0]) for t in texts)
            except (OSError, ValueError, UnicodeError):
                addresses = ()
        if not addresses:
            raise url_error(Reason.URL_UNREACHABLE, "the host of the URL cannot be resolved", 1.0)
        if any(is_forbidden(a, self._limits.exempt) for a in addresses):
            message = "the host of the URL is not public; the operator can allow its network (fetch_networks)"
            raise url_error(Reason.URL_FORBIDDEN, message)
        if not all(is_exempt(a, self._limits.exempt) for a in addresses):
            if not link.uses_default_port:
                raise url_error(Reason.URL_FORBIDDEN, "only ports 443 and 80 are allowed outside of fetch_networks")
            if link.scheme == "http" and not self._limits.http:
                raise url_error(Reason.URL_FORBIDDEN, "plain http is not allowed (fetch_http); use an https URL")
        return addresses

    def _check_peer(self, answer: Answer) -> None:
        """Checks the address of the actual connection, as a final safeguard."""
        peer = answer.peer
        if peer is not None and is_forbidden(peer, self._limits.exempt):
            raise url_error(Reason.URL_FORBIDDEN, "the host of the URL is not public")

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
            return redirect_target(link, answer.header("Location"))
        if status not in _WHOLE and not is_whole(answer):
            raise self._refusal(link, answer)
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            parts.append(part)

        await read_body(answer, request.take or keep, self._limits, self._clock)
        self._hosts.succeeded(link.host)
        return Fetched(b"".join(parts), Validators(*(_header(answer, name) for name in ("ETag", "Last-Modified"))))

    def _refusal(self, link: Link, answer: Answer) -> ServiceError:
        status = answer.status
        if status in _HOST_OVERLOADED:
            pause = retry_after_s(answer.header("Retry-After").decode("latin-1"), self._clock.now_s())
            self._hosts.pause(link.host, pause)
            return url_error(Reason.HOST_BUSY, f"the host of the URL asks for a pause (status {status})", pause)
        if status in _RETRYABLE:
            self._hosts.failed(link.host)
            return url_error(Reason.URL_UNREACHABLE, f"the host of the URL answers with status {status}", 1.0)
        self._hosts.succeeded(link.host)
        reason = Reason.URL_NOT_FOUND if status in (404, 410) else Reason.URL_REFUSED
        return url_error(reason, f"the host of the URL answers with status {status}")


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
