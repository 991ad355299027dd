import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import web

from service.errors import Reason, ServiceError
from service.intake.download.addresses import is_forbidden
from service.intake.download.fetch import Fetched, Fetcher, FetchRequest, Validators
from service.intake.download.host_limits import HostLimits
from service.intake.download.limits import FetchLimits
from tests.service.intake.download.hostile_urls import hostile_urls

SHOP = "127.0.0.2"  # stands for the outside: the only address that the fetchers of these tests may reach
EXEMPT = (ipaddress.ip_network(f"{SHOP}/32"),)
JUNE = "Mon, 01 Jun 2026 00:00:00 GMT"
PUBLIC = "93.184.215.14"
FAST = HostLimits(at_once=4, per_second=1e6)


class Names:
    """A resolver: each name has a list of answers, given in order; the last one is repeated."""

    def __init__(self, answers: dict[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(a) for name, a in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers.get(host.rstrip("."))
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextlib.asynccontextmanager
async def fetcher(names: Names | None = None, hosts: HostLimits = FAST, **limits: Any) -> AsyncIterator[Fetcher]:
    made = Fetcher(FetchLimits(**{"exempt": EXEMPT, **limits}), hosts, names or Names({"shop.example": [[SHOP]]}))
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def http_server(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], address: str = SHOP
) -> AsyncIterator[int]:
    """A real HTTP server that answers everything with `handler`. Yields its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, address, 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw_server(talk: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A server that sends arbitrary bytes after the request. Yields its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await talk(writer)
        writer.close()

    server = await asyncio.start_server(handle, SHOP, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def picture(request: web.Request) -> web.Response:
    return web.Response(body=b"picture of " + request.path.encode(), headers={"ETag": '"1"'})


async def failure(made: Fetcher, url: str, **arguments: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await made.fetch(FetchRequest(url, **arguments))
    return caught.value


async def test_no_hostile_url_makes_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = hostile_urls()
    assert len(urls) >= 200
    inside = [["127.0.0.1"]]
    names = Names(
        dict[str, Sequence[Sequence[str]]]()
        | {"localhost": [["127.0.0.1", "::1"]], "foo.localhost": inside, "inside.example": [[PUBLIC, "10.0.0.1"]]}
        | {f"{a}.nip.example": [[a]] for a in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1")}
        | {f"inside-{a}.example": [[a]] for a in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1")}
        | {"public.example": [[PUBLIC]]}
    )
    connected: list[object] = []
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    def connect(sock: Any, to: Any) -> Any:
        connected.append(to)
        return real(sock, to)

    monkeypatch.setattr(loop, "sock_connect", connect)
    async with fetcher(names, exempt=()) as made:
        for url in urls:
            error = await failure(made, url)
            assert error.reason in (Reason.URL_INVALID, Reason.URL_FORBIDDEN, Reason.URL_UNREACHABLE), url
            if "://[" in url:  # an address: it is refused by what it is, not because nobody answers there
                assert error.reason is not Reason.URL_UNREACHABLE, url
            assert not any(a in error.message for a in ("127.", "10.0", "192.168", "169.254")), url
    assert connected == []


async def test_a_picture_is_fetched_with_what_its_host_says_of_the_version() -> None:
    async with http_server(picture) as port, fetcher() as made:
        found = await made.fetch(FetchRequest(f"http://shop.example:{port}/1.jpg?size=l#top"))
        assert found == Fetched(b"picture of /1.jpg", Validators('"1"', ""))


async def test_a_picture_that_has_not_changed_is_not_transferred() -> None:
    asked: list[tuple[str, str]] = []

    async def shop(request: web.Request) -> web.Response:
        asked.append((request.headers.get("If-None-Match", ""), request.headers.get("If-Modified-Since", "")))
        return web.Response(status=304)

    async with http_server(shop) as port, fetcher() as made:
        url = f"http://shop.example:{port}/1.jpg"
        for known in (
            Validators('"7"', "Mon, 01 Jun 2026 00:00:00 GMT"),
            Validators("", "Mon, 01 Jun 2026 00:00:00 GMT"),
        ):
            assert await made.fetch(FetchRequest(url, known=known)) == Fetched(None, known)
        assert asked == [('"7"', ""), ("", JUNE)]
        assert (await failure(made, url)).reason is Reason.URL_REFUSED  # nobody asked whether it had changed


async def test_a_name_that_changes_its_address_after_the_check_gains_nothing() -> None:
    inside: list[str] = []

    async def secret(request: web.Request) -> web.Response:
        inside.append(request.path)
        return web.Response(body=b"secret")

    async with http_server(picture) as port, http_server(secret, "127.0.0.1"):
        names = Names({"rebinding.example": [[SHOP], ["127.0.0.1"]]})
        async with fetcher(names) as made:
            url = f"http://rebinding.example:{port}/x"
            assert (await made.fetch(FetchRequest(url))).body == b"picture of /x"
            assert names.asked == ["rebinding.example"]  # once: what was checked is what was used
            assert (await failure(made, url)).reason is Reason.URL_FORBIDDEN
    assert inside == []


async def test_one_bad_address_among_good_ones_is_enough_to_refuse() -> None:
    async with fetcher(Names({"mixed.example": [[SHOP, "127.0.0.1"]]})) as made:
        assert (await failure(made, "http://mixed.example:1/x")).reason is Reason.URL_FORBIDDEN


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/latest/meta-data", Reason.URL_FORBIDDEN),
        ("http://169.254.169.254/latest/meta-data", Reason.URL_FORBIDDEN),
        ("http://[::1]/", Reason.URL_FORBIDDEN),
        ("http://2130706433/", Reason.URL_INVALID),
        ("http://inside.example/", Reason.URL_FORBIDDEN),
        ("file:///etc/passwd", Reason.URL_INVALID),
        ("//127.0.0.1/x", Reason.URL_FORBIDDEN),
        ("http://user:pass@shop.example/", Reason.URL_INVALID),
        ("/again", Reason.URL_REFUSED),
        ("", Reason.URL_REFUSED),
    ],
)
async def test_a_redirect_is_checked_like_the_first_url(location: str, reason: Reason) -> None:
    hops: list[str] = []

    async def shop(request: web.Request) -> web.Response:
        hops.append(request.path)
        return web.Response(status=302, headers={"Location": location})

    names = Names({"shop.example": [[SHOP]], "inside.example": [["10.0.0.1"]]})
    async with http_server(shop) as port, fetcher(names) as made:
        assert (await failure(made, f"http://shop.example:{port}/1")).reason is reason
        assert len(hops) == (4 if location == "/again" else 1)


async def test_redirects_are_followed_three_times() -> None:
    async def shop(request: web.Request) -> web.StreamResponse:
        left = int(request.path.strip("/"))
        return web.Response(status=301, headers={"Location": f"/{left - 1}"}) if left else await picture(request)

    async with http_server(shop) as port, fetcher() as made:
        assert (await made.fetch(FetchRequest(f"http://shop.example:{port}/3"))).body == b"picture of /0"
        assert (await failure(made, f"http://shop.example:{port}/4")).reason is Reason.URL_REFUSED


async def test_a_tenant_with_a_list_of_hosts_reaches_no_other_not_even_by_a_redirect() -> None:
    async def shop(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://other.example/"})

    names = Names({"cdn.shop.example": [[SHOP]], "other.example": [[SHOP]]})
    async with http_server(picture) as port, http_server(shop) as leading_away, fetcher(names) as made:
        url = f"http://cdn.shop.example:{port}/x"
        for allowed in (None, {"cdn.shop.example"}, {"*.shop.example"}):
            assert (await made.fetch(FetchRequest(url, allowed))).body == b"picture of /x"
        for allowed in (set(), {"shop.example"}, {"*.cdn.shop.example"}, {"dn.shop.example"}):
            assert (await failure(made, url, allowed_hosts=allowed)).reason is Reason.URL_FORBIDDEN
        away = await failure(made, f"http://cdn.shop.example:{leading_away}/", allowed_hosts={"*.shop.example"})
        assert away.reason is Reason.URL_FORBIDDEN


async def test_size_is_counted_while_reading_whatever_the_header_says() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    async def announced(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        await writer.drain()

    for talk in (endless, announced):
        async with raw_server(talk) as port, fetcher(max_bytes=300_000) as made:
            assert (await failure(made, f"http://shop.example:{port}/")).reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"\x00\xff" * 50,
     b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000,
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
async def test_an_answer_that_is_none_is_a_failure_of_the_host(said: bytes) -> None:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with raw_server(talk) as port, fetcher() as made:
        assert (await failure(made, f"http://shop.example:{port}/")).reason is Reason.URL_UNREACHABLE


async def test_hosts_that_hang_or_drip_are_given_up() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    cases: tuple[tuple[Any, dict[str, Any]], ...] = (
        (silent, {"silence_s": 0.2}), (silent, {"total_s": 0.2}), (dripping, {"total_s": 0.5}),
    )  # fmt: skip
    for talk, limits in cases:
        async with raw_server(talk) as port, fetcher(**limits) as made:
            error = await failure(made, f"http://shop.example:{port}/")
            assert error.reason is Reason.URL_TOO_SLOW
            assert error.retry_delay_s


async def test_nothing_of_the_server_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen: list[dict[str, str]] = []

    async def shop(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(body=b"x", headers={"Set-Cookie": "id=1; Path=/"})

    async with http_server(shop) as port, fetcher() as made:
        for _ in range(2):
            await made.fetch(FetchRequest(f"http://shop.example:{port}/"))
    assert all(set(h) == {"Host", "User-Agent", "Accept", "Accept-Encoding"} for h in seen)
    assert seen[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, Reason.URL_NOT_FOUND), (410, Reason.URL_NOT_FOUND), (401, Reason.URL_REFUSED), (403, Reason.URL_REFUSED),
     (500, Reason.URL_UNREACHABLE), (502, Reason.URL_UNREACHABLE), (429, Reason.HOST_BUSY), (503, Reason.HOST_BUSY),
     (204, Reason.URL_REFUSED), (206, Reason.URL_REFUSED)],
)  # fmt: skip
async def test_each_status_has_its_reason(status: int, reason: Reason) -> None:
    async def shop(request: web.Request) -> web.Response:
        return web.Response(status=status, text="secret words of the page")

    async with http_server(shop) as port, fetcher() as made:
        error = await failure(made, f"http://shop.example:{port}/")
        assert error.reason is reason
        assert "secret" not in error.message


async def test_a_host_that_asks_for_a_pause_gets_it_and_other_hosts_do_not_suffer() -> None:
    asked: list[str] = []

    async def shop(request: web.Request) -> web.StreamResponse:
        asked.append(request.host.partition(":")[0])
        if asked[-1] == "busy.example":
            return web.Response(status=429, headers={"Retry-After": "30"})
        return await picture(request)

    names = Names({"busy.example": [[SHOP]], "shop.example": [[SHOP]]})
    async with http_server(shop) as port, fetcher(names) as made:
        for _ in range(3):
            error = await failure(made, f"http://busy.example:{port}/")
            assert error.reason is Reason.HOST_BUSY
            assert 25 < (error.retry_delay_s or 0) <= 30
        await made.fetch(FetchRequest(f"http://shop.example:{port}/"))
    assert asked == ["busy.example", "shop.example"]


async def test_a_host_that_fails_again_and_again_is_left_alone() -> None:
    asked: list[str] = []

    async def shop(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=500)

    hosts = HostLimits(per_second=1e6, failures=5)
    async with http_server(shop) as port, fetcher(hosts=hosts) as made:
        reasons = [(await failure(made, f"http://shop.example:{port}/")).reason for _ in range(8)]
    assert reasons == [Reason.URL_UNREACHABLE] * 5 + [Reason.HOST_BUSY] * 3
    assert len(asked) == 5


async def test_no_more_requests_at_once_than_a_host_is_given() -> None:
    running, most = 0, 0
    go = asyncio.Event()

    async def shop(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            go.set()
        await go.wait()
        running -= 1
        return web.Response(body=b"x")

    async with http_server(shop) as port, fetcher(hosts=HostLimits(at_once=3, per_second=1e6)) as made:
        await asyncio.gather(*(made.fetch(FetchRequest(f"http://shop.example:{port}/{n}")) for n in range(12)))
    assert most == 3


async def test_requests_beyond_the_rate_that_would_wait_too_long_are_refused() -> None:
    async with http_server(picture) as port, fetcher(hosts=HostLimits(per_second=0.1, patience_s=5)) as made:
        url = f"http://shop.example:{port}/"
        await made.fetch(FetchRequest(url))
        error = await failure(made, url)
        assert error.reason is Reason.HOST_BUSY
        assert (error.retry_delay_s or 0) > 5


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:2800:21f::1", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert not is_forbidden(ipaddress.ip_address(address))


async def test_credentials_go_to_the_origin_that_they_are_for_and_nowhere_else() -> None:
    sent: list[tuple[str, str]] = []

    async def other(request: web.Request) -> web.Response:
        sent.append(("other", request.headers.get("Authorization", "")))
        return web.Response(body=b"feed")

    async with http_server(other) as other_port:

        async def shop(request: web.Request) -> web.Response:
            sent.append((request.path, request.headers.get("Authorization", "")))
            target = "/moved" if request.path == "/feed" else f"http://shop.example:{other_port}/"
            return web.Response(status=302, headers={"Location": target})

        async with http_server(shop) as port, fetcher() as made:
            request = FetchRequest(f"http://shop.example:{port}/feed", authorization="Bearer s3cret")
            assert (await made.fetch(request)).body == b"feed"
            assert "s3cret" not in repr(request)
    assert sent == [("/feed", "Bearer s3cret"), ("/moved", "Bearer s3cret"), ("other", "")]


async def test_a_long_body_goes_where_the_caller_wants_it() -> None:
    async def shop(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 200_000)

    parts: list[bytes] = []

    async def take(part: bytes) -> None:
        parts.append(part)

    async with http_server(shop) as port, fetcher() as made:
        found = await made.fetch(FetchRequest(f"http://shop.example:{port}/feed", take=take))
    assert found.body == b""
    assert sum(map(len, parts)) == 200_000
    assert len(parts) > 1
