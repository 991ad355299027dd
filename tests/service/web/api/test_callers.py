"""Where a request comes from, and which ways to the API are safe."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from service.errors import Reason, ServiceError
from service.web.api.callers import Callers, Entry, allowed_hosts

PROXIES = Entry(proxies=("10.0.0.0/8", "127.0.0.1/32"), hosts=("search.shop.example",))


class Request:
    """What Callers read of a request."""

    def __init__(self, peer: str, *headers: tuple[str, str], tls: bool = False) -> None:
        self.headers = CIMultiDict([("Host", "search.shop.example"), *headers])
        self.raw_path = "/v1/server"
        self.transport, self._peer, self._tls = self, peer, tls

    def get_extra_info(self, name: str) -> Any:
        return {"peername": (self._peer, 4711), "sslcontext": object() if self._tls else None}[name]


def refused(request: Request, entry: Entry = PROXIES) -> Reason | None:
    try:
        Callers(entry).check(request)  # type: ignore[arg-type]
    except ServiceError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("127.0.0.1"), None),
        (Request("::1"), None),
        (Request("::ffff:127.0.0.1"), None),
        (Request("10.1.2.3"), None),
        (Request("192.0.2.1"), Reason.CONNECTION_INSECURE),
        (Request("192.0.2.1", ("X-Forwarded-For", "127.0.0.1")), Reason.CONNECTION_INSECURE),
        (Request("192.0.2.1", tls=True), None),
    ],
)
def test_plain_http_is_taken_from_this_machine_and_from_proxies_alone(request_: Request, reason: Reason | None) -> None:
    assert refused(request_) is reason


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("search.shop.example", True), ("SEARCH.shop.example:443", True), ("search.shop.example.", True),
        ("localhost:50080", True), ("127.0.0.1:50080", True), ("[::1]:50080", True), ("192.0.2.7", True),
        ("evil.example", False), ("search.shop.example.evil", False), ("", False), ("[x]", False),
        ("1.2.3.4.evil", False),
    ],
)  # fmt: skip
def test_the_host_is_one_of_ours_or_an_address(host: str, known: bool) -> None:
    request = Request("127.0.0.1")
    request.headers = CIMultiDict([("Host", host)])
    assert refused(request) is (None if known else Reason.HOST_UNKNOWN)


def test_no_host_and_two_hosts_are_refused() -> None:
    request = Request("127.0.0.1", ("Host", "localhost"))
    assert refused(request) is Reason.HOST_UNKNOWN
    request.headers = CIMultiDict()
    assert refused(request) is Reason.HOST_UNKNOWN


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "ipv4:192.0.2.1:4711"),
        ("2001:db8::1", [], "ipv6:[2001:db8::1]:4711"),
        ("192.0.2.1", ["198.51.100.7"], "ipv4:192.0.2.1:4711"),  # anybody can write this header
        ("10.0.0.1", ["198.51.100.7"], "ipv4:198.51.100.7:0"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], "ipv4:198.51.100.7:0"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "ipv4:198.51.100.7:0"),
        ("10.0.0.1", ["198.51.100.7", "10.0.0.2"], "ipv4:198.51.100.7:0"),
        ("10.0.0.1", ["nonsense"], "ipv4:10.0.0.1:4711"),
        ("10.0.0.1", [""], "ipv4:10.0.0.1:4711"),
    ],
)
def test_behind_a_proxy_the_client_is_the_last_address_that_is_not_a_proxy(
    peer: str, forwarded: list[str], expected: str
) -> None:
    request = Request(peer, *(("X-Forwarded-For", value) for value in forwarded))
    assert Callers(PROXIES).peer(request) == expected  # type: ignore[arg-type]


def test_hosts_come_from_the_settings_and_the_public_url() -> None:
    assert allowed_hosts(["a.example"], "https://b.example:8443/x", "") == ("a.example", "b.example")
