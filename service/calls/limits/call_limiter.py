"""Limits on running calls, open streams and their bytes, shared fairly among callers."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from dataclasses import dataclass

from service.calls.limits.delays import Delays
from service.calls.limits.shares import Shares
from service.errors import Reason, ServiceError
from service.metrics import Metrics

COPIES = 2  # of an answer in memory: its bytes, and the transport's copy of them
_ALWAYS_SENT_BYTES = 1 << 20
_RETRY_S = 0.5
_MIN_RELEASED_BYTES = 32 << 20
_lease: contextvars.ContextVar[Lease] = contextvars.ContextVar("lease")
OwnerPath = tuple[str, ...]


@dataclass(frozen=True)
class CallLimits:
    """Limits of a server.

    - `calls`, `streams`: maximum number of running calls and open streams.
    - `in_flight_bytes`: maximum size of all requests and responses together.
    - `message_bytes`: maximum size of one message.
    - `message_s`: seconds in which the first message of a call must be complete.
    - `idle_s`: seconds in which each further message of a stream must be complete.
    - `send_s`: seconds in which the peer must take a response.
    """

    calls: int
    streams: int
    in_flight_bytes: int
    message_bytes: int
    message_s: float
    idle_s: float
    send_s: float


def current_lease() -> Lease:
    """Returns the lease of the current call."""
    return _lease.get()


class CallLimiter:
    """Admits calls. For one event loop. Refusals are ServiceError (OVERLOADED) with a delay, and are counted."""

    def __init__(self, limits: CallLimits, metrics: Metrics) -> None:
        """sends: what ends calls whose peer does not take the response in time."""
        self.limits, self.metrics, self.sends = limits, metrics, Delays(limits.send_s)
        self.calls, self.streams = Shares(limits.calls), Shares(limits.streams)
        self.bytes = Shares(limits.in_flight_bytes)
        self._most_bytes = 0
        self._entered = False
        metrics.in_flight_bytes.set_function(lambda: self.bytes.used)

    def enter(self, path: OwnerPath, *, stream: bool) -> Lease:
        """Takes a place for a call of this tenant, key and connection. Raises ServiceError (OVERLOADED)."""
        places, what = (self.streams, "streams") if stream else (self.calls, "calls")
        if not places.take(path):
            raise self.refusal(what, f"too many concurrent {what} of this server, tenant, key or connection")
        self._entered = True
        return Lease(self, places, path)

    def became_idle(self) -> bool:
        """Returns True once after the last running call has ended."""
        if not self._entered or self.calls.used or self.streams.used:
            return False
        self._entered = False
        return True

    def update_peak(self) -> None:
        """Updates the peak of held bytes."""
        self._most_bytes = max(self._most_bytes, self.bytes.used)

    def peak_was_released(self) -> bool:
        """Returns True once after far more bytes were held than now, so that the allocator should return them."""
        if self._most_bytes - self.bytes.used < _MIN_RELEASED_BYTES:
            return False
        self._most_bytes = self.bytes.used
        return True

    def refusal(self, what: str, message: str) -> ServiceError:
        """Counts a refusal and returns its error."""
        self.metrics.calls_refused.labels(what).inc()
        return ServiceError(Reason.OVERLOADED, message, retry_delay_s=_RETRY_S)


class Lease:
    """What one call holds: its place, and the bytes of its messages and its response."""

    __slots__ = ("_held", "_limiter", "_path", "_places", "_reserved")

    def __init__(self, limiter: CallLimiter, places: Shares, path: OwnerPath) -> None:
        self._limiter, self._places, self._path = limiter, places, path
        self._held = self._reserved = 0
        _lease.set(self)

    def take(self, amount: int) -> None:
        """Holds `amount` more bytes. Raises ServiceError (OVERLOADED) beyond the caller's share."""
        if not self.try_take(amount):
            raise self.too_many_bytes()

    def try_take(self, amount: int) -> bool:
        """Holds `amount` more bytes. Returns False beyond the caller's share."""
        if not self._limiter.bytes.take(self._path, amount):
            return False
        self._limiter.update_peak()
        self._held += amount
        return True

    def take_beyond(self, amount: int) -> Callable[[], None]:
        """Holds `amount` more bytes until the returned function is called, also after this call has ended. Raises
        ServiceError (OVERLOADED) beyond the caller's share."""
        if not self._limiter.bytes.take(self._path, amount):
            raise self.too_many_bytes()
        self._limiter.update_peak()
        return functools.partial(self._limiter.bytes.give, self._path, amount)

    def too_many_bytes(self) -> ServiceError:
        """Returns the error for a message or a response that does not fit."""
        return self._limiter.refusal("bytes", "too many bytes of requests and responses are in flight")

    def reserve(self, amount: int) -> None:
        """Holds the estimated size of the response until `answer` gets its size. Raises ServiceError (OVERLOADED)."""
        self.take(COPIES * amount)
        self._reserved += COPIES * amount

    def answer(self, amount: int) -> None:
        """Holds the size of the finished response.

        Raises ServiceError (OVERLOADED) if a large one does not fit. A small one is never refused: it may report a
        change.
        """
        if self._reserved:
            self.give(self._reserved)
            self._reserved = 0
        if amount > _ALWAYS_SENT_BYTES:
            self.take(COPIES * amount)
        else:
            self.add(COPIES * amount)

    def add(self, amount: int) -> None:
        """Holds more bytes, without a limit."""
        self._limiter.bytes.add(self._path, amount)
        self._limiter.update_peak()
        self._held += amount

    def give(self, amount: int) -> None:
        """Releases bytes."""
        self._limiter.bytes.give(self._path, amount)
        self._held -= amount

    def close(self) -> None:
        """Releases everything."""
        if self._held:
            self.give(self._held)
        self._places.give(self._path)
