"""The retry policy of the service: when work that failed is tried again, and when it is given up.

The pauses grow, and are random below their bound, so that many callers do not return at the same moment. None is
shorter than the delay that the error itself asks for. What a failure means, and what a try is, the caller knows.

Not retried here: commands to Redis, whose outcome may be unknown (`service.coordination.client`), requests of the
object store, which its library repeats, and periodic work, which its next round repeats anyway.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from service.errors import Code, Reason, ServiceError

_LARGEST_EXPONENT = 64  # beyond any `longest_s`, and within the range of floats


@dataclass(frozen=True)
class RetryPolicy:
    """How work is tried again.

    - `retried`: the codes and reasons of errors that may pass. An exception that is no ServiceError never does.
    - `first_s`: bound of the pause after one failure, in seconds. Each further one is `factor` times as long.
    - `longest_s`: the longest pause, also where an error asks for a longer one.
    - `tries`: tries in all, the first among them; None: no limit.
    - `spread`: whether a pause is random between zero and its bound. Else it is the bound.
    """

    retried: Collection[Code | Reason]
    first_s: float
    longest_s: float
    factor: float = 2.0
    tries: int | None = None
    spread: bool = True

    def may_pass(self, error: BaseException) -> bool:
        """Whether the same work may succeed later, however often it was tried."""
        if not isinstance(error, ServiceError):
            return False
        return error.reason in self.retried or error.reason.code in self.retried

    def pause_s(self, error: BaseException, failures: int) -> float | None:
        """Seconds to wait before the next try; None: give up.

        `failures`: how many failures count, this one included. 0 where the caller does not count this one.
        """
        if not self.may_pass(error) or (self.tries is not None and failures >= self.tries):
            return None
        bound = min(self.longest_s, self.first_s * self.factor ** min(failures - 1, _LARGEST_EXPONENT))
        pause = random.uniform(0.0, bound) if self.spread else bound  # noqa: S311 - spreads load
        return min(self.longest_s, max(pause, getattr(error, "retry_delay_s", None) or 0.0))
