"""The machine's clock is set while the service runs: the effect on everything that has a time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import service
from service.errors import Reason, ServiceError
from service.objects.links import Linked, Links
from service.runtime.clock import SYSTEM_CLOCK, ForwardClock, Interval, now_ms
from service.tenancy import access, keyring, stored_keys
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from tests.support.manual_clock import ManualClock

LINKED = Linked("t" * 32, "picture", "c" * 32, "o" * 32, "abcdefghijkl")
MINUTE_MS, HOUR_MS, YEAR_MS = 60_000, 3_600_000, 365 * 86_400_000
JUMPS_S = [-5 * 365 * 86_400, -86_400, -3600, -600, -1, 0, 1, 600, 3600, 86_400, 5 * 365 * 86_400]


class Machine(ManualClock):
    """A settable clock, and what a suspended machine counts too."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = ForwardClock(self, self.elapsed_s)

    def set_by(self, seconds: float) -> None:
        """Sets the time of day, from what it would be."""
        self.now = 1_790_000_000.0 + self.elapsed - 1000.0 + seconds


def lives(links: Links, token: str) -> bool:
    try:
        links.read(token)
    except ServiceError as error:
        return error.reason is not Reason.LINK_EXPIRED
    return True


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_no_link_lives_longer_than_it_was_given_however_the_clock_is_set(jump_s: float) -> None:
    machine = Machine()
    links = Links(bytes(32), machine.forward)
    token, _ = links.make(LINKED, 10)
    machine.advance(300)
    machine.set_by(jump_s)
    assert lives(links, token) or jump_s >= 300  # set forward it may end early, and never lives longer
    machine.advance(301)
    assert not lives(links, token)
    machine.set_by(-jump_s)
    assert not lives(links, token)
    fresh, _ = links.make(LINKED, 10)  # and new ones are good at once
    assert lives(links, fresh)
    machine.advance(601)
    assert not lives(links, fresh)


def test_a_clock_that_is_not_set_back_is_followed() -> None:
    machine = Machine()
    clock = machine.forward
    machine.set_by(5.0)
    assert clock.now_s() == machine.now
    machine.advance(7.0)
    assert clock.now_s() == machine.now
    machine.set_by(-60.0)
    before = clock.now_s()
    machine.advance(1.0)
    assert clock.now_s() == before + 1.0


class Now:
    """The server's clock for keys and grants."""

    ms = 1_790_000_000_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    for module in (access, keyring, stored_keys):
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


READS_THE_TIME = frozenset(
    ("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
     "time.clock_gettime", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
)  # fmt: skip


def reads_of_the_time(source: str) -> list[int]:
    """The lines of a module that read the machine's clock, however it is imported."""
    if not re.search(r"^\s*(from|import) .*time", source, re.MULTILINE):
        return []
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }  # fmt: skip
    names |= {a.asname: a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names if a.asname}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, _, rest = ast.unparse(node).partition(".")
            said = f"{names.get(first, first)}.{rest}".rstrip(".")
            if any(said == name or said.endswith(f".{name}") for name in READS_THE_TIME):
                found.append(node.lineno)
    return found


def test_only_the_clock_reads_the_time_of_the_machine() -> None:
    root = Path(service.__file__).parent
    found = {str(p.relative_to(root)): reads_of_the_time(p.read_text()) for p in root.rglob("*.py")}
    assert {name for name, lines in found.items() if lines} == {"runtime/clock.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()", "import time as t\nnow = t.monotonic", "from time import perf_counter as p\np()",
        "from datetime import datetime\ndatetime.now()", "import datetime\ndatetime.datetime.now(datetime.UTC)",
    ],
)  # fmt: skip
def test_a_read_of_the_time_is_seen_however_it_is_written(source: str) -> None:
    assert reads_of_the_time(source)


def test_an_interval_is_over_once_and_then_begins_again() -> None:
    clock = ManualClock()
    later, at_once = Interval(10.0, clock), Interval(10.0, clock, at_once=True)
    assert [later.restart_if_over(), at_once.restart_if_over(), at_once.restart_if_over()] == [False, True, False]
    clock.elapsed += 9.9
    clock.now += 1e9  # the time of day does not count
    assert not later.is_over
    clock.elapsed += 0.1
    assert [later.is_over, later.restart_if_over(), later.restart_if_over()] == [True, True, False]


def test_stamps_are_whole_milliseconds() -> None:
    assert now_ms(ManualClock(now=1.5)) == 1500
    assert abs(now_ms() - SYSTEM_CLOCK.now_s() * 1000) < 60_000
