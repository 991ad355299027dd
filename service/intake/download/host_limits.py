"""Per-host rate limit, concurrency limit and circuit breaker for downloads.

Requests to a host also stop while it asks for a pause. The state is kept per host name, in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.errors import Reason, ServiceError
from service.runtime.clock import SYSTEM_CLOCK, Clock

_MAX_HOSTS = 10_000
_MAX_PAUSE_S = 600.0


@dataclass(frozen=True)
class HostLimits:
    """Limits for one host.

    - `at_once`: concurrent requests.
    - `per_second`: requests per second.
    - `failures`: consecutive failures after which requests stop for `pause_s` seconds.
    - `patience_s`: maximum seconds that a request waits for its turn.
    """

    at_once: int = 4
    per_second: float = 10.0
    failures: int = 20
    pause_s: float = 300.0
    patience_s: float = 10.0


@dataclass
class _Host:
    slots: asyncio.Semaphore
    next_at: float = 0.0
    paused_until: float = 0.0
    failures: int = 0
    users: int = 0


class Hosts:
    """The state of all hosts. Belongs to one event loop."""

    def __init__(self, limits: HostLimits, clock: Clock = SYSTEM_CLOCK) -> None:
        self._limits, self._clock = limits, clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Waits until the host may be asked. Raises ServiceError (HOST_BUSY, with a delay)."""
        host = self._host(name)
        host.users += 1
        try:
            await self._wait(host)
            try:
                yield
            finally:
                host.slots.release()
        finally:
            host.users -= 1

    def succeeded(self, name: str) -> None:
        """Records a valid answer of the host."""
        self._host(name).failures = 0

    def failed(self, name: str) -> None:
        """Records that the host did not answer, or answered with an error of its own."""
        host = self._host(name)
        host.failures += 1
        if host.failures >= self._limits.failures:
            host.failures = 0
            self.pause(name, self._limits.pause_s)

    def pause(self, name: str, seconds: float) -> None:
        """Stops requests to this host for some seconds, at most ten minutes."""
        host = self._host(name)
        host.paused_until = max(host.paused_until, self._clock.elapsed_s() + min(seconds, _MAX_PAUSE_S))

    async def _wait(self, host: _Host) -> None:
        self._check_pause(host)
        now = self._clock.elapsed_s()
        start = max(now, host.next_at)
        if start - now > self._limits.patience_s:
            raise _busy(start - now)
        host.next_at = start + 1 / self._limits.per_second
        try:
            async with asyncio.timeout(self._limits.patience_s):
                await asyncio.sleep(start - now)
                await host.slots.acquire()
        except TimeoutError:
            raise _busy(self._limits.patience_s) from None
        try:
            self._check_pause(host)
        except ServiceError:
            host.slots.release()
            raise

    def _check_pause(self, host: _Host) -> None:
        left = host.paused_until - self._clock.elapsed_s()
        if left > 0:
            raise _busy(left)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(asyncio.Semaphore(self._limits.at_once))
            self._forget_idle()
        self._hosts.move_to_end(name)
        return host

    def _forget_idle(self) -> None:
        now = self._clock.elapsed_s()
        for name in list(self._hosts)[: max(0, len(self._hosts) - _MAX_HOSTS)]:
            host = self._hosts[name]
            if not host.users and host.paused_until < now:
                del self._hosts[name]


def _busy(seconds: float) -> ServiceError:
    message = "too many requests to the host of the URL, or it asked for a pause, or it failed too often"
    return ServiceError(Reason.HOST_BUSY, message, field="url", retry_delay_s=max(0.1, seconds))
