"""The deadline of the current call. It is set once per call, and read where work is queued."""

from __future__ import annotations

import contextvars
import math

from service.runtime.clock import SYSTEM_CLOCK

_ends_at: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)


def set_deadline(seconds: float | None) -> None:
    """Sets the deadline of the current context to `seconds` from now; None: no deadline."""
    _ends_at.set(math.inf if seconds is None else SYSTEM_CLOCK.elapsed_s() + seconds)


def remaining_s() -> float:
    """The remaining seconds; infinite without a deadline."""
    return _ends_at.get() - SYSTEM_CLOCK.elapsed_s()
