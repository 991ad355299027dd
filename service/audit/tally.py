"""Groups frequent events into one entry per interval: written records and, if the tenant wants it, reads.

All that a key does to a collection in the same way within an interval is one act. Its intent is durable before the
first record is written, and its outcome contains the counts. After a kill the intent shows that there was something,
but the counts are unknown.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import dataclass, field

from index import AfterimageIndexError
from service.audit.acts import OpenAct
from service.audit.chain import Details
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.tenancy.keyring import Principal

_LOG = logging.getLogger(__name__)
WRITES_EVERY_S = 300.0
_MAX_OPEN = 1000  # over all tenants; above it intervals end early
_Key = tuple[str, str, str, tuple[tuple[str, str | int | bool], ...]]
_tallies: contextvars.ContextVar[Tallies] = contextvars.ContextVar("tallies")


@dataclass
class _Tally:
    """One interval. `begun`: its intent, once it is durable."""

    ends: float
    counts: dict[str, int] = field(default_factory=dict)
    begun: asyncio.Future[OpenAct] | None = None


class Tallies:
    """Counts events, for one event loop."""

    def __init__(self, logs: AuditLogs, recorder: Recorder, clock: Clock = SYSTEM_CLOCK) -> None:
        self._logs, self._recorder, self._clock = logs, recorder, clock
        self._open: dict[_Key, _Tally] = {}

    async def begin(self, caller: Principal, action: str, subject: Details, every_s: float = WRITES_EVERY_S) -> None:
        """Returns when the intent of the interval is durable. Raises StoreUnavailable if that fails."""
        tally = self._of(caller, action, subject, every_s)
        try:
            await asyncio.shield(self._begun(caller, action, subject, tally))
        except AfterimageIndexError:
            tally.begun = None  # the next one tries again
            raise

    def add(
        self, caller: Principal, action: str, subject: Details, every_s: float = WRITES_EVERY_S, **counts: int
    ) -> None:
        """Counts events without waiting. If `begin` was not called, the intent is written afterwards."""
        tally = self._of(caller, action, subject, every_s)
        for name, count in counts.items():
            tally.counts[name] = tally.counts.get(name, 0) + count
        self._begun(caller, action, subject, tally)

    async def settle(self, *, all_of_them: bool = False) -> None:
        """Ends intervals that are over. Call it every few seconds, and with `all_of_them` at the end."""
        now = self._clock.elapsed_s()
        for key, tally in list(self._open.items()):
            if all_of_them or now >= tally.ends or len(self._open) > _MAX_OPEN:
                await self._end(key, tally)

    async def _end(self, key: _Key, tally: _Tally) -> None:
        uid, _, _, subject = key
        if tally.begun is None or not self._open.pop(key, None):
            return
        try:
            begun = await asyncio.shield(tally.begun)
            log = await asyncio.to_thread(self._logs.of, uid)
            await asyncio.to_thread(log.end, begun, {**dict(subject), **tally.counts})
        except AfterimageIndexError as error:  # added in the next interval
            _LOG.warning("could not write an audit interval; retrying: %s", error)
            self._open.setdefault(key, tally)

    def _of(self, caller: Principal, action: str, subject: Details, every_s: float) -> _Tally:
        key = (caller.tenant_uid, caller.actor, action, tuple(sorted(subject.items())))
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = _Tally(self._clock.elapsed_s() + every_s)
        return found

    def _begun(self, caller: Principal, action: str, subject: Details, tally: _Tally) -> asyncio.Future[OpenAct]:
        failed = tally.begun is not None and tally.begun.done() and tally.begun.exception() is not None
        if tally.begun is None or failed:
            work = asyncio.to_thread(self._intend, caller, action, subject)
            tally.begun = asyncio.ensure_future(work)
            tally.begun.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # marks the exception as retrieved
        return tally.begun

    def _intend(self, caller: Principal, action: str, subject: Details) -> OpenAct:
        self._recorder.resolve_open_acts(caller.tenant_uid)
        return self._logs.of(caller.tenant_uid).begin(caller.actor, action, subject, self._recorder.owner)


def set_tallies(tallies: Tallies) -> None:
    """Sets the tallies of the current call."""
    _tallies.set(tallies)


def current_tallies() -> Tallies:
    """The tallies of the current call."""
    return _tallies.get()
