"""Retries of calls: only if that is safe, with full jitter, and never past the deadline."""

from __future__ import annotations

import random
from dataclasses import dataclass

from afterimage.client.errors import Aborted, AfterimageError, ResourceExhausted, Unavailable


@dataclass(frozen=True)
class RetryPolicy:
    """How often and when to retry.

    - attempts: number of attempts in all (1: no retry).
    - base_s, most_s: waits are random up to base_s * 2^n, at most most_s.
    - longest_s: the maximum delay of the server that is respected; with a longer one the call fails at once.
    """

    attempts: int = 5
    base_s: float = 0.1
    most_s: float = 5.0
    longest_s: float = 60.0

    def delay_s(self, error: AfterimageError, attempt: int, *, retry_safe: bool) -> float | None:
        """Returns the seconds to wait before attempt `attempt` + 1 (the first is 1); None: give up."""
        if attempt >= self.attempts or not retry_safe:
            return None
        overloaded = isinstance(error, ResourceExhausted) and error.retry_delay_s is not None
        if not (overloaded or isinstance(error, (Unavailable, Aborted))):
            return None
        if (error.retry_delay_s or 0.0) > self.longest_s:
            return None
        jitter = random.uniform(0, min(self.most_s, self.base_s * 2**attempt))  # noqa: S311
        return max(jitter, error.retry_delay_s or 0.0)
