"""Failed authentications by address."""

from __future__ import annotations

import pytest

from service.calls.limits import failures
from service.calls.limits.failures import AuthenticationFailures, address_of
from tests.support.manual_clock import ManualClock


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4711", "2001:db8:1:2::"),
        ("ipv6:[2001:db8:1:2::9]:1", "2001:db8:1:2::"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::"),
        ("unix:", "unix"),
        ("unix:/run/a.sock", "unix"),
    ],
)
def test_the_address_of_a_peer_is_found_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_an_address_waits_once_it_has_failed_too_often_and_others_do_not() -> None:
    clock = ManualClock()
    noted = AuthenticationFailures(2.0, clock)
    waits = [noted.note(f"ipv4:192.0.2.1:{port}") for port in range(70)]
    assert waits[:60] == [0.0] * 60
    assert all(w > 0 for w in waits[61:])
    assert noted.note("ipv4:192.0.2.2:1") == 0.0
    clock.advance(waits[-1] + 0.01)
    assert noted.note("ipv4:192.0.2.1:1") == 0.0


def test_without_a_limit_none_waits_and_addresses_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {AuthenticationFailures(0).note("ipv4:192.0.2.1:1") for _ in range(1000)} == {0.0}
    monkeypatch.setattr(failures, "_MOST_ADDRESSES", 10)
    noted = AuthenticationFailures(1.0)
    for n in range(100):
        noted.note(f"ipv4:192.0.2.{n}:1")
    assert len(noted._due) == 10


def test_an_address_waits_exactly_until_less_than_thirty_seconds_of_failures_are_due() -> None:
    clock = ManualClock()
    noted = AuthenticationFailures(4.0, clock)
    assert [noted.note("ipv4:192.0.2.1:1") for _ in range(121)] == [0.0] * 121
    assert [noted.note("ipv4:192.0.2.1:1") for _ in range(3)] == [0.25] * 3  # a refusal counts no further failure
    clock.advance(0.25)
    assert [noted.note("ipv4:192.0.2.1:1") for _ in range(2)] == [0.0, 0.25]
    clock.advance(1000.0)
    assert [noted.note("ipv4:192.0.2.1:1") for _ in range(122)] == [0.0] * 121 + [0.25]


def test_the_addresses_that_failed_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_MOST_ADDRESSES", 2)
    noted = AuthenticationFailures(1.0)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        noted.note(f"ipv4:{host}:1")
    assert list(noted._due) == ["192.0.2.1", "192.0.2.3"]


def test_what_is_no_address_is_its_own_name() -> None:
    assert address_of("ipv4:nonsense:1") == "nonsense:1"
    assert address_of("ipv6:[zzz]:1") == "[zzz]:1"


def test_of_an_ipv6_address_the_first_64_bits_count() -> None:
    for network in ("2001:db8:0:1", "2001:db8:0:2", "2001:db8:0:3", "2001:db8:8000:ffff"):
        assert address_of(f"ipv6:[{network}:ffff::1]:1") == f"{network}::"
        assert address_of(f"ipv6:[{network}:7fff::1]:1") == f"{network}::"


def test_without_a_limit_no_address_is_remembered() -> None:
    noted = AuthenticationFailures(0)
    for n in range(40):
        noted.note(f"ipv4:192.0.2.{n % 3}:1")
    assert not noted._due
