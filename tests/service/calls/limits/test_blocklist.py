"""Addresses that are ignored, because they come again and again without a key."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest

from service.calls.limits import blocklist
from service.calls.limits.blocklist import Blocklist
from service.calls.limits.keyless import KeylessCalls
from tests.support.manual_clock import ManualClock


class Blocking:
    """A blocklist, the time, and what is blocked now."""

    def __init__(self, seconds: float = 10.0, spared: tuple[str, ...] = ()) -> None:
        self.clock, self.blocked, self.changes = ManualClock(), set[str](), 0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self.list = Blocklist(self._block, seconds, spared, later=self._later, clock=self.clock)

    def _block(self, networks: object) -> None:
        self.blocked, self.changes = {str(network) for network in networks}, self.changes + 1  # type: ignore[attr-defined]

    def _later(self, seconds: float, function: Callable[[], object]) -> None:
        heapq.heappush(self._due, (self.clock.elapsed_s() + seconds, len(self._due), function))

    def after(self, seconds: float) -> set[str]:
        until = self.clock.elapsed_s() + seconds
        while self._due and self._due[0][0] <= until:
            at, _, function = heapq.heappop(self._due)
            self.clock.advance(max(0.0, at - self.clock.elapsed_s()))
            function()
        self.clock.advance(until - self.clock.elapsed_s())
        return self.blocked

    def refuse(self, times: int, host: str = "ipv4:192.0.2.1") -> None:
        for port in range(times):
            self.list.note(f"{host}:{port}")


def test_an_address_that_is_refused_twenty_times_is_blocked_for_a_while() -> None:
    blocking = Blocking()
    blocking.refuse(19)
    assert blocking.after(1) == set()
    blocking.refuse(1)
    assert blocking.after(1) == {"192.0.2.1/32"}
    assert blocking.after(8) == {"192.0.2.1/32"}
    assert blocking.after(2) == set()


def test_an_address_that_is_refused_now_and_then_is_not_blocked() -> None:
    blocking = Blocking()
    for _ in range(100):
        blocking.refuse(10)
        assert blocking.after(10.5) == set()


def test_an_address_that_goes_on_is_blocked_again() -> None:
    blocking = Blocking()
    blocking.refuse(20)
    assert blocking.after(11) == set()
    blocking.refuse(20)
    assert blocking.after(1) == {"192.0.2.1/32"}


def test_an_ipv6_address_is_blocked_with_its_network() -> None:
    blocking = Blocking()
    for n in range(20):
        blocking.list.note(f"ipv6:[2001:db8::{n:x}]:4711")
    assert blocking.after(1) == {"2001:db8::/64"}


def test_proxies_and_peers_without_an_address_are_never_blocked() -> None:
    blocking = Blocking(spared=("192.0.2.0/24",))
    blocking.refuse(100)
    for _ in range(100):
        blocking.list.note("unix:")
        blocking.list.note("unknown")
    assert blocking.after(1) == set()


def test_nothing_is_blocked_with_a_duration_of_zero() -> None:
    blocking = Blocking(seconds=0)
    blocking.refuse(100)
    assert blocking.after(1) == set()


def test_changes_are_applied_together_and_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocklist, "MOST_NETWORKS", 50)
    blocking = Blocking()
    for n in range(60):
        blocking.refuse(20, f"ipv4:192.0.2.{n}")
    assert len(blocking.after(1)) == 50
    assert blocking.changes == 1
    assert blocking.after(20) == set()


def test_a_client_that_opens_connections_without_end_is_refused_and_one_with_a_key_is_not() -> None:
    clock, refused, closed = ManualClock(), list[str](), list[str]()
    calls = KeylessCalls(closed.append, clock, refused.append)
    calls.note_valid_key("ipv4:192.0.2.2:1")
    for port in range(700):
        calls.admit(f"ipv4:192.0.2.1:{port}")  # over gRPC: one call of each connection
        calls.admit(f"ipv4:192.0.2.2:{port}")
        calls.admit_connection(f"ipv4:192.0.2.3:{port}")  # over HTTP: no call at all
    hosts = [peer.split(":")[1] for peer in refused]
    assert 80 <= hosts.count("192.0.2.1") <= 110
    assert 80 <= hosts.count("192.0.2.3") <= 110
    assert "192.0.2.2" not in hosts
    assert len([peer for peer in closed if "192.0.2.1:" in peer]) == hosts.count("192.0.2.1")


def test_calls_on_one_connection_without_end_count_as_refused() -> None:
    refused = list[str]()
    calls = KeylessCalls(lambda peer: None, ManualClock(), refused.append)
    for _ in range(700):
        calls.admit("ipv4:192.0.2.1:1")
    assert len(refused) >= 90
