"""What counts as the head of a request, and what as its body."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any

from service.calls.limits.keyless import KeylessCalls
from service.metrics import Metrics
from service.web.connections import MOST_HEAD_BYTES, ConnectionLimits, Connections
from service.web.counted_protocol import CountedProtocol
from tests.service.web.test_connections import Transport
from tests.support.manual_clock import ManualClock

PIECE = bytes(MOST_HEAD_BYTES + 1)


class Body:
    def __init__(self) -> None:
        self.ended = False

    def is_eof(self) -> bool:
        return self.ended


class Handler(asyncio.Protocol):
    """As aiohttp's: it keeps the requests that have arrived until their turn comes."""

    def __init__(self) -> None:
        self._messages: deque[tuple[object, Body]] = deque()
        self.received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if data.startswith(b"POST"):
            self._messages.append((None, Body()))

    def take(self) -> Body:
        """Its turn comes; nothing has begun yet."""
        return self._messages.popleft()[1]


def opened(limits: ConnectionLimits | None = None) -> tuple[CountedProtocol, Any, Transport]:
    handler, transport = Handler(), Transport("192.0.2.1")
    inner: Any = handler
    protocol = CountedProtocol(Connections(limits or ConnectionLimits(), Metrics()), inner)
    protocol.connection_made(transport)
    return protocol, handler, transport


async def answered(_: Any) -> Any:
    """A response to a request whose body nobody has read."""


async def refused(limits: ConnectionLimits) -> int:
    """Sends a body of 8 MiB after the response to its request. Returns how much of it is read."""
    protocol, handler, transport = opened(limits)
    transport.close = lambda: None  # type: ignore[method-assign]
    protocol.data_received(b"POST")
    request: Any = SimpleNamespace(protocol=handler, raw_headers=(), content=handler.take())
    await protocol._connections.middleware(request, answered)
    for _ in range(128):
        protocol.data_received(bytes(64 << 10))
    return int(handler.received) - 4


async def test_a_body_that_arrives_before_its_request_has_begun_is_no_head() -> None:
    protocol, handler, transport = opened()
    protocol.data_received(b"POST" + PIECE)
    handler.take()
    for _ in range(100):
        protocol.data_received(PIECE)
    assert not transport.aborted
    assert handler.received == 101 * len(PIECE) + 4


async def test_the_end_of_a_body_is_no_part_of_the_next_head() -> None:
    protocol, handler, transport = opened()
    protocol.data_received(b"POST" + PIECE)
    body = handler.take()
    protocol.data_received(PIECE)
    body.ended = True
    protocol.data_received(b"GE")
    protocol.data_received(b"T")
    assert not transport.aborted


async def test_a_head_without_end_closes_the_connection() -> None:
    protocol, handler, transport = opened()
    protocol.data_received(PIECE)
    answered: list[bytes] = []
    transport.write = answered.append  # type: ignore[method-assign, assignment]
    transport.close = lambda: None  # type: ignore[method-assign]
    protocol.data_received(PIECE)
    assert answered[0].startswith(b"HTTP/1.1 431")
    assert handler.received == 2 * len(PIECE)


async def test_bodies_of_refused_requests_are_read_while_their_address_does_not_send_them_all_the_time() -> None:
    """Else whoever sends large bodies without a key takes the server's time."""
    keyless, block = KeylessCalls(lambda peer: None, clock := ManualClock()), 256 << 10
    limits = ConnectionLimits(knows=keyless.knows, drains=keyless.admit_block)
    read = [await refused(limits) for _ in range(30)]
    assert read[0] == read[10] == (4 << 20) + (64 << 10)
    assert read[-1] == block
    clock.now += 1.0
    assert sum([await refused(limits) for _ in range(30)]) <= (8 + 30) * block
    keyless.note_valid_key("ipv4:192.0.2.1:4711")
    assert await refused(limits) == (4 << 20) + (64 << 10)
