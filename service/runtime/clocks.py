"""Clocks for what must not live longer because somebody set the machine's clock back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_COUNTS_ON = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # also while the machine sleeps


def _elapsed_s() -> float:
    return time.clock_gettime(_COUNTS_ON)


class ForwardClock:
    """Seconds since 1970, as the machine's clock says, except that it never goes back while the process lives: where
    that clock is set back, this one goes on from where it was. Any number of threads may ask at once."""

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed_s) -> None:
        """`wall`: the machine's clock; `elapsed`: seconds that nobody can set."""
        self._wall, self._elapsed = wall, elapsed
        self._lock = threading.Lock()
        self._ahead = wall() - elapsed()

    def __call__(self) -> float:
        """Now."""
        with self._lock:
            elapsed = self._elapsed()
            self._ahead = max(self._ahead, self._wall() - elapsed)
            return self._ahead + elapsed
