"""Limits on the connections of the HTTP port: their number, of all clients and of one address, and what they send.

If a limit is reached, a new connection replaces one that has no request. Those on which no valid key was used go first.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from aiohttp import web
from aiohttp.typedefs import Handler

from service.calls.limits.failures import address_of
from service.metrics import Metrics
from service.web.addresses import endpoint, peer_name

KEEP_ALIVE_S = 75.0
MOST_HEAD_BYTES = 64 * 1024  # of one request, and of the requests that a client sends before it has its response
_MOST_HEADS_BYTES = 64 << 20  # of all connections


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of a port.

    - `most`, `most_per_address`: maximum number of connections, of all clients and of one address. IPv6 addresses of
      one /64 network are one.
    - `proxies`: networks whose addresses have no limit of their own, CIDR.
    - `head_s`: seconds in which the head of a request must be complete; a TLS handshake is included.
    - `knows`: whether a valid key was used on the connection of a peer, in gRPC's notation, within the last minute.
    - `admits`: whether a peer may open one more connection. It is asked once for each.
    - `drains`: whether to read one more block of a body of a peer that nobody wants.
    """

    most: int = 1000
    most_per_address: int = 500
    proxies: tuple[str, ...] = ()
    head_s: float = 20.0
    knows: Callable[[str], bool] = lambda peer: False
    admits: Callable[[str], bool] = lambda peer: True
    drains: Callable[[str], bool] = lambda peer: True


