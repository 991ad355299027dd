"""A clock that never goes backwards, for expiry times that must not be prolonged by setting the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_COUNTS_ON = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # includes suspended time


def _elapsed_s() -> float:
    return time.clock_gettime(_COUNTS_ON)


class ForwardClock:
    """Seconds since 1970 by the machine's clock, but never backwards while the process runs.

    If the machine's clock is set back, this one continues from its last value. Thread-safe.
    """

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed_s) -> None:
        """`wall`: the machine's clock. `elapsed`: a monotonic clock in seconds."""
        self._wall, self._elapsed = wall, elapsed
        self._lock = threading.Lock()
        self._ahead = wall() - elapsed()

    def __call__(self) -> float:
        """The current time."""
        with self._lock:
            elapsed = self._elapsed()
            self._ahead = max(self._ahead, self._wall() - elapsed)
            return self._ahead + elapsed
