"""How many calls run, how many streams are open and how many bytes they hold, and whose they are."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass

from service.calls.limits.shares import Shares
from service.errors import Reason, ServiceError
from service.metrics import Metrics

COPIES = 2  # of an answer in memory: its bytes, and the transport's copy of them
_ALWAYS_SENT_BYTES = 1 << 20
_RETRY_S = 0.5
_WORTH_GIVING_BACK = 32 << 20
_lease: contextvars.ContextVar[Lease] = contextvars.ContextVar("lease")
Path = tuple[str, ...]


@dataclass(frozen=True)
class DoorLimits:
    """calls, streams: open at a time. in_flight_bytes: of requests and answers, all together. message_bytes: of one
    message. message_s: for a call's first message to come whole; idle_s: for each further one of a stream; send_s: for
    an answer to be taken."""

    calls: int
    streams: int
    in_flight_bytes: int
    message_bytes: int
    message_s: float
    idle_s: float
    send_s: float


def current_lease() -> Lease:
    """What the call that is being handled holds."""
    return _lease.get()


class Door:
    """For one event loop. Refusals are ServiceError (OVERLOADED) with a delay, and are counted."""

    def __init__(self, limits: DoorLimits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.calls, self.streams = Shares(limits.calls), Shares(limits.streams)
        self.bytes = Shares(limits.in_flight_bytes)
        self._most_bytes = 0
        self._entered = False
        metrics.in_flight_bytes.set_function(lambda: self.bytes.used)

    def enter(self, path: Path, *, stream: bool) -> Lease:
        """A place for a call of this tenant, key and connection. Raises ServiceError (OVERLOADED)."""
        places, what = (self.streams, "streams") if stream else (self.calls, "calls")
        if not places.take(path):
            raise self.refusal(what, f"too many concurrent {what} of this server, tenant, key or connection")
        self._entered = True
        return Lease(self, places, path)

    def has_come_to_rest(self) -> bool:
        """Whether no call is inside, for the first time since one was."""
        if not self._entered or self.calls.used or self.streams.used:
            return False
        self._entered = False
        return True

    def noted(self) -> None:
        """Called whenever more bytes are held."""
        self._most_bytes = max(self._most_bytes, self.bytes.used)

    def much_was_freed(self) -> bool:
        """Whether far more bytes were held, since this was last True, than are now: the allocator keeps them."""
        if self._most_bytes - self.bytes.used < _WORTH_GIVING_BACK:
            return False
        self._most_bytes = self.bytes.used
        return True

    def refusal(self, what: str, message: str) -> ServiceError:
        """The error for a call that is refused; counts it."""
        self.metrics.calls_refused.labels(what).inc()
        return ServiceError(Reason.OVERLOADED, message, retry_delay_s=_RETRY_S)


class Lease:
    """What one call holds: its place, and bytes of its messages and its answer."""

    __slots__ = ("_door", "_held", "_path", "_places", "_reserved")

    def __init__(self, door: Door, places: Shares, path: Path) -> None:
        self._door, self._places, self._path = door, places, path
        self._held = self._reserved = 0
        _lease.set(self)

    def take(self, amount: int) -> None:
        """Holds so many bytes more. Raises ServiceError (OVERLOADED) where that is more than the caller's share."""
        if not self.try_take(amount):
            raise self.too_many_bytes()

    def try_take(self, amount: int) -> bool:
        """As `take`, but returns False."""
        if not self._door.bytes.take(self._path, amount):
            return False
        self._door.noted()
        self._held += amount
        return True

    def too_many_bytes(self) -> ServiceError:
        """The error for a message or an answer that there is no room for."""
        return self._door.refusal("bytes", "too many bytes of requests and responses are in flight")

    def reserve(self, amount: int) -> None:
        """Holds what the answer is thought to take, until `answer` says what it takes. Raises as `take` does."""
        self.take(COPIES * amount)
        self._reserved += COPIES * amount

    def answer(self, amount: int) -> None:
        """Holds the bytes of the answer, which is made. Raises ServiceError (OVERLOADED) for a large one that there is
        no room for; a small one, which may tell of what was done, is never refused."""
        if self._reserved:
            self.give(self._reserved)
            self._reserved = 0
        if amount > _ALWAYS_SENT_BYTES:
            self.take(COPIES * amount)
        else:
            self.add(COPIES * amount)

    def add(self, amount: int) -> None:
        """Holds so many bytes more in any case."""
        self._door.bytes.add(self._path, amount)
        self._door.noted()
        self._held += amount

    def give(self, amount: int) -> None:
        """Holds so many bytes less."""
        self._door.bytes.give(self._path, amount)
        self._held -= amount

    def close(self) -> None:
        """Gives back all that it holds."""
        if self._held:
            self.give(self._held)
        self._places.give(self._path)
