"""Calls without a key, and the connections that make too many."""

from __future__ import annotations

import pytest

from service.calls.limits import keyless
from service.calls.limits.keyless import KeylessCalls
from tests.support.manual_clock import ManualClock

BURST = 600  # of an address, beyond what each of its connections may ask


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def peer(port: int, host: str = "192.0.2.1") -> str:
    return f"ipv4:{host}:{port}"


def test_a_connection_that_makes_too_many_calls_is_closed_and_new_ones_are_answered(clock: ManualClock) -> None:
    closed: list[str] = []
    calls = KeylessCalls(closed.append, clock)
    answered = [calls.admit(peer(1)) for _ in range(BURST + 10)]
    assert answered == [True] * answered.index(False) + [False] * (len(answered) - answered.index(False))
    assert BURST <= answered.index(False) <= BURST + 4
    assert set(closed) == {peer(1)}
    # Whoever only asks now and then is answered, whatever others of the same address do.
    for port in range(2, 50):
        assert calls.admit(peer(port))
        assert calls.admit(peer(port))
    assert calls.admit(peer(99, "192.0.2.2"))
    assert set(closed) == {peer(1)}


def test_a_connection_that_asks_once_a_second_is_always_answered(clock: ManualClock) -> None:
    closed: list[str] = []
    calls = KeylessCalls(closed.append, clock)
    for _ in range(BURST + 10):
        calls.admit(peer(1))
    for _ in range(100):
        assert calls.admit(peer(2))
        clock.advance(1.0)
        while calls.admit(peer(1)):
            pass  # the address stays at its limit
    assert set(closed) == {peer(1)}


def test_a_connection_that_shows_a_key_is_not_closed_for_a_minute(clock: ManualClock) -> None:
    closed: list[str] = []
    calls = KeylessCalls(closed.append, clock)
    calls.note_valid_key(peer(1))
    answered = [calls.admit(peer(1)) for _ in range(BURST + 10)]
    assert not answered[-1]
    assert not closed
    clock.advance(61.0)
    while calls.admit(peer(1)):
        pass
    assert closed == [peer(1)]


def test_connections_are_forgotten_in_time(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyless, "_MOST_CONNECTIONS", 10)
    calls = KeylessCalls(lambda _: None, clock)
    for port in range(100):
        calls.note_valid_key(peer(port))
    assert len(calls._connections) == 10
