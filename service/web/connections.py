"""How many connections the HTTP port has, and how long one may be open without a request."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler

_HEADERS_S = 20.0  # until a request's headers are whole
KEEP_ALIVE_S = 75.0


class _Connection:
    __slots__ = ("address", "busy", "timer")

    def __init__(self, address: str) -> None:
        self.address, self.busy = address, False
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Connections:
    """For one event loop. Where the limit is reached, a new connection takes the place of the one that is longest
    without a request, of the address that has most."""

    def __init__(self, most: int, headers_s: float = _HEADERS_S) -> None:
        self._most, self._headers_s = most, headers_s
        self._open: dict[asyncio.BaseTransport, _Connection] = {}

    def wrap(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol of a connection, counted here."""
        return _Counted(self, protocol)

    def opened(self, transport: asyncio.Transport) -> bool:
        """Counts a connection; returns whether there is room for it."""
        if len(self._open) >= self._most and not self._make_room():
            transport.abort()
            return False
        connection = self._open[transport] = _Connection(str((transport.get_extra_info("peername") or ("",))[0]))
        self._wait(transport, connection, self._headers_s)
        return True

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Forgets a connection."""
        if (connection := self._open.pop(transport, None)) is not None:
            connection.stop()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notes when requests begin and end."""
        transport = request.transport
        connection = self._open.get(transport) if transport is not None else None
        if transport is None or connection is None:
            return await handler(request)
        connection.busy = True
        connection.stop()
        try:
            return await handler(request)
        finally:
            connection.busy = False
            if transport in self._open:
                self._open[transport] = self._open.pop(transport)
                self._wait(transport, connection, KEEP_ALIVE_S + 1)

    def _wait(self, transport: asyncio.Transport, connection: _Connection, seconds: float) -> None:
        connection.timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def _make_room(self) -> bool:
        idle = [(transport, c) for transport, c in self._open.items() if not c.busy]
        if not idle:
            return False
        address, _ = Counter(c.address for _, c in idle).most_common(1)[0]
        transport = next(t for t, c in idle if c.address == address)
        self.closed(transport)
        transport.abort()  # type: ignore[attr-defined]
        return True


class _Counted(asyncio.Protocol):
    """Passes everything on."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self._connections, self._inner = connections, inner
        self._transport: asyncio.Transport | None = None
        self.data_received, self.eof_received = inner.data_received, inner.eof_received  # type: ignore[method-assign]
        self.pause_writing, self.resume_writing = inner.pause_writing, inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._connections.opened(transport):
            self._transport = transport
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
            self._inner.connection_lost(exc)
