"""Requests on the wire, as recorded byte by byte by a server."""

import asyncio
import contextlib
import gzip
import random
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache

import brotli
import pytest

from service.errors import Reason
from service.intake.download.fetch import FetchRequest
from tests.service.intake.download.test_fetch import SHOP, failure, fetcher
from tests.service.intake.download.test_urls import LEGAL, SIGNED

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"


class Recorder:
    """Records requests. `requests`: first line and headers of each. `answers`: by target; others get one byte."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: dict[bytes, bytes] = {}
        self.connections = 0
        self.port = 0

    @property
    def targets(self) -> list[bytes]:
        return [r.split(b" ")[1] for r in self.requests]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(self.answers.get(self.targets[-1], OK))
                    await writer.drain()
                    if b"Connection: close" in self.answers.get(self.targets[-1], OK):
                        break
            writer.close()

        server = await asyncio.start_server(handle, SHOP, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://shop.example:{self.port}"
        finally:
            server.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_the_request_line_holds_the_bytes_that_were_given() -> None:
    random_ = random.Random(4)
    targets = [SIGNED]
    for _ in range(300):
        pieces = [random_.choice([random_.choice(LEGAL), f"%{random_.randrange(256):02x}"]) for _ in range(20)]
        targets.append("/" + "".join(pieces))
    shop = Recorder()
    async with shop.running() as address, fetcher() as made:
        for target in targets:
            await made.fetch(FetchRequest(address + target))
    assert shop.targets == [t.encode() for t in targets]
    assert all(r.startswith(b"GET ") and b" HTTP/1.1\r\n" in r for r in shop.requests)
    assert shop.connections < 5  # they are kept


async def test_a_redirect_keeps_what_was_signed_and_may_hold_blanks_and_any_bytes() -> None:
    shop = Recorder()
    steps = {b"/1": b"/2?sig=a%2Fb%3D%27", b"/2?sig=a%2Fb%3D%27": b"a b\xe9\xc3\xa9", b"/a%20b%E9%C3%A9": b"?t=%2f"}
    for target, location in steps.items():
        shop.answers[target] = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    async with shop.running() as address, fetcher() as made:
        await made.fetch(FetchRequest(address + "/1"))
    assert shop.targets == [*steps, b"/a%20b%E9%C3%A9?t=%2f"]


async def test_a_connection_that_its_host_closed_meanwhile_costs_no_picture() -> None:
    shop = Recorder()
    closing: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        closing.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")  # the next request, which goes unanswered
        writer.close()

    server = await asyncio.start_server(handle, SHOP, 0)
    address = f"http://shop.example:{server.sockets[0].getsockname()[1]}"
    async with fetcher() as made:
        for _ in range(3):
            await made.fetch(FetchRequest(address + "/x"))
    server.close()
    assert len(closing) >= 2
    assert not shop.requests


RAW = zlib.compressobj(wbits=-15)
BODY = b"a picture " * 5000
CODED = {
    "gzip": gzip.compress(BODY), "x-gzip": gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]) + b"\0" * 9,
    "GZIP ": gzip.compress(BODY), "deflate": zlib.compress(BODY), "br": brotli.compress(BODY),
    "deflate, gzip": gzip.compress(zlib.compress(BODY)), "br, identity": brotli.compress(BODY),
    "identity": BODY, "none": BODY, "": BODY, "utf-8": BODY, "deflate ": RAW.compress(BODY) + RAW.flush(),
}  # fmt: skip


@pytest.mark.parametrize("coding", CODED)
async def test_a_body_that_is_compressed_although_it_should_not_be_is_inflated(coding: str) -> None:
    shop = Recorder()
    shop.answers[b"/x"] = answer(CODED[coding], f"Content-Encoding: {coding}")
    async with shop.running() as address, fetcher() as made:
        assert (await made.fetch(FetchRequest(address + "/x"))).body == BODY
        assert b"Accept-Encoding: identity\r\n" in shop.requests[0]


async def test_a_body_that_is_only_labelled_as_compressed_is_taken_as_it_is() -> None:
    shop = Recorder()
    shop.answers[b"/x"] = answer(b"\x89PNG", "Content-Encoding: gzip")
    shop.answers[b"/none"] = answer(b"", "Content-Encoding: br")
    async with shop.running() as address, fetcher() as made:
        assert (await made.fetch(FetchRequest(address + "/x"))).body == b"\x89PNG"
        assert (await made.fetch(FetchRequest(address + "/none"))).body == b""


@cache
def gzip_bomb() -> bytes:
    big = zlib.compressobj(9, wbits=31)
    return b"".join(big.compress(bytes(1 << 20)) for _ in range(200)) + big.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": gzip_bomb, "deflate": lambda: zlib.compress(bytes(60 << 20), 9),
    "br": lambda: brotli.compress(bytes(60 << 20), quality=2),
    "gzip, gzip": lambda: gzip.compress(gzip_bomb()), "gzip, br": lambda: brotli.compress(gzip_bomb(), quality=2),
}  # fmt: skip


@pytest.mark.parametrize("coding", BOMBS)
async def test_a_bomb_stops_at_the_limit_whatever_it_is_made_of(coding: str) -> None:
    body = BOMBS[coding]()
    shop, taken = Recorder(), [0]

    async def take(part: bytes) -> None:
        assert len(part) <= 1 << 20
        taken[0] += len(part)

    shop.answers[b"/x"] = answer(body, f"Content-Encoding: {coding}")
    limit = 1 << 30  # as for a feed: the growth is what is limited
    async with shop.running() as address, fetcher(max_bytes=limit) as made:
        error = await failure(made, address + "/x", take=take)
    assert error.reason is Reason.IMAGE_TOO_LARGE
    assert taken[0] <= max(16 << 20, 100 * len(body))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", CODED["gzip"][:-20]), ("gzip", CODED["gzip"][:20] + b"\xff" * 50), ("deflate", CODED["deflate"][:-9]),
        ("br", CODED["br"][:-3]), ("br", b"\xff" * 99), ("zstd", BODY), ("secret-coding", BODY), ("gzip," * 4, BODY),
    ],
    ids=["truncated", "damaged", "deflate cut short", "br cut short", "no br", "zstd", "unknown", "too many codings"],
)  # fmt: skip  # named, since gzip puts the time into what it writes: two test processes must collect the same tests
async def test_a_body_that_cannot_be_inflated_is_refused_with_the_reason(coding: str, body: bytes) -> None:
    shop = Recorder()
    shop.answers[b"/x"] = answer(body, f"Content-Encoding: {coding}")
    async with shop.running() as address, fetcher() as made:
        error = await failure(made, address + "/x")
    assert error.reason is Reason.URL_REFUSED
    assert "encoding" in error.message.lower() or "truncated" in error.message


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, (), None), (203, (), None), (206, ("Content-Range: bytes 0-3/4",), None),
        (206, ("Content-Range: bytes 0-3/9",), Reason.URL_REFUSED), (206, (), Reason.URL_REFUSED),
        (201, (), Reason.URL_REFUSED), (202, (), Reason.URL_UNREACHABLE), (207, (), Reason.URL_REFUSED),
        (226, (), Reason.URL_REFUSED), (300, (), Reason.URL_REFUSED), (304, (), Reason.URL_REFUSED),
        (405, (), Reason.URL_REFUSED), (416, (), Reason.URL_REFUSED), (999, (), Reason.URL_REFUSED),
    ],
)  # fmt: skip
async def test_each_success_is_decided_by_itself(status: int, headers: tuple[str, ...], reason: Reason | None) -> None:
    shop = Recorder()
    shop.answers[b"/x"] = answer(b"" if status == 304 else b"body", *headers, status=f"{status} Said")
    async with shop.running() as address, fetcher() as made:
        if reason is None:
            assert (await made.fetch(FetchRequest(address + "/x"))).body == b"body"
        else:
            assert (await failure(made, address + "/x")).reason is reason
