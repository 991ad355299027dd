"""Reconciles the run board with the ledgers: starts due runs, requeues lost ones, removes expired data."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from index import AfterimageIndexError
from service.coordination.run_board import BoardAway, RunRef
from service.errors import Reason, ServiceError
from service.runtime.background import end_task
from service.runtime.clock import Interval, now_ms
from service.sync.ledger import Ledger
from service.sync.model import Run, RunState
from service.sync.runs.lease import SyncParts
from service.sync.runs.lease_runner import LeaseRunner
from service.sync.runs.run import staging_path
from service.sync.runs.staging import remove
from service.sync.schedule import LEAST_DISTANCE_S, next_due_ms
from service.sync.source_model import Source
from service.sync.synchronisation import APPROVAL_MS, Synchronisation, WantedRun, cancelled

Remember = Callable[[str, Run], Awaitable[None]]
_LOG = structlog.get_logger(__name__)
_DUE_EVERY_S = 1.0
_COMPARE_EVERY_S = 5.0
_PURGE_EVERY_S = 3600.0
_MOST_SOURCES = 1000  # in the metrics


class Keeper:
    """A periodic task for one event loop."""

    def __init__(
        self, parts: SyncParts, synchronisation: Synchronisation, lease_runner: LeaseRunner, remember: Remember
    ) -> None:
        """`remember` adds the end of a tenant's run to the audit log."""
        self._remember = remember
        self._parts, self._synchronisation, self._lease_runner = parts, synchronisation, lease_runner
        self._loop: asyncio.Task[None] | None = None
        self._begun: dict[str, float] = {}
        self._shown: set[str] = set()
        self._unusable: dict[str, str] = {}  # why, by tenant uid
        self._clock, self._metrics, self._spaces = parts.clock, parts.metrics, parts.engine.spaces
        self._comparing = Interval(_COMPARE_EVERY_S, self._clock, at_once=True)
        self._purging = Interval(_PURGE_EVERY_S, self._clock, at_once=True)

    def start(self) -> None:
        """Starts the periodic task."""
        self._loop = asyncio.create_task(self._keep(), name="sync keeper")

    async def stop(self) -> None:
        """Stops the periodic task."""
        if self._loop is not None:
            await end_task(self._loop)

    async def _keep(self) -> None:
        names_left = True
        while True:
            try:
                if names_left:
                    await self._parts.board.forget_names(await asyncio.to_thread(self._parts.ledgers.uids))
                    names_left = False
                await self.look()
            except BoardAway:
                pass  # the worker logs it
            except Exception as error:  # the loop must continue; the cause is in the log
                _LOG.error("sync housekeeping failed", exc_info=error)
            await asyncio.sleep(_DUE_EVERY_S)

    async def look(self) -> None:
        """Does everything that is due now. Raises BoardAway."""
        await self._lease_runner.release_leases()
        await self._parts.board.reap()
        for name in await self._parts.board.due(now_ms(self._clock)):
            await self._start(*name.split("/"))
        if self._comparing.restart_if_over():
            await self._compare()

    async def _start(self, tenant_uid: str, source_id: str) -> None:
        try:
            ledger = await asyncio.to_thread(self._parts.ledgers.of, tenant_uid)
            source = await asyncio.to_thread(ledger.source, source_id)
        except (ServiceError, AfterimageIndexError):  # the source, or its tenant, is gone
            await self._parts.board.set_due(f"{tenant_uid}/{source_id}", 0)
            return
        await self._synchronisation.schedule(tenant_uid, source)  # first the next one: missed runs collapse into one
        if await self._too_soon(ledger, source_id):
            _LOG.warning("skipped a scheduled run: a run has just started, so a clock was set", source_id=source_id)
            return
        try:
            await self._synchronisation.begin(tenant_uid, WantedRun(source_id, trigger="schedule"))
        except ServiceError as error:
            if error.reason is not Reason.RUN_ACTIVE:
                raise
            _LOG.info("skipped a scheduled run: the previous one has not ended", source_id=source_id)
        self._begun[source_id] = self._clock.elapsed_s()

    async def _too_soon(self, ledger: Ledger, source_id: str) -> bool:
        """Whether a scheduled run of the source began just before.

        It is checked by the monotonic clock, and by the ledger, which outlives this process. If the wall clock was set
        back by more than the minimum distance, the entry in the ledger does not count.
        """
        if self._clock.elapsed_s() - self._begun.get(source_id, -math.inf) < LEAST_DISTANCE_S:
            return True
        last_ms = await asyncio.to_thread(ledger.last_scheduled_ms, source_id)
        return abs(now_ms(self._clock) - last_ms) < LEAST_DISTANCE_S * 1000

    async def _compare(self) -> None:
        """Updates the board with what only the ledgers know.

        This is necessary after Redis was wiped or unreachable, or when a clock was set back and a due time is later
        than the next one should be.
        """
        known = await self._parts.board.due_times()
        purge = self._purging.is_over
        ages_ms: dict[str, int] = {}
        for tenant_uid, ledger in await asyncio.to_thread(self._parts.ledgers.existing):
            try:
                ages_ms |= await self._compare_sources(tenant_uid, ledger, known)
                await self._compare_runs(tenant_uid, ledger)
                if purge:
                    await asyncio.to_thread(self._clean, tenant_uid, ledger)
                self._unusable.pop(tenant_uid, None)
            except (ServiceError, AfterimageIndexError, OSError) as error:  # the other tenants' must go on
                self._note_unusable(tenant_uid, error)
        if purge:
            self._purging.restart()
        self._show_ages(ages_ms)
        self._metrics.sync_runs_working.set(len(self._lease_runner.working))

    async def _compare_sources(self, tenant_uid: str, ledger: Ledger, known: Mapping[str, int]) -> dict[str, int]:
        """Schedules the sources of a tenant. Returns for how long each scheduled one has had no success.

        `known`: when each source on the board is due.
        """
        ages_ms = {}
        for source in await asyncio.to_thread(ledger.sources):
            schedule = source.config.schedule
            if not schedule.cron or source.config.paused:
                continue
            due_ms = known.get(f"{tenant_uid}/{source.source_id}")
            if due_ms is None or due_ms > next_due_ms(schedule, source.source_id, now_ms(self._clock)):
                await self._synchronisation.schedule(tenant_uid, source)
            ages_ms[source.source_id] = now_ms(self._clock) - (source.state.success_ms or source.created_ms)
        return ages_ms

    async def _compare_runs(self, tenant_uid: str, ledger: Ledger) -> None:
        for run in await asyncio.to_thread(ledger.live_runs):
            if run.run_id not in self._lease_runner.working:
                ref = self._parts.board.ref(tenant_uid, run.collection, run.run_id)
                await self._requeue(ledger, ref, run.state)
        for run in await asyncio.to_thread(ledger.unreported_runs):
            if run.run_id not in self._lease_runner.working:
                await self._remember(tenant_uid, run)
        await asyncio.to_thread(self._expire, tenant_uid, ledger)

    def _clean(self, tenant_uid: str, ledger: Ledger) -> None:
        for source in ledger.sources():
            self._purge(tenant_uid, source)
        self._sweep(tenant_uid, ledger)

    def _note_unusable(self, tenant_uid: str, error: Exception) -> None:
        """Logs a failure, but not again while it stays the same."""
        if self._unusable.get(tenant_uid) != str(error):
            self._unusable[tenant_uid] = str(error)
            _LOG.error("the sync.db of a tenant is unusable", tenant=tenant_uid, error=str(error))

    def _show_ages(self, ages_ms: dict[str, int]) -> None:
        """Shows the age of the last success of each scheduled source, of those where it is highest."""
        self._metrics.sync_oldest_success_s.set(max(ages_ms.values(), default=0) / 1000)
        shown = sorted(ages_ms, key=lambda source_id: -ages_ms[source_id])[:_MOST_SOURCES]
        for source_id in self._shown - set(shown):
            self._metrics.sync_source_success_s.remove(source_id)
        for source_id in shown:
            self._metrics.sync_source_success_s.labels(source_id).set(ages_ms[source_id] / 1000)
        self._shown = set(shown)

    async def _requeue(self, ledger: Ledger, ref: RunRef, state: RunState) -> None:
        if state is RunState.CANCELLING:  # no worker has it any more
            await asyncio.to_thread(ledger.move, ref.run_id, {RunState.CANCELLING}, cancelled)
            place = await asyncio.to_thread(self._parts.ledgers.place, ref.tenant_uid)
            await asyncio.to_thread(remove, staging_path(place, ref.run_id))
        else:
            await self._parts.board.submit(ref)

    def _expire(self, tenant_uid: str, ledger: Ledger) -> None:
        for run in ledger.waiting_runs():
            if now_ms(self._clock) - (run.started_ms or run.created_ms) > APPROVAL_MS:
                ended = now_ms(self._clock)
                message = "the plan was not approved within a day"
                expired = replace(run, state=RunState.BLOCKED, reason="NOT_APPROVED", message=message, ended_ms=ended)
                ledger.move(run.run_id, {RunState.AWAITING_APPROVAL}, lambda _, new=expired: new)  # type: ignore[misc]
                remove(staging_path(self._parts.ledgers.place(tenant_uid), run.run_id))

    def _sweep(self, tenant_uid: str, ledger: Ledger) -> None:
        """Deletes staging databases that no run needs. A crash may leave one."""
        folder = self._parts.ledgers.place(tenant_uid).spool_folder
        needed = {r.run_id for r in (*ledger.live_runs(), *ledger.waiting_runs())}
        for path in folder.glob("*.db") if folder.is_dir() else ():
            if path.stem not in needed:
                remove(path)

    def _purge(self, tenant_uid: str, source: Source) -> None:
        try:
            directory = self._spaces.directory(tenant_uid)
            directory.collection(source.config.collection).sourced.purge()
        except (AfterimageIndexError, OSError) as error:
            _LOG.warning("could not erase withdrawn records; retrying", error=str(error))
