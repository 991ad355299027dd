"""Callers whose calls send no message."""

from __future__ import annotations

import asyncio

import pytest

from service.calls.limits import idle_calls
from service.calls.limits.idle_calls import IdleCalls
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The time, which passes for those who sleep alone."""
    made, sleep = ManualClock(), asyncio.sleep

    async def passed(seconds: float) -> None:
        made.advance(seconds)
        await sleep(0)

    monkeypatch.setattr("service.calls.limits.idle_calls.asyncio.sleep", passed)
    return made


async def test_calls_are_held_back_beyond_a_hundred_idle_ones_and_those_of_others_are_not(clock: ManualClock) -> None:
    calls = IdleCalls(clock)
    for _ in range(100):
        calls.note(1)
        assert await calls.wait(1)
    assert clock.elapsed == 1000.0
    for _ in range(10):
        calls.note(1)
    assert await calls.wait(2)
    assert clock.elapsed == 1000.0
    assert await calls.wait(1)
    assert clock.elapsed == pytest.approx(1000.5)


async def test_a_call_is_held_back_for_two_seconds_at_most_and_not_once_the_caller_has_stopped(
    clock: ManualClock,
) -> None:
    calls = IdleCalls(clock)
    for _ in range(1000):
        calls.note(1)
    assert await calls.wait(1)
    assert clock.elapsed == 1002.0
    clock.advance(50.0)
    assert await calls.wait(1)
    assert clock.elapsed == 1052.0


async def test_too_many_that_are_held_back_are_refused_and_a_cancelled_one_leaves_its_place() -> None:
    calls = IdleCalls()
    for _ in range(1000):
        calls.note(1)
    held = [asyncio.create_task(calls.wait(1)) for _ in range(200)]
    await asyncio.sleep(0)
    assert not await calls.wait(1)
    assert await calls.wait(2)
    held[0].cancel()
    await asyncio.wait([held[0]])
    more = asyncio.create_task(calls.wait(1))
    await asyncio.sleep(0)
    assert not more.done()
    for task in (*held, more):
        task.cancel()


async def test_callers_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_calls, "_MOST_CALLERS", 10)
    calls = IdleCalls()
    for caller in range(100):
        calls.note(caller)
    assert len(calls._callers) == 10
