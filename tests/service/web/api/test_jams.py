"""Nobody without a key can hold anything of the server, and nobody with one more than a share."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from afterimage.v1.server_info_service_pb2 import GetServerInfoRequest as ServerInfo
from service.web.connections import MOST_HEAD_BYTES, ConnectionLimits
from tests.service.web.api.conftest import Http
from tests.support.servers.faces import Faces

PNG = b"\x89PNG\r\n\x1a\n"
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


async def test_a_client_that_sends_a_body_whatever_it_is_answered_is_cut_off_after_its_answer(http: Http) -> None:
    async with connected(http) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: {64 << 20}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401")
        body = await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        assert b"KEY_MISSING" in body
        sent = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while sent < 64 << 20 and not reader.at_eof():
                    writer.write(bytes(1 << 16))
                    sent += 1 << 16
                    await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert not await reader.read()  # nothing follows the answer
    assert sent < 32 << 20


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


async def statuses_until_a_connection_is_closed(http: Http, path: str) -> set[int]:
    """Of requests without a key, as fast as they go. Those beyond the limit are refused, if they are answered."""
    statuses: set[int] = set()
    async with asyncio.timeout(60):
        while not http.faces.metrics.connections_closed._value.get():
            with contextlib.suppress(aiohttp.ClientError):
                async with http.session.get(http.faces.http + path) as answer:
                    statuses.add(answer.status)
    assert len(statuses - {429}) == 1
    return statuses


async def test_requests_without_a_key_are_counted_whatever_their_path(http: Http) -> None:
    assert 404 in await statuses_until_a_connection_is_closed(http, "/v1/nothing")
    assert (await http.send("GET", "/v1/server")).status == 200
    async with aiohttp.ClientSession() as other, other.get(http.faces.http + "/healthz") as answer:
        assert answer.status == 200  # a connection of its own: each may ask now and then


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


async def test_the_head_of_a_request_is_bounded(http: Http) -> None:
    key = f"Authorization: {http.key()['authorization']}\r\n"
    for size, expected in ((MOST_HEAD_BYTES // 2, b" 200 "), (100_000, b" 431 ")):
        padding = "".join(f"X-{n}: {'a' * 990}\r\n" for n in range(size // 1000))
        async with connected(http) as (reader, writer):
            writer.write(f"GET /v1/server HTTP/1.1\r\nHost: localhost\r\n{key}{padding}\r\n".encode())
            assert expected in await reader.readline(), size


async def test_a_head_without_end_is_cut_off(http: Http) -> None:
    async with connected(http) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                for number in range(100_000):  # of 100 MB
                    writer.write(f"X-{number}: {'a' * 1000}\r\n".encode())
                    await writer.drain()
                    await asyncio.sleep(0)
            pytest.fail("the server went on reading")
    assert http.faces.metrics.http_connections_closed.labels("head")._value.get() == 1


async def test_a_client_with_half_a_head_loses_its_connection_and_others_do_not(tmp_path: Path) -> None:
    limits = ConnectionLimits(head_s=0.3)
    async with Faces(tmp_path, connection_limits=limits) as faces, aiohttp.ClientSession() as session:
        http = Http(faces, session)
        async with connected(http) as (reader, writer):
            writer.write(b"GET /v1/server HTTP/1.1\r\nHost: local")
            async with asyncio.timeout(10):
                assert not await reader.read()
            assert (await http.send("GET", "/v1/server")).status == 200
    assert faces.metrics.http_connections_closed.labels("late")._value.get() == 1
    assert not faces.metrics.http_connections._value.get()


async def test_requests_that_are_sent_ahead_are_answered_in_order_within_their_limit(http: Http) -> None:
    key = f"Authorization: {http.key()['authorization']}\r\n"
    request = f"GET /v1/server HTTP/1.1\r\nHost: localhost\r\n{key}X-Request-Id: %d\r\n\r\n"
    async with connected(http) as (reader, writer):
        writer.write("".join(request % n for n in range(100)).encode())
        found: list[int] = []
        async with asyncio.timeout(20):
            while len(found) < 100:
                line = (await reader.readline()).lower()
                if line.startswith(b"x-request-id:"):
                    found.append(int(line.partition(b":")[2]))
        assert found == list(range(100))


async def test_a_client_that_sends_large_requests_ahead_is_closed(http: Http) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: object, caller: object) -> None:
        began.set()
        await go_on.wait()

    http.faces.script = wait
    key, padding = http.key()["authorization"], "".join(f"X-{n}: {'a' * 990}\r\n" for n in range(30))
    request = f"GET /v1/server HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n{padding}\r\n".encode()
    async with connected(http) as (reader, writer):
        writer.write(request)
        await began.wait()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                writer.write(request * 10)
                assert not await reader.read()
    go_on.set()
    assert http.faces.metrics.http_connections_closed.labels("head")._value.get() == 1


async def test_a_connection_may_send_any_amount_in_requests_and_bodies(http: Http) -> None:
    key = {**http.key(), "x-padding": "a" * 2000}
    for _ in range(40):  # on one connection
        assert (await http.send("GET", "/v1/server", key)).status == 200

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 9000
        yield b"{}"

    json = {**http.key(), "content-type": "application/json"}
    for body in (b" " * 900_000 + b"{}", pieces()):
        sent = await http.send("POST", "/v1/collections/shoes:search", json, data=body)
        assert sent.status == 200, sent.body
    assert not http.faces.metrics.http_connections_closed.labels("head")._value.get()


async def test_pages_without_a_key_are_counted_and_an_occasional_request_is_always_answered(http: Http) -> None:
    assert 200 in await statuses_until_a_connection_is_closed(http, "/healthz")
    async with aiohttp.ClientSession() as other, other.get(http.faces.http + "/healthz") as answer:
        assert answer.status == 200


async def test_whoever_makes_a_connection_for_each_request_without_a_key_is_refused_and_not_once_a_key_is_used(
    http: Http,
) -> None:
    answered = refused = 0
    while refused < 5:
        assert answered < 10_000  # 600 at once, and 20 more each second
        async with connected(http) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                if await reader.read():
                    answered += 1
                    continue
            refused += 1
    assert answered >= 600
    info = [ServerInfo()]
    await http.faces.grpc("/afterimage.v1.ServerInfoService/GetServerInfo", info, tuple(http.key().items()))
    for _ in range(50):  # the address is known now
        async with connected(http) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()).endswith(b"200 OK\r\n")


async def test_pictures_that_nobody_reads_hold_a_bounded_part_of_the_memory_and_are_dropped(tmp_path: Path) -> None:
    async with Faces(tmp_path, send_s=0.3, in_flight_bytes=64 << 20) as faces, aiohttp.ClientSession() as session:
        http, picture = Http(faces, session), PNG + bytes(12 << 20)
        faces.pictures["large"] = picture
        async with contextlib.AsyncExitStack() as readers:
            streams = [await readers.enter_async_context(connected(http)) for _ in range(6)]
            for _, writer in streams:
                writer.write(b"GET /pictures/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            refused = await asyncio.gather(*(reader.readline() for reader, _ in streams))
            assert {line.split()[1] for line in refused} == {b"200", b"429"}
            async with asyncio.timeout(20):
                while faces.limiter.bytes.used or faces.limiter.calls.used:
                    await asyncio.sleep(0.01)
        assert faces.metrics.peers_dropped._value.get() >= 1
        async with session.get(faces.http + "/pictures/large") as answer:
            assert await answer.read() == picture


async def test_links_that_are_not_valid_are_counted_like_calls_without_a_key(http: Http) -> None:
    http.faces.pictures["small"] = PNG
    assert 404 in await statuses_until_a_connection_is_closed(http, "/pictures/none")
    for _ in range(100):
        async with http.session.get(http.faces.http + "/pictures/small") as answer:
            assert answer.status == 200


MALFORMED = {
    "no request line": b"PRIVATE\r\n\r\n", "another version": b"GET /PRIVATE HTTP/9.9\r\n\r\n",
    "a NUL in the path": b"GET /\x00PRIVATE HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nPRIVATE\r\n\r\n",
    "an unknown method": b"PRIVATE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a malformed target": b"GET http://[::1/PRIVATE HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST /PRIVATE HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a long target": b"GET /" + b"PRIVATE" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_not_http_is_refused_like_any_bad_request_and_not_quoted(http: Http, name: str) -> None:
    async with connected(http) as (reader, writer):
        writer.write(MALFORMED[name])
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.partition(b" ")[2].startswith(b"400")
    assert json.loads(body)["message"] == "the request is not valid HTTP"
    assert b"PRIVATE" not in head + body
    assert b"Server: afterimage" in head
    assert b"aiohttp" not in head
