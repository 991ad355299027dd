"""Between the socket and aiohttp: counts the connection, starts TLS, and bounds the heads of requests.

aiohttp bounds each header and their number, together two megabytes for a request, and keeps up to 32 requests that a
client sends ahead. It has no limit on the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web

from service.web.connections import MOST_HEAD_BYTES, Connections, head_size

Secure = Callable[[asyncio.Transport, asyncio.Protocol], Awaitable[asyncio.Transport]]
# Of a body that is read after its response, so that the client sees it. Of strangers: as much as a large photo has.
_LINGER_BYTES, _STRANGERS_LINGER_BYTES = 30 << 20, 4 << 20
_BLOCK_BITS = 18  # blocks of 256 KiB, of which strangers may send only so many in a second
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class CountedProtocol(asyncio.Protocol):
    """Passes everything on. With TLS, what arrives before the handshake is over waits for it."""

    def __init__(self, connections: Connections, inner: web.RequestHandler, secure: Secure | None = None) -> None:
        """`secure`: starts TLS on a transport; None: the connection is not encrypted."""
        self._connections, self._inner, self._secure = connections, inner, secure
        self._transport: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early: list[bytes] | None = []  # None: the inner protocol is connected
        self._ended = self._refused = False
        self._lingered = 0
        self._body: StreamReader | None = None  # of the newest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._connections.opened(self._inner, transport):
            self._ended = True
        elif self._secure is None:
            self._connect(transport)
        else:
            transport.pause_reading()
            self._handshake = asyncio.create_task(self._shake_hands(self._secure, transport), name="TLS handshake")

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
        else:
            self._pass_on(data)

    def eof_received(self) -> None:
        if self._early is None:  # else nobody can be waiting for an answer yet
            self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._early is None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._early is None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self._inner)
        if not self._ended and self._early is None:
            self._inner.connection_lost(exc)
        self._ended = True

    def _pass_on(self, data: bytes) -> None:
        if self._refused:
            return
        lingers, belongs_to_body = self._connections.lingers(self._inner), self._expects_body()
        too_long = self._connections.too_long(self._inner)
        begins = self._feed(data)
        if lingers and not begins:
            self._linger(len(data))
        elif begins or belongs_to_body:
            self._connections.completed_head(self._inner)
            waiting = self._inner._messages
            if len(waiting) > 1 and sum(head_size(message) for message, _ in waiting) > MOST_HEAD_BYTES:
                self._refuse()
        elif too_long:
            self._refuse(_TOO_LARGE)
        else:
            self._connections.received_head(self._inner, len(data))

    def _feed(self, data: bytes) -> bool:
        """Passes data on. Returns whether the head of a request is complete with it."""
        waiting = self._inner._messages  # aiohttp has no other way
        before = len(waiting)
        self._inner.data_received(data)
        if len(waiting) == before:
            return False
        self._body, self._lingered = waiting[-1][1], 0
        return True

    def _linger(self, size: int) -> None:
        """Counts a part of a body that nobody wants. It ends soon, however fast the client sends."""
        before, self._lingered = self._lingered >> _BLOCK_BITS, self._lingered + size
        if self._connections.knows(self._inner):
            ends = self._lingered > _LINGER_BYTES
        else:
            blocks = (self._lingered >> _BLOCK_BITS) - before
            ends = self._lingered > _STRANGERS_LINGER_BYTES or not all(
                self._connections.drains(self._inner) for _ in range(blocks)
            )
        if ends and self._transport is not None:
            self._refused = True
            self._transport.close()

    def _expects_body(self) -> bool:
        """Whether what arrives next belongs to the body of the newest request, also before that has begun."""
        return self._body is not None and not self._body.is_eof()

    def _refuse(self, answer: bytes = b"") -> None:
        self._connections.count_refused_head()
        transport, self._refused = self._transport, True
        if transport is None:
            return
        if answer and self._connections.request(self._inner) is None:
            transport.write(answer)
            transport.close()
        else:
            transport.abort()

    def _connect(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        early, self._early = self._early or [], None
        self._inner.connection_made(transport)
        for data in early:
            self._pass_on(data)

    async def _shake_hands(self, secure: Secure, transport: asyncio.Transport) -> None:
        try:
            encrypted = await secure(transport, self)
        except OSError:  # also a client that speaks no TLS, or presents a certificate that is not valid
            self._connections.closed(self._inner)
            transport.abort()
            return
        if self._ended:
            encrypted.abort()
        else:
            self._connect(encrypted)
