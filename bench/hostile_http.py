"""Attacks on the HTTP port for `make bench-hostile`: clients that occupy connections, memory or time with little work.

Each function is one round; it returns how many requests or connections it made. The clients have an address of their
own, as strangers have.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
SOURCE = "127.0.0.2"
_CONNECT_S = 1.0
_SEARCH = "/afterimage.v1.SearchService/Search"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Site:
    """The HTTP port, and the key of a tenant of the attacker's own."""

    host: str
    port: int
    key: str


Attack = Callable[[Site], Coroutine[Any, Any, int]]


async def http_idle(site: Site, count: int = 800, seconds: float = 2.0) -> int:
    """Connections without a request, more than an address may have."""
    async with _connections(site, count) as opened:
        await asyncio.sleep(seconds)
        return len(opened)


async def http_half_heads(site: Site, count: int = 300, seconds: float = 3.0) -> int:
    """Heads of requests that go on by a byte every half second."""
    async with _connections(site, count) as opened:
        await _trickle(opened, b"GET /v1/server HTTP/1.1\r\nHost: localhost\r\nX: ", b"a", seconds)
        return len(opened)


async def http_large_heads(site: Site, count: int = 200, size: int = 100_000) -> int:
    """Heads of 100 KB, and as many without an end."""
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 990) for n in range(size // 1000))
    head = b"GET /v1/server HTTP/1.1\r\nHost: localhost\r\n" + lines
    async with _connections(site, count) as opened:
        await _all(_answer(one, head + (b"\r\n" if n % 2 else b"")) for n, one in enumerate(opened))
        return len(opened)


async def http_bodies(site: Site, count: int = 100, size: int = 20 * MIB) -> int:
    """Bodies of 20 MiB without a key, whose client sends whatever is answered."""
    body = bytes(MIB)

    async def send(streams: Streams) -> None:
        _, writer = streams
        writer.write(_post(f"Content-Length: {size}\r\n"))
        for _ in range(size // MIB):
            writer.write(body)
            await writer.drain()

    async with _connections(site, count) as opened:
        await _all(map(send, opened))
        return len(opened)


async def http_trickled_bodies(site: Site, count: int = 300, seconds: float = 3.0) -> int:
    """Bodies of a byte every half second, some in chunks without an end, some that wait for `100 Continue`."""
    heads = (
        _post("Content-Length: 1000000\r\n"), _post("Transfer-Encoding: chunked\r\n"),
        _post("Content-Length: 1000000\r\nExpect: 100-continue\r\n"),
    )  # fmt: skip
    async with _connections(site, count) as opened:
        for n, (_, writer) in enumerate(opened):
            writer.write(heads[n % 3])
        await _trickle(opened[1::3], b"", b"1\r\na\r\n", seconds)
        return len(opened)


async def http_pipelines(site: Site, count: int = 50, ahead: int = 500) -> int:
    """Requests without a key that are sent ahead, and whose responses nobody reads."""
    pages = (b"/openapi.json", b"/healthz", b"/v1/server", b"/metrics")
    requests = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % pages[n % 4] for n in range(ahead))
    async with _connections(site, count) as opened:
        for _, writer in opened:
            with contextlib.suppress(ConnectionError):
                writer.write(requests)
        await asyncio.sleep(1)
        return count * ahead


async def http_wrong_keys(site: Site, count: int = 200) -> int:
    """A wrong key on a connection of its own, as often as it goes."""
    request = _post("Content-Length: 2\r\nAuthorization: Bearer wrong\r\nConnection: close\r\n") + b"{}"

    async def ask(_: int) -> None:
        async with _connections(site, 1) as opened:
            for one in opened:
                await _answer(one, request)

    await _all(map(ask, range(count)))
    return count


async def http_slow_readers(site: Site, count: int = 150, seconds: float = 2.0) -> int:
    """Large pages with vectors that nobody reads, with the key of a tenant."""
    path = "/v1/collections/own/records?pageSize=1000&includeVectors=true"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.key}\r\n\r\n".encode()
    async with _connections(site, count, receive_bytes=4096) as opened:
        for _, writer in opened:
            writer.write(request)
        await asyncio.sleep(seconds)
        return len(opened)


HTTP_ATTACKS: tuple[Attack, ...] = (
    http_idle, http_half_heads, http_large_heads, http_bodies, http_trickled_bodies, http_pipelines, http_wrong_keys,
    http_slow_readers,
)  # fmt: skip


@contextlib.asynccontextmanager
async def _connections(site: Site, count: int, receive_bytes: int = 0) -> AsyncIterator[list[Streams]]:
    """At most so many connections: some may be refused, and none more come about once one is not answered.

    `receive_bytes`: what the system takes without a reader.
    """
    opened: list[Streams] = []
    try:
        for _ in range(count):
            try:
                opened.append(await _connected(site, receive_bytes))
            except TimeoutError:
                break
            except OSError:
                continue
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def _connected(site: Site, receive_bytes: int) -> Streams:
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        connection.bind((SOURCE, 0))
        connection.setblocking(False)
        async with asyncio.timeout(_CONNECT_S):
            await asyncio.get_running_loop().sock_connect(connection, (site.host, site.port))
        return await asyncio.open_connection(sock=connection, limit=1024)
    except OSError:
        connection.close()
        raise


async def _answer(streams: Streams, request: bytes) -> None:
    """Sends a request and reads what comes until the server closes, for at most two seconds."""
    reader, writer = streams
    async with asyncio.timeout(2):
        writer.write(request)
        await writer.drain()
        await reader.read()


async def _trickle(opened: list[Streams], first: bytes, then: bytes, seconds: float) -> None:
    for piece in [first, *[then] * int(2 * seconds)]:
        for _, writer in opened:
            if not writer.transport.is_closing():
                writer.write(piece)
        await asyncio.sleep(0.5)


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Does everything at the same time; what the server ends is over."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for error in done:
        if isinstance(error, Exception) and not isinstance(error, OSError | asyncio.IncompleteReadError):
            raise error


def _post(headers: str) -> bytes:
    return f"POST {_SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n".encode()
