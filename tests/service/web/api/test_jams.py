"""Nobody without a key can hold anything of the server, and nobody with one more than a share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.web.connections import Connections
from tests.service.web.api.conftest import Http
from tests.support.servers.faces import Faces

HEAD = "POST /v1/collections/shoes:search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextlib.asynccontextmanager
async def connected(http: Http) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(http.faces.http.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_the_key_is_judged_before_the_body_is_read(http: Http) -> None:
    async with connected(http) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: 1000000\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    assert http.faces.limiter.bytes.used == 0


async def test_a_client_is_told_to_go_on_only_after_its_key_was_judged(http: Http) -> None:
    for headers, expected in (
        ("", b"HTTP/1.1 401"),
        (f"Authorization: {http.key()['authorization']}\r\n", b"HTTP/1.1 100"),
    ):
        async with connected(http) as (reader, writer):
            writer.write(f"{HEAD}{headers}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
            assert (await reader.readline()).startswith(expected)
            if b"100" in expected:
                writer.write(b"{}")
                assert await reader.readline() == b"\r\n"
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_a_slow_body_counts_against_its_key_and_ends(tmp_path: Path) -> None:
    async with Faces(tmp_path, message_s=0.5) as faces, aiohttp.ClientSession() as session:
        http = Http(faces, session)
        async with connected(http) as (reader, writer):
            writer.write(f"{HEAD}Authorization: {http.key()['authorization']}\r\nContent-Length: 9\r\n\r\n{{".encode())
            reading = asyncio.create_task(reader.readline())
            while not faces.limiter.bytes.used:  # as a message that is not whole over gRPC
                await asyncio.sleep(0)
            assert (await reading).startswith(b"HTTP/1.1 408")
        assert faces.limiter.bytes.used == 0


async def test_a_client_that_leaves_cancels_its_call(http: Http) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: object, caller: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    http.faces.script = wait
    async with connected(http) as (_, writer):
        writer.write(f"{HEAD}Authorization: {http.key()['authorization']}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await began.wait()
    async with asyncio.timeout(10):
        await ended.wait()
        while http.faces.limiter.calls.used:
            await asyncio.sleep(0)


async def test_requests_without_a_key_are_counted_whatever_their_path(http: Http) -> None:
    statuses = [(await http.send("GET", "/v1/nothing", {})).status for _ in range(700)]
    assert set(statuses) == {404, 429}
    assert (await http.send("GET", "/v1/server")).status == 200
    async with http.session.get(http.faces.http + "/healthz") as answer:
        assert answer.status == 200


class _Transport(asyncio.Transport):
    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


async def test_a_full_port_closes_the_oldest_idle_connection_of_whoever_has_most() -> None:
    connections = Connections(3)
    many = [_Transport("192.0.2.1") for _ in range(2)]
    other, new = _Transport("192.0.2.2"), _Transport("192.0.2.3")
    opened = {transport: asyncio.Protocol() for transport in (other, *many, new)}
    assert all(connections.opened(protocol, transport) for transport, protocol in opened.items())
    assert [t.aborted for t in (other, *many, new)] == [False, True, False, False]
    for protocol in opened.values():
        connections.closed(protocol)


async def test_a_connection_without_a_request_is_closed() -> None:
    connections, transport, protocol = Connections(3, headers_s=0.01), _Transport("192.0.2.1"), asyncio.Protocol()
    connections.opened(protocol, transport)
    async with asyncio.timeout(10):
        while not transport.aborted:
            await asyncio.sleep(0)
    connections.closed(protocol)


async def test_the_target_may_be_a_whole_url(http: Http) -> None:
    for url, expected in (
        ("http://localhost/v1/server", b"200"), ("HTTPS://127.0.0.1:1/v1/server?", b"200"),
        ("http://evil.example/v1/server", b"421"), ("http://localhost@evil.example/v1/server", b"421"),
        ("http://localhost/v1/nothing", b"404"), ("http://localhost", b"404"),
    ):  # fmt: skip
        async with connected(http) as (reader, writer):
            key = http.key()["authorization"]
            writer.write(f"GET {url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n\r\n".encode())
            assert expected in await reader.readline(), url


async def test_what_is_no_http_leaves_no_line_in_the_log(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    for line in ("BREW / HTTP/1.1", "GET / HTTP/1.1\r\nContent-Length: x", "GET /" + "a" * 10_000 + " HTTP/1.1"):
        async with connected(http) as (reader, writer):
            writer.write(f"{line}\r\n\r\n".encode())
            assert b" 400 " in await reader.readline()
    assert not [record for record in caplog.records if "aiohttp" in record.name or "service.web" in record.name]


@pytest.mark.parametrize(
    "line", ["GET / HTTP/9", "\x00\x01", "GET /v1/%zz HTTP/1.1\r\nHost: x", "POST http://x/ HTTP/1.1"]
)
async def test_what_is_no_http_gets_no_answer_of_the_api(http: Http, line: str) -> None:
    async with connected(http) as (reader, writer):
        writer.write(f"{line}\r\n\r\n".encode())
        writer.write_eof()
        async with asyncio.timeout(10):
            assert b" 200 " not in await reader.read()
    assert not http.seen
