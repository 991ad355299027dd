"""The handling of responses, independent of the transport: redirects, headers, pauses, rates and sizes at their
limits."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.errors import Reason, ServiceError
from service.intake.download.fetch import Fetched, Fetcher, FetchRequest, Validators
from service.intake.download.host_limits import HostLimits
from service.intake.download.limits import FetchLimits
from service.runtime.clock import SYSTEM_CLOCK, Clock
from tests.service.intake.download.test_fetch import PUBLIC, Names
from tests.support.manual_clock import ManualClock

URL = "https://shop.example/1.jpg"
MIB = 1 << 20


@dataclass
class Said:
    """The response of a host."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[bytes] = (b"picture",)
    length: int = 0
    peer: Any = None

    def header(self, name: str) -> bytes:
        return self.headers.get(name, "").encode("latin-1")

    async def parts(self) -> AsyncIterator[bytes]:
        for part in self.body:
            yield part


class Client:
    """Returns the responses in order, and repeats the last one.

    `sent`: method, URL, headers and body of each request.
    """

    def __init__(self, *answers: Said | BaseException) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, str, dict[str, str], bytes | None]] = []

    @contextlib.asynccontextmanager
    async def send(
        self, method: str, link: Any, addresses: Any, headers: dict[str, str], body: bytes | None
    ) -> AsyncIterator[Said]:
        self.sent.append((method, link.text, dict(headers), body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        yield answer


def fetcher(
    *answers: Said | BaseException, names: Names | None = None, clock: Clock = SYSTEM_CLOCK, **limits: Any
) -> tuple[Fetcher, Client]:
    hosts = HostLimits(at_once=4, per_second=1e6, failures=3, pause_s=7)
    known = names or Names({"shop.example": [[PUBLIC]], "other.example": [[PUBLIC]]})
    made, client = Fetcher(FetchLimits(**limits), hosts, known, clock), Client(*answers)
    made._client = client  # type: ignore[assignment]
    return made, client


async def refused(made: Fetcher, url: str = URL, **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await made.fetch(FetchRequest(url, **more))
    return caught.value


def test_the_usual_limits_are_as_documented() -> None:
    usual = FetchLimits()
    assert (usual.max_bytes, usual.total_s, usual.connect_s, usual.silence_s) == (16 * MIB, 15.0, 3.0, 5.0)
    assert (usual.least_rate, usual.redirects, usual.http, usual.exempt, usual.connections) == (1024, 3, False, (), 64)


@pytest.mark.parametrize(
    ("begin", "target", "http", "leads"),
    [
        ("https", "https", False, True), ("https", "http", False, False), ("https", "http", True, True),
        ("http", "http", True, True), ("http", "https", True, True),
    ],
)  # fmt: skip
async def test_a_redirect_from_https_leads_to_http_only_where_that_is_allowed(
    begin: str, target: str, http: bool, leads: bool
) -> None:
    made, client = fetcher(Said(302, {"Location": f"{target}://other.example/x"}), Said(), http=http)
    if leads:
        assert (await made.fetch(FetchRequest(f"{begin}://shop.example/"))).body == b"picture"
        assert client.sent[1][1] == f"{target}://other.example/x"
        return
    error = await refused(made, f"{begin}://shop.example/")
    assert (error.reason, error.message) == (Reason.URL_FORBIDDEN, "the URL redirects from https to http")
    assert len(client.sent) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_every_redirect_is_followed_and_credentials_go_no_farther_than_their_origin(status: int) -> None:
    hop = Said(status, {"Location": "https://other.example/x"})
    back = Said(status, {"Location": "https://shop.example/y"})
    made, client = fetcher(hop, back, Said())
    await made.fetch(FetchRequest(URL, authorization="Bearer s3cret"))
    assert [h.get("Authorization") for _, _, h, _ in client.sent] == ["Bearer s3cret", None, "Bearer s3cret"]


async def test_what_is_sent_by_post_goes_where_it_was_meant_to_go_and_no_farther() -> None:
    for status in (200, 204, 299):
        made, client = fetcher(Said(status))
        request = FetchRequest(URL, body=b"{}", signature="t=1", known=Validators('"1"'))
        assert await made.fetch(request) == Fetched(b"", Validators())
        method, _, headers, body = client.sent[0]
        assert (method, body, headers["Content-Type"]) == ("POST", b"{}", "application/json")
        assert headers["Afterimage-Signature"] == "t=1"
    for status in (199, 300, 302, 307, 400):
        made, client = fetcher(Said(status, {"Location": "https://other.example/"}))
        assert (await refused(made, body=b"{}")).reason is Reason.URL_REFUSED
        assert len(client.sent) == 1


async def test_only_what_is_known_of_the_last_version_is_asked_about() -> None:
    made, client = fetcher(Said())
    for known in (Validators(), Validators('"1"', "yesterday"), Validators("", "yesterday")):
        await made.fetch(FetchRequest(URL, known=known))
    asked = [(h.get("If-None-Match"), h.get("If-Modified-Since")) for _, _, h, _ in client.sent]
    assert asked == [(None, None), ('"1"', None), (None, "yesterday")]
    assert {method for method, *_ in client.sent} == {"GET"}
    assert all(set(h) <= {"User-Agent", "Accept", "Accept-Encoding", "If-None-Match", "If-Modified-Since"}
               for _, _, h, _ in client.sent)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kept"),
    [('"1"', True), ("x" * 200, True), ("x" * 201, False), ("\xe9", False), ("a\x01", False), ("", True)],
)
async def test_validators_are_kept_where_they_are_short_and_plain(value: str, kept: bool) -> None:
    made, _ = fetcher(Said(headers={"ETag": value, "Last-Modified": value}))
    found = (await made.fetch(FetchRequest(URL))).validators
    assert found == (Validators(value, value) if kept else Validators())


@pytest.mark.parametrize(
    ("peer", "allowed"), [(PUBLIC, True), ("10.0.0.1", False), ("::1", False), ("10.9.0.1", True), (None, True)]
)
async def test_the_address_at_the_other_end_of_the_connection_has_the_last_word(
    peer: str | None, allowed: bool
) -> None:
    exempt = (ipaddress.ip_network("10.9.0.0/16"),)
    made, _ = fetcher(Said(peer=peer and ipaddress.ip_address(peer)), exempt=exempt)
    if allowed:
        assert (await made.fetch(FetchRequest(URL))).body == b"picture"
    else:
        assert (await refused(made)).reason is Reason.URL_FORBIDDEN


@pytest.mark.parametrize(
    ("url", "http", "reason"),
    [
        ("https://shop.example:443/", False, None), ("https://shop.example:8443/", False, Reason.URL_FORBIDDEN),
        ("http://shop.example/", False, Reason.URL_FORBIDDEN), ("http://shop.example/", True, None),
        ("http://shop.example:8080/", True, Reason.URL_FORBIDDEN), ("http://inside.example:8080/", False, None),
        ("http://both.example:8080/", True, Reason.URL_FORBIDDEN), ("https://93.184.215.14/", False, None),
        ("https://10.1.1.1/", False, Reason.URL_FORBIDDEN), ("https://nobody.example/", True, Reason.URL_UNREACHABLE),
        ("https://empty.example/", True, Reason.URL_UNREACHABLE), ("https://scoped.example/", False, None),
        ("https://odd.example/", True, Reason.URL_UNREACHABLE),
    ],
)  # fmt: skip
async def test_ports_and_plain_http_are_the_operators_for_networks_of_its_own_alone(
    url: str, http: bool, reason: Reason | None
) -> None:
    names = Names({
        "shop.example": [[PUBLIC]], "inside.example": [["10.9.0.1", "10.9.0.2"]],
        "both.example": [["10.9.0.1", PUBLIC]], "empty.example": [[]],
        "odd.example": [["no address"]], "scoped.example": [["2606:2800:21f::1%eth0"]],
    })  # fmt: skip
    made, client = fetcher(Said(), names=names, http=http, exempt=(ipaddress.ip_network("10.9.0.0/16"),))
    if reason is None:
        assert (await made.fetch(FetchRequest(url))).body == b"picture"
        await made.check(url, None)
        return
    assert (await refused(made, url)).reason is reason
    assert client.sent == []
    if reason is Reason.URL_UNREACHABLE:
        await made.check(url, None)  # the name may be known later
    else:
        with pytest.raises(ServiceError) as caught:
            await made.check(url, None)
        assert caught.value.reason is reason


async def test_a_host_that_is_not_on_the_tenants_list_is_forbidden_before_its_name_is_looked_up() -> None:
    names = Names({"shop.example": [[PUBLIC]]})
    made, _ = fetcher(Said(), names=names)
    with pytest.raises(ServiceError, match="fetch-hosts"):
        await made.check(URL, {"other.example"})
    assert names.asked == []


async def test_a_name_that_nobody_answers_for_in_time_may_be_known_later() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    made = Fetcher(FetchLimits(connect_s=0.01, total_s=0.01), HostLimits(), never)
    await made.check(URL, None)
    error = await refused(made)
    assert (error.reason, error.retry_delay_s) == (Reason.URL_TOO_SLOW, 1.0)
    await made.close()


@pytest.mark.parametrize(
    ("trouble", "reason"), [(OSError("x"), Reason.URL_UNREACHABLE), (ValueError("x"), Reason.URL_UNREACHABLE)]
)
async def test_a_host_that_fails_again_and_again_is_paused_and_a_success_begins_the_count_anew(
    trouble: Exception, reason: Reason
) -> None:
    made, client = fetcher(trouble, trouble, Said(), trouble, trouble, Said(404), trouble, trouble, trouble, Said())
    assert [(await refused(made)).reason for _ in range(2)] == [reason] * 2
    await made.fetch(FetchRequest(URL))
    assert [(await refused(made)).reason for _ in range(2)] == [reason] * 2
    assert (await refused(made)).reason is Reason.URL_NOT_FOUND  # the host is well, the picture is gone
    for _ in range(3):
        error = await refused(made)
        assert (error.reason, error.retry_delay_s, error.field) == (reason, 1.0, "url")
        assert "does not respond properly" in error.message
    error = await refused(made)
    assert error.reason is Reason.HOST_BUSY
    assert 6 < (error.retry_delay_s or 0) <= 7
    assert len(client.sent) == 9


@pytest.mark.parametrize(
    ("status", "reason", "delay_s"),
    [
        *((s, Reason.URL_UNREACHABLE, 1.0) for s in (202, 408, 425, 500, 502, 504)),
        *((s, Reason.HOST_BUSY, 60.0) for s in (429, 430, 503)),
        *((s, Reason.URL_NOT_FOUND, None) for s in (404, 410)),
        *((s, Reason.URL_REFUSED, None) for s in (201, 204, 304, 305, 400, 401, 403, 405, 451, 501, 505)),
    ],
)
async def test_every_status_says_whether_another_try_is_worth_it(
    status: int, reason: Reason, delay_s: float | None
) -> None:
    made, _ = fetcher(Said(status))
    error = await refused(made)
    assert (error.reason, error.retry_delay_s) == (reason, delay_s)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("range_", "whole"),
    [("bytes 0-3/4", True), ("bytes 0-3/5", False), ("bytes 0-3/3", False), ("bytes 1-3/4", False), ("", False)],
)
async def test_a_part_that_is_all_of_it_is_taken(range_: str, whole: bool) -> None:
    made, _ = fetcher(Said(206, {"Content-Range": range_}))
    if whole:
        assert (await made.fetch(FetchRequest(URL))).body == b"picture"
    else:
        assert (await refused(made)).reason is Reason.URL_REFUSED
    made, _ = fetcher(Said(201, {"Content-Range": range_}))
    assert (await refused(made)).reason is Reason.URL_REFUSED


@pytest.mark.parametrize(("announced", "parts"), [(0, [4, 6]), (10, [10]), (0, [0, 10, 0])])
async def test_a_body_may_be_as_large_as_the_limit(announced: int, parts: list[int]) -> None:
    made, _ = fetcher(Said(body=[b"x" * n for n in parts], length=announced), max_bytes=10)
    assert (await made.fetch(FetchRequest(URL))).body == b"x" * 10


@pytest.mark.parametrize(("announced", "parts"), [(0, [11]), (0, [10, 1]), (11, [1]), (11, [])])
async def test_a_larger_body_is_refused_when_it_is_announced_or_comes(announced: int, parts: list[int]) -> None:
    made, _ = fetcher(Said(body=[b"x" * n for n in parts], length=announced), max_bytes=10, what="feed")
    error = await refused(made)
    assert (error.reason, error.message) == (Reason.IMAGE_TOO_LARGE, "the feed has more than 10 bytes")


async def test_nothing_of_a_part_that_is_too_much_is_handed_on_and_no_empty_part() -> None:
    made, _ = fetcher(Said(body=[b"12345", b"", b"67890", b"x"]), max_bytes=10)
    taken: list[bytes] = []

    async def take(part: bytes) -> None:
        taken.append(part)

    with pytest.raises(ServiceError):
        await made.fetch(FetchRequest(URL, take=take))
    assert taken == [b"12345", b"67890"]


class SteppingClock(ManualClock):
    """Advances by a step with each reading."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self._times: Iterator[float] = (100 + n * step for n in range(1000))

    def elapsed_s(self) -> float:
        return next(self._times)


@pytest.mark.parametrize(
    ("step_s", "part_bytes", "slow"),
    [(3.0, 1, False), (3.1, 3099, True), (3.1, 3101, False), (10.0, 9_999, True), (10.0, 10_000, False)],
)
async def test_a_body_that_drips_is_given_up_once_three_seconds_are_over(
    step_s: float, part_bytes: int, slow: bool
) -> None:
    made, _ = fetcher(Said(body=[bytes(part_bytes)]), clock=SteppingClock(step_s), least_rate=1000)
    if slow:
        error = await refused(made)
        assert (error.reason, error.retry_delay_s) == (Reason.URL_TOO_SLOW, 1.0)
    else:
        assert len((await made.fetch(FetchRequest(URL))).body or b"") == part_bytes


async def test_redirects_lead_as_often_as_the_limit_says_and_not_to_nowhere() -> None:
    hop = Said(302, {"Location": "/next"})
    made, client = fetcher(hop, redirects=2)
    error = await refused(made)
    assert (error.reason, error.message) == (Reason.URL_REFUSED, "the URL redirects more than 2 times")
    assert len(client.sent) == 3
    made, _ = fetcher(hop, hop, Said(), redirects=2)
    assert (await made.fetch(FetchRequest(URL))).body == b"picture"
    made, client = fetcher(Said(302, {"Location": " "}))
    assert (await refused(made)).message == "the URL redirects without a target"


def test_a_result_and_a_request_show_no_secrets() -> None:
    assert repr(Fetched(b"secret", Validators())) == "Fetched(6)"
    assert repr(Fetched(None, Validators())) == "Fetched(unchanged)"
    request = FetchRequest("https://shop.example/?token=1", authorization="Basic x", body=b"y", signature="z")
    assert "token" not in repr(request)
    assert all(secret not in repr(request) for secret in ("Basic", "b'y'", "'z'"))
