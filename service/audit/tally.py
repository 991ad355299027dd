"""What happens too often for an entry each: records that are written, and, where a tenant wants it, reads.

All that one key does to one collection in the same way within an interval is one act: its intent is on the disk before
the first record of the interval is written, its outcome says how much it was. After a kill the intent tells that there
was something; how much is unknown then.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from dataclasses import dataclass, field

from index import AfterimageIndexError
from service.audit.chain import Details
from service.audit.log import OpenAct
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.tenancy.keyring import Principal

_LOG = logging.getLogger(__name__)
WRITES_EVERY_S = 300.0
_MOST_OPEN = 1000  # of all tenants; beyond, intervals end early
_Key = tuple[str, str, str, tuple[tuple[str, str | int | bool], ...]]
_tallies: contextvars.ContextVar[Tallies] = contextvars.ContextVar("tallies")


@dataclass
class _Tally:
    """An interval. begun: its intent, once it is on the disk."""

    ends: float
    counts: dict[str, int] = field(default_factory=dict)
    begun: asyncio.Future[OpenAct] | None = None


class Tallies:
    """For one event loop."""

    def __init__(self, logs: AuditLogs, recorder: Recorder) -> None:
        self._logs, self._recorder = logs, recorder
        self._open: dict[_Key, _Tally] = {}

    async def begin(self, caller: Principal, action: str, subject: Details, every_s: float = WRITES_EVERY_S) -> None:
        """Returns once the intent of the interval is on the disk. Raises StoreUnavailable where that cannot be."""
        tally = self._of(caller, action, subject, every_s)
        try:
            await asyncio.shield(self._begun(caller, action, subject, tally))
        except AfterimageIndexError:
            tally.begun = None  # the next one tries again
            raise

    def add(
        self, caller: Principal, action: str, subject: Details, every_s: float = WRITES_EVERY_S, **counts: int
    ) -> None:
        """Counts what was done; never waits. Where `begin` was not waited for the intent follows."""
        tally = self._of(caller, action, subject, every_s)
        for name, count in counts.items():
            tally.counts[name] = tally.counts.get(name, 0) + count
        self._begun(caller, action, subject, tally)

    async def settle(self, *, all_of_them: bool = False) -> None:
        """Ends the intervals that are over. To be called every few seconds, and for all at the end."""
        now = time.monotonic()
        for key, tally in list(self._open.items()):
            if all_of_them or now >= tally.ends or len(self._open) > _MOST_OPEN:
                await self._end(key, tally)

    async def _end(self, key: _Key, tally: _Tally) -> None:
        uid, _, _, subject = key
        if tally.begun is None or not self._open.pop(key, None):
            return
        try:
            begun = await asyncio.shield(tally.begun)
            log = await asyncio.to_thread(self._logs.of, uid)
            await asyncio.to_thread(log.end, begun, {**dict(subject), **tally.counts})
        except AfterimageIndexError as error:  # told in the next interval
            _LOG.warning("could not write an audit interval; retrying: %s", error)
            self._open.setdefault(key, tally)

    def _of(self, caller: Principal, action: str, subject: Details, every_s: float) -> _Tally:
        key = (caller.tenant_uid, caller.actor, action, tuple(sorted(subject.items())))
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = _Tally(time.monotonic() + every_s)
        return found

    def _begun(self, caller: Principal, action: str, subject: Details, tally: _Tally) -> asyncio.Future[OpenAct]:
        failed = tally.begun is not None and tally.begun.done() and tally.begun.exception() is not None
        if tally.begun is None or failed:
            work = asyncio.to_thread(self._intend, caller, action, subject)
            tally.begun = asyncio.ensure_future(work)
            tally.begun.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at, at least
        return tally.begun

    def _intend(self, caller: Principal, action: str, subject: Details) -> OpenAct:
        self._recorder.look_back(caller.tenant_uid)
        return self._logs.of(caller.tenant_uid).begin(caller.actor, action, subject, self._recorder.owner)


def set_tallies(tallies: Tallies) -> None:
    """For the call that is being handled."""
    _tallies.set(tallies)


def current_tallies() -> Tallies:
    """Where the call that is being handled is counted."""
    return _tallies.get()
