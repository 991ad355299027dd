"""The machine's clock is set while the service runs: the effect on everything that has a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import Reason, ServiceError
from service.objects.links import Linked, Links
from service.runtime.clocks import ForwardClock
from service.tenancy import access, database, keyring
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import NewKey
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

LINKED = Linked("t" * 32, "picture", "c" * 32, "o" * 32, "abcdefghijkl")
MINUTE_MS, HOUR_MS, YEAR_MS = 60_000, 3_600_000, 365 * 86_400_000
JUMPS_S = [-5 * 365 * 86_400, -86_400, -3600, -600, -1, 0, 1, 600, 3600, 86_400, 5 * 365 * 86_400]


class Machine:
    """A settable clock, and a monotonic one."""

    def __init__(self) -> None:
        self.elapsed_s, self.set_by_s = 1000.0, 0.0

    def wall(self) -> float:
        return 1_790_000_000.0 + self.elapsed_s + self.set_by_s

    def elapsed(self) -> float:
        return self.elapsed_s

    def clock(self) -> ForwardClock:
        return ForwardClock(self.wall, self.elapsed)


def lives(links: Links, token: str) -> bool:
    try:
        links.read(token)
    except ServiceError as error:
        return error.reason is not Reason.LINK_EXPIRED
    return True


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_no_link_lives_longer_than_it_was_given_however_the_clock_is_set(jump_s: float) -> None:
    machine = Machine()
    links = Links(bytes(32), machine.clock())
    token, _ = links.make(LINKED, 10)
    machine.elapsed_s += 300
    machine.set_by_s = jump_s
    assert lives(links, token) or jump_s >= 300  # set forward it may end early, and never lives longer
    machine.elapsed_s += 301
    assert not lives(links, token)
    machine.set_by_s = -jump_s
    assert not lives(links, token)
    fresh, _ = links.make(LINKED, 10)  # and new ones are good at once
    assert lives(links, fresh)
    machine.elapsed_s += 601
    assert not lives(links, fresh)


def test_a_clock_that_is_not_set_back_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_by_s = 5.0
    assert clock() == machine.wall()
    machine.elapsed_s += 7.0
    assert clock() == machine.wall()
    machine.set_by_s = -60.0
    before = clock()
    machine.elapsed_s += 1.0
    assert clock() == before + 1.0


class Now:
    """The server's clock for keys and grants."""

    ms = 1_790_000_000_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    for module in (access, keyring, database):
        monkeypatch.setattr(module, "now_ms", lambda: made.ms)
    return made


@pytest.fixture
def registry(tmp_path: Path, now: Now) -> Iterator[TenantRegistry]:
    made = TenantRegistry(tmp_path / "registry.db", MasterKey(bytes(32)))
    made.create_tenant("acme")
    yield made
    made.close()


def works(registry: TenantRegistry, key: str) -> bool:
    try:
        registry.api_keys.authenticate(f"Bearer {key}")
    except ServiceError as error:
        return error.reason is not Reason.KEY_EXPIRED
    return True


@pytest.mark.parametrize(
    ("jump_ms", "expected"),
    [
        (-YEAR_MS, True), (-HOUR_MS, True), (HOUR_MS - 1, True), (HOUR_MS, False), (YEAR_MS, False),
    ],
)  # fmt: skip
def test_a_key_ends_when_the_servers_clock_says_so(
    registry: TenantRegistry, now: Now, jump_ms: int, expected: bool
) -> None:
    wanted = NewKey(frozenset({Scope.SEARCH}), now.ms + HOUR_MS)
    key = registry.api_keys.create(registry.tenant("acme").uid, wanted)
    now.ms += jump_ms
    assert works(registry, key) is expected
    now.ms -= jump_ms
    assert works(registry, key)


@pytest.mark.parametrize(
    ("jump_ms", "expected"),
    [
        (-YEAR_MS, False), (-HOUR_MS, False), (-2 * MINUTE_MS, False), (-MINUTE_MS // 2, True), (0, True),
        (9 * MINUTE_MS, True), (10 * MINUTE_MS, False), (YEAR_MS, False),
    ],
)  # fmt: skip
def test_an_access_that_was_granted_never_lasts_longer_than_it_was_granted(
    registry: TenantRegistry, now: Now, jump_ms: int, expected: bool
) -> None:
    uid = registry.tenant("acme").uid
    made = registry.access.ask(uid, WantedAccess("ticket", frozenset({Scope.SEARCH}), 10))
    registry.access.decide(uid, made.request_id, approved=True)
    key = registry.access.token(uid, made.request_id)
    now.ms += jump_ms
    assert works(registry, key) is expected
    assert registry.access.one(uid, made.request_id).state == ("approved" if expected else "over")
