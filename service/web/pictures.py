"""`/pictures/<token>`: the decrypted target of a link.

Pictures that are read and sent count like the responses of calls: a client that does not read them is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from service.calls.limits.call_limiter import COPIES, CallLimiter
from service.calls.limits.failures import address_of
from service.calls.limits.keyless import KeylessCalls
from service.errors import Reason, ServiceError
from service.intake.formats import media_type
from service.statuses import http_status

# No intermediary may cache it, and no browser may interpret it as anything but a picture.
_HEADERS = {
    "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline",
}  # fmt: skip
_OWNER = "picture links"  # beside the tenants, in the shares of what is in flight
_MOST_OPENED = 16  # pictures that are read at a time; their size is known afterwards


@dataclass(frozen=True)
class LinkLimits:
    """Limits on requests for pictures.

    - `limiter`: what is in flight.
    - `keyless`: counts links that are not valid, like calls without a key.
    - `peer`: the address of a client, in gRPC's notation.
    """

    limiter: CallLimiter
    keyless: KeylessCalls
    peer: Callable[[web.Request], str]


class PicturePage:
    """For one event loop."""

    def __init__(self, open_link: Callable[[str], Awaitable[bytes]], limits: LinkLimits) -> None:
        """`open_link`: returns the picture of a token, or raises ServiceError."""
        self._open_link, self._limits = open_link, limits
        limiter = limits.limiter
        self._metrics, self._send_s = limiter.metrics, limiter.limits.send_s
        self._opening = asyncio.Semaphore(_MOST_OPENED)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Handles a request."""
        limits, peer = self._limits, self._limits.peer(request)
        try:
            lease = limits.limiter.enter((_OWNER, address_of(peer), peer), stream=False)
        except ServiceError as error:
            return _failed(error)
        try:
            async with self._opening:
                picture = await self._open_link(request.match_info["token"])
                lease.take(COPIES * len(picture))
            limits.keyless.note_valid_key(peer)
            return await self._sent(request, picture)
        except ServiceError as error:
            invalid = error.reason in (Reason.LINK_INVALID, Reason.LINK_EXPIRED)
            return _failed(_too_many() if invalid and not limits.keyless.admit(peer) else error)
        finally:
            lease.close()

    async def _sent(self, request: web.Request, picture: bytes) -> web.StreamResponse:
        """Returns once the client has taken the picture. One that does not loses its connection."""
        response = web.Response(body=picture, content_type=media_type(picture), headers=_HEADERS)
        try:
            async with asyncio.timeout(self._send_s):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self._metrics.peers_dropped.inc()
            if request.transport is not None:
                request.transport.abort()
        return response


def _failed(error: ServiceError) -> web.Response:
    headers = _HEADERS if error.retry_delay_s is None else {**_HEADERS, "Retry-After": "1"}
    text = f"{error.reason.name}: {error.message}\n"
    return web.Response(status=http_status(error.reason), text=text, headers=headers)


def _too_many() -> ServiceError:
    message = "too many links that are not valid from this address"
    return ServiceError(Reason.OVERLOADED, message, retry_delay_s=1.0)
