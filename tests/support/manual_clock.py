"""A `Clock` of the service that stands still until a test moves it."""

from __future__ import annotations


class ManualClock:
    """`now`: seconds since 1970. `elapsed`: seconds of the monotonic clock. A test sets either."""

    def __init__(self, now: float = 1_790_000_000.0, elapsed: float = 1000.0) -> None:
        self.now, self.elapsed = now, elapsed

    def now_s(self) -> float:
        return self.now

    def elapsed_s(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        """Lets time pass, on both clocks."""
        self.now += seconds
        self.elapsed += seconds
