"""Calls after one delay: made in order, once, and never after they were cancelled."""

from __future__ import annotations

import asyncio
import random

import pytest

from service.calls.limits.delays import Delayed, Delays


class Timers:
    """A loop's clock and timers, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.timers = 0.0, list[tuple[float, object]]()
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: object) -> object:
        self.timers.append((when, call))
        return call

    def move_to(self, moment: float) -> None:
        while self.timers and self.timers[0][0] <= moment:
            self.now, call = self.timers.pop(0)
            call()  # type: ignore[operator]
        self.now = moment


def test_what_is_not_cancelled_is_made_once_at_its_time_with_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(1)
    for _ in range(50):
        check(Timers(monkeypatch), drawn)


def check(timers: Timers, drawn: random.Random) -> None:
    delays, made = Delays(2.0), list[tuple[int, float]]()
    held, expected = dict[int, Delayed](), dict[int, float]()
    for number in range(100):
        timers.move_to(timers.now + drawn.choice((0.0, 0.1, 0.7, 3.0)))
        held[number] = delays.add(lambda number=number: made.append((number, timers.now)))  # type: ignore[misc]
        expected[number] = timers.now + 2.0
        if drawn.random() < 0.8:
            some = drawn.choice(list(held))
            held[some].cancel()
            if (some, expected.get(some)) not in made:
                expected.pop(some, None)
        assert len(timers.timers) <= 1
    timers.move_to(timers.now + 10)
    assert made == list(expected.items())
    assert not timers.timers


def test_a_call_that_fails_keeps_none_of_the_others_from_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, made = Timers(monkeypatch), list[int]()
    delays = Delays(1.0)

    def fails() -> None:
        raise LookupError

    delays.add(fails)
    timers.move_to(0.5)
    delays.add(lambda: made.append(1))
    with pytest.raises(LookupError):
        timers.move_to(1.0)
    timers.move_to(1.5)
    assert made == [1]


def test_what_is_cancelled_is_held_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(monkeypatch)
    delays = Delays(30.0)
    for _ in range(1000):
        delays.add(lambda: None).cancel()
    assert len(delays._waiting) == 1
    assert len(timers.timers) == 1
