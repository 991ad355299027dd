"""The clock of the service. No other module reads the time of the machine (a test compares).

Whatever decides by the time gets a `Clock` when it is made, so that a test can set it. `now_ms` stamps what is stored.
`Stopwatch` measures durations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

_COUNTS_ON = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # includes suspended time


class Clock(Protocol):
    """The time of day, which may be set, and the elapsed time, which may not. Thread-safe."""

    def now_s(self) -> float:
        """Seconds since 1970, UTC. May jump either way when somebody sets the machine's clock."""

    def elapsed_s(self) -> float:
        """Seconds since an arbitrary moment. Never goes back. The clock of asyncio's timeouts."""


class SystemClock:
    """The clock of this machine."""

    def now_s(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def elapsed_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


SYSTEM_CLOCK: Final = SystemClock()


def now_ms(clock: Clock = SYSTEM_CLOCK) -> int:
    """Milliseconds since 1970, UTC, for what is stored."""
    return int(clock.now_s() * 1000)


class Stopwatch:
    """Measures a duration from its construction, by the most precise clock."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def restart(self) -> None:
        """Starts from zero again."""
        self._started = time.perf_counter()


class Interval:
    """Says when something periodic is due. The first time is at once with `at_once`, else after the interval."""

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK, *, at_once: bool = False) -> None:
        self._seconds, self._clock = seconds, clock
        self._next = clock.elapsed_s() + (0.0 if at_once else seconds)

    @property
    def is_over(self) -> bool:
        """Whether it is due."""
        return self._clock.elapsed_s() >= self._next

    def restart(self) -> None:
        """Begins the next interval now."""
        self._next = self._clock.elapsed_s() + self._seconds

    def restart_if_over(self) -> bool:
        """Whether it is due; then begins the next interval."""
        due = self.is_over
        if due:
            self.restart()
        return due


def _elapsed_s() -> float:
    return time.clock_gettime(_COUNTS_ON)


class ForwardClock:
    """The time of day, but never backwards while the process runs, for expiry times.

    Setting the machine's clock back prolongs nothing: this clock continues from its last value. Thread-safe.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, counted: Callable[[], float] = _elapsed_s) -> None:
        """`counted`: seconds that pass even while the machine is suspended, unlike those of `elapsed_s`."""
        self._clock, self._counted = clock, counted
        self._lock = threading.Lock()
        self._ahead = clock.now_s() - counted()

    def now_s(self) -> float:
        """Seconds since 1970, UTC."""
        with self._lock:
            counted = self._counted()
            self._ahead = max(self._ahead, self._clock.now_s() - counted)
            return self._ahead + counted

    def elapsed_s(self) -> float:
        """Seconds of the monotonic clock."""
        return self._clock.elapsed_s()
