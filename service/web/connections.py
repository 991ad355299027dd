"""How many connections the HTTP port has, and how long one may be open without a request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

_HEADERS_S = 20.0  # until a request's headers are whole; TLS's handshake is included
KEEP_ALIVE_S = 75.0

Secure = Callable[[asyncio.Transport, asyncio.Protocol], Awaitable[asyncio.Transport]]


class _Connection:
    __slots__ = ("address", "busy", "timer", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.busy = transport, False
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Connections:
    """For one event loop. If the limit is reached, a new connection replaces the one that has had no request for the
    longest time, of the address with the most connections."""

    def __init__(self, most: int, headers_s: float = _HEADERS_S) -> None:
        self._most, self._headers_s = most, headers_s
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}

    def wrap(self, protocol: asyncio.Protocol, secure: Secure | None = None) -> asyncio.Protocol:
        """Returns the protocol of a new connection, which is counted here.

        `secure`: starts TLS on a transport; None: the connection is not encrypted.
        """
        return _Counted(self, protocol, secure)

    def opened(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> bool:
        """Counts a connection. Returns whether there is room for it."""
        if len(self._open) >= self._most and not self._make_room():
            transport.abort()
            return False
        connection = self._open[protocol] = _Connection(transport)
        self._wait(connection, self._headers_s)
        return True

    def closed(self, protocol: asyncio.BaseProtocol) -> None:
        """Forgets a connection."""
        if (connection := self._open.pop(protocol, None)) is not None:
            connection.stop()

    def close(self) -> None:
        """Closes all connections, also those whose handshake is not over."""
        for connection in self._open.values():
            connection.stop()
            connection.transport.abort()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notes when requests begin and end."""
        protocol = request.protocol
        connection = self._open.get(protocol)
        if connection is None:
            return await handler(request)
        connection.busy = True
        connection.stop()
        try:
            return await handler(request)
        finally:
            connection.busy = False
            if protocol in self._open:
                self._open[protocol] = self._open.pop(protocol)
                self._wait(connection, KEEP_ALIVE_S + 1)

    def _wait(self, connection: _Connection, seconds: float) -> None:
        connection.timer = asyncio.get_running_loop().call_later(seconds, connection.transport.abort)

    def _make_room(self) -> bool:
        idle = [(protocol, c) for protocol, c in self._open.items() if not c.busy]
        if not idle:
            return False
        address, _ = Counter(c.address for _, c in idle).most_common(1)[0]
        protocol, connection = next((p, c) for p, c in idle if c.address == address)
        self.closed(protocol)
        connection.transport.abort()
        return True


class _Counted(asyncio.Protocol):
    """Passes everything on. With TLS, what arrives before the handshake is over waits for it."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol, secure: Secure | None) -> None:
        self._connections, self._inner, self._secure = connections, inner, secure
        self._handshake: asyncio.Task[None] | None = None
        self._early: list[bytes] | None = []  # None: the inner protocol is connected
        self._ended = False

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
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        if self._early is not None:  # nobody can be waiting for an answer yet
            return None
        return self._inner.eof_received()

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

    def _connect(self, transport: asyncio.Transport) -> None:
        early, self._early = self._early or [], None
        self._inner.connection_made(transport)
        for data in early:
            self._inner.data_received(data)

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