class _Connection:
    __slots__ = ("address", "head_bytes", "limited", "lingers", "peer", "protocol", "request", "timer", "transport")

    def __init__(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        self.protocol, self.transport = protocol, transport
        self.peer = peer_name(*endpoint(transport))
        self.address, self.limited, self.lingers = address_of(self.peer), True, False
        self.request: web.Request | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.head_bytes = 0

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class _Client:
    """The connections of one address. Those without a request are in the order in which it ended."""

    def __init__(self) -> None:
        self.open = 0
        self.strangers: dict[_Connection, None] = {}
        self.known: dict[_Connection, None] = {}

    @property
    def idle(self) -> int:
        return len(self.strangers) + len(self.known)

    def oldest(self) -> _Connection | None:
        return next(chain(self.strangers, self.known), None)

    def occupied(self, connection: _Connection) -> None:
        self.strangers.pop(connection, None)
        self.known.pop(connection, None)


class Connections:
    """For one event loop."""

    def __init__(self, limits: ConnectionLimits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._proxies = [ipaddress.ip_network(network) for network in limits.proxies]
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}
        self._peers: dict[str, _Connection] = {}
        self._clients: dict[str, _Client] = {}
        self._head_bytes = 0

    def opened(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> bool:
        """Counts a connection. Returns whether there is room for it; if not, it is closed."""
        connection = _Connection(protocol, transport)
        address, _ = endpoint(transport)
        connection.limited = not any(address in network for network in self._proxies)
        refused = self._limit_reached(connection)
        if refused:
            self._count(refused)
            transport.abort()
            return False
        client = self._clients.setdefault(connection.address, _Client())
        client.open += 1
        client.strangers[connection] = None
        self._open[protocol] = self._peers[connection.peer] = connection
        self._metrics.http_connections.inc()
        self._wait(connection, self._limits.head_s, "late")
        return True

    def closed(self, protocol: asyncio.BaseProtocol) -> None:
        """Forgets a connection."""
        connection = self._open.pop(protocol, None)
        if connection is None:
            return
        connection.stop()
        self._take_head(connection, -connection.head_bytes)
        self._peers.pop(connection.peer, None)
        client = self._clients[connection.address]
        client.occupied(connection)
        client.open -= 1
        if not client.open:
            del self._clients[connection.address]
        self._metrics.http_connections.dec()

    def close(self) -> None:
        """Closes all connections, also those whose handshake is not over."""
        for connection in self._open.values():
            connection.stop()
            connection.transport.abort()

    def close_peer(self, peer: str) -> bool:
        """Closes the connection of a peer, such as `ipv4:192.0.2.1:4711`; returns whether there was one."""
        connection = self._peers.get(peer)
        if connection is not None:
            connection.transport.abort()
        return connection is not None

    def request(self, protocol: asyncio.BaseProtocol) -> web.Request | None:
        """Returns the request that a connection has now; None if it has none."""
        connection = self._open.get(protocol)
        return connection.request if connection is not None else None

    def lingers(self, protocol: asyncio.BaseProtocol) -> bool:
        """Whether the last request of a connection has its response before the whole body was read."""
        connection = self._open.get(protocol)
        return connection is not None and connection.lingers

    def knows(self, protocol: asyncio.BaseProtocol) -> bool:
        """Whether a connection has no limits, or a valid key was used on it recently."""
        connection = self._open.get(protocol)
        return connection is not None and (not connection.limited or self._limits.knows(connection.peer))

    def drains(self, protocol: asyncio.BaseProtocol) -> bool:
        """Whether to read one more block of a body that nobody wants."""
        connection = self._open.get(protocol)
        return connection is None or not connection.limited or self._limits.drains(connection.peer)

    def received_head(self, protocol: asyncio.BaseProtocol, amount: int) -> None:
        """Holds bytes of a head that is not complete. If there are too many in all, the connection with the most of
        them is closed."""
        connection = self._open.get(protocol)
        if connection is None:
            return
        self._take_head(connection, amount)
        if self._head_bytes > _MOST_HEADS_BYTES:
            self._drop(max(self._open.values(), key=lambda c: c.head_bytes), "head")

    def completed_head(self, protocol: asyncio.BaseProtocol) -> None:
        """Releases what `received_head` holds."""
        connection = self._open.get(protocol)
        if connection is not None and connection.head_bytes:
            self._take_head(connection, -connection.head_bytes)

    def too_long(self, protocol: asyncio.BaseProtocol) -> bool:
        """Whether a connection has sent too much of a head."""
        connection = self._open.get(protocol)
        return connection is not None and connection.head_bytes > MOST_HEAD_BYTES

    def count_refused_head(self) -> None:
        """Counts a connection that is closed because of its head."""
        self._count("head")

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notes when requests begin and end, and refuses those whose head is too large."""
        connection = self._open.get(request.protocol)
        if connection is None:
            return await handler(request)
        connection.request, connection.lingers = request, False
        connection.stop()
        client = self._clients[connection.address]
        client.occupied(connection)
        try:
            if head_size(request) > MOST_HEAD_BYTES:
                self._count("head")
                return _head_too_large()
            return await handler(request)
        finally:
            connection.request, connection.lingers = None, not request.content.is_eof()
            if request.protocol in self._open:
                (client.known if self.knows(request.protocol) else client.strangers)[connection] = None
                self._wait(connection, KEEP_ALIVE_S + 1, "")

    def _limit_reached(self, connection: _Connection) -> str:
        """Returns the name of the limit that a new connection would exceed; empty if there is room or room was made."""
        client = self._clients.get(connection.address)
        if connection.limited:
            if not self._limits.admits(connection.peer):
                return "rate"
            at_most = client is not None and client.open >= self._limits.most_per_address
            if client is not None and at_most and not self._replace(client, "address"):
                return "address"
        if len(self._open) < self._limits.most:
            return ""
        with_most = max(self._clients.values(), key=lambda c: c.idle)
        return "" if self._replace(with_most, "all") else "all"

    def _replace(self, client: _Client, limit: str) -> bool:
        connection = client.oldest()
        if connection is not None:
            self._drop(connection, limit)
        return connection is not None

    def _drop(self, connection: _Connection, limit: str) -> None:
        self._count(limit)
        self.closed(connection.protocol)
        connection.transport.abort()

    def _wait(self, connection: _Connection, seconds: float, limit: str) -> None:
        def end() -> None:
            if limit:
                self._count(limit)
            connection.transport.abort()

        connection.timer = asyncio.get_running_loop().call_later(seconds, end)

    def _take_head(self, connection: _Connection, amount: int) -> None:
        connection.head_bytes += amount
        self._head_bytes += amount

    def _count(self, limit: str) -> None:
        self._metrics.http_connections_closed.labels(limit).inc()


def head_size(request: object) -> int:
    """Returns the size of the headers of a request, or of aiohttp's message of one, in bytes."""
    return sum(len(name) + len(value) + 4 for name, value in getattr(request, "raw_headers", ()))


def _head_too_large() -> web.Response:
    response = web.Response(status=431, text=f"the headers of a request may have {MOST_HEAD_BYTES} bytes\n")
    response.force_close()
    return response
