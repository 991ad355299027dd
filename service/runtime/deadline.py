"""How long the call that is being handled may still take. Set once per call, read by whoever queues work for it."""

from __future__ import annotations

import contextvars
import math
import time

_ends_at: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)


def set_deadline(seconds: float | None) -> None:
    """The call that runs in this context ends in so many seconds; None: it may last."""
    _ends_at.set(math.inf if seconds is None else time.monotonic() + seconds)


def remaining_s() -> float:
    """Seconds that are left; infinite where the call may last."""
    return _ends_at.get() - time.monotonic()
