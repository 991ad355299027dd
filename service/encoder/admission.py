"""The door before decoding and encoding: who may come in, who must come again later, and whose turn it is.

What is let in is bounded in pictures and bytes, and a tenant may fill only its share while others are inside, so that
nobody is kept out by one caller. A picture that cannot be done in time is refused at once, with a delay that follows
from the measured rate, instead of being decoded in vain. Those inside wait for one of a few places, tenants in turn,
searches first; so what is decoded never runs far ahead of the model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.encoder.fair_queue import FairQueue, Lane
from service.errors import Reason, ServiceError
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.runtime.deadline import remaining_s

_LEAST_DELAY_S = 0.05
_SMOOTHING = 0.1


@dataclass(frozen=True)
class AdmissionLimits:
    """max_pictures, max_bytes: inside at a time. search_wait_s: a search that would wait longer is refused. places:
    pictures that are decoded or encoded at a time."""

    max_pictures: int = 512
    max_bytes: int = 256 * 1024 * 1024
    search_wait_s: float = 0.25
    places: int = 16


@dataclass(frozen=True)
class Visit:
    """A picture that wants in: for whom, which lane, how many bytes."""

    tenant: str
    lane: Lane
    bytes_: int


class Admission:
    """For one event loop."""

    def __init__(self, limits: AdmissionLimits, clock: Clock = SYSTEM_CLOCK) -> None:
        self._limits, self._clock = limits, clock
        self._free = limits.places
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()
        self._pictures = self._bytes = 0
        self._by_tenant: Counter[str] = Counter()
        self._by_lane: Counter[Lane] = Counter()
        self._seconds_per_picture = 0.0
        self._last_done = 0.0

    @property
    def inside(self) -> int:
        """Pictures that were let in and are not done."""
        return self._pictures

    @property
    def seconds_per_picture(self) -> float:
        """Seconds from one finished picture to the next while more wait than can be done; 0 before that happened."""
        return self._seconds_per_picture

    @contextlib.asynccontextmanager
    async def visit(self, visit: Visit) -> AsyncIterator[None]:
        """Lets the picture in and waits for a place. Raises ServiceError (OVERLOADED, with a delay)."""
        self._check(visit)
        self._count(visit, 1)
        try:
            await self._place(visit)
            try:
                yield
            finally:
                self._leave_place()
        finally:
            self._count(visit, -1)

    def _check(self, visit: Visit) -> None:
        limits = self._limits
        others = self._pictures - self._by_tenant[visit.tenant]
        share = limits.max_pictures // 2 if others else limits.max_pictures
        if self._pictures >= limits.max_pictures or self._by_tenant[visit.tenant] >= share:
            raise self._refusal("the encoding queue is full", self._pictures)
        if self._pictures and self._bytes + visit.bytes_ > limits.max_bytes:
            raise self._refusal("the pictures in the encoding queue exceed max_queue_bytes", self._pictures)
        ahead = self._by_lane[Lane.SEARCH] if visit.lane is Lane.SEARCH else self._pictures
        wait = ahead * self._seconds_per_picture
        if visit.lane is Lane.SEARCH and wait > limits.search_wait_s:
            raise self._refusal(f"a search would wait {wait:.1f} s for the encoder", ahead)
        if wait > remaining_s():
            raise self._refusal(f"the picture would wait {wait:.1f} s, longer than the deadline of the call", ahead)

    def _refusal(self, message: str, ahead: int) -> ServiceError:
        delay = max(_LEAST_DELAY_S, ahead * self._seconds_per_picture)
        return ServiceError(Reason.OVERLOADED, message, retry_delay_s=delay)

    def _count(self, visit: Visit, sign: int) -> None:
        if self._pictures == 0:
            self._last_done = self._clock.elapsed_s()
        self._pictures += sign
        self._bytes += sign * visit.bytes_
        self._by_lane[visit.lane] += sign
        self._by_tenant[visit.tenant] += sign
        if not self._by_tenant[visit.tenant]:
            del self._by_tenant[visit.tenant]

    async def _place(self, visit: Visit) -> None:
        if self._free and not len(self._queue):
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(turn, visit.lane, visit.tenant)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the place had been given and nobody takes it
            raise

    def _leave_place(self) -> None:
        now = self._clock.elapsed_s()
        took, self._last_done = now - self._last_done, now
        if len(self._queue):  # only when all places are taken does the time between two say how fast it goes
            weight = _SMOOTHING if self._seconds_per_picture else 1.0
            self._seconds_per_picture += weight * (took - self._seconds_per_picture)
        self._pass_on()

    def _pass_on(self) -> None:
        while (turn := self._queue.take()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
