"""The calls of tenants about runs: start, watch, approval, cancellation, undo, failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from index import Failure
from service.coordination.run_board import BoardAway
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.access import SyncAccess
from service.sync.model import ENDED, WORKING, Run, RunState
from service.sync.pushes.push_calls import PushCalls
from service.sync.pushes.signed_pushes import SignedPushes
from service.sync.runs.lease import SyncParts
from service.sync.runs.lease_runner import LeaseRunner
from service.sync.runs.run import LIVE, staging_path
from service.sync.runs.staging import remove
from service.sync.source_calls import SourceCalls
from service.tenancy.keyring import Principal
from service.tracing.spans import traceparent

APPROVAL_MS = 86_400_000
_WATCH_AFTER_S, _WATCH_EVERY_S = 0.05, 0.5  # at first often: many runs end soon


@dataclass(frozen=True)
class RunView:
    """A run, with its progress if a worker has it."""

    run: Run
    progress: dict[str, object]


@dataclass(frozen=True)
class WantedRun:
    """A request for a run.

    - `dry_run`: only plan.
    - `full`: run even if the feed has not changed.
    - `into`: a collection other than the source's.
    """

    source: str
    dry_run: bool = False
    full: bool = False
    trigger: str = "request"
    into: str = ""


class Synchronisation(SyncAccess):
    """The calls of tenants about runs, for one event loop. All methods raise ServiceError.

    `sources`: the calls about sources. `pushes`, `signed_pushes`: those about single items.
    """

    def __init__(self, parts: SyncParts, lease_runner: LeaseRunner, wake: asyncio.Event) -> None:
        """`wake` is set when there is a run to take."""
        super().__init__(parts)
        self._lease_runner, self._wake = lease_runner, wake
        self.sources = SourceCalls(parts, self.cancel)
        self.pushes = PushCalls(parts)
        self.signed_pushes = SignedPushes(parts, self.pushes)
        self.closing = asyncio.Event()

    async def start(self, principal: Principal, wanted: WantedRun) -> Run:
        """Queues a run. Raises RUN_ACTIVE if another run of the source has not ended."""
        if wanted.into:
            await self._engine.collection(principal, wanted.into)
        return await self.begin(principal.tenant_uid, wanted)

    async def begin(self, tenant_uid: str, wanted: WantedRun) -> Run:
        """Queues a run without checking a principal. Raises RUN_ACTIVE if another run of the source has not ended."""
        ledger = await self._ledger(tenant_uid)
        source = await self._read(ledger.source, wanted.source)
        collection = wanted.into or source.config.collection
        run = Run("", source.source_id, collection, wanted.dry_run, wanted.full, wanted.trigger)
        made = await self._write(ledger.add_run, run)
        await self._submit(tenant_uid, made)
        return made

    async def run(self, principal: Principal, run_id: str) -> RunView:
        """One run with its progress."""
        ledger = await self._ledger(principal.tenant_uid)
        run = await self._read(ledger.run, run_id)
        working = self._lease_runner.working.get(run_id)
        if working is not None:
            return RunView(run, working.facts())
        return RunView(run, await self._progress(run_id) if run.state in WORKING else {})

    async def _progress(self, run_id: str) -> dict[str, object]:
        """The last progress that another server reported for a run."""
        try:
            return await self._board.progress(run_id)
        except BoardAway:
            return {}

    async def runs(self, principal: Principal, source: str, limit: int) -> list[Run]:
        """The newest runs, of one source if `source` is not empty."""
        ledger = await self._ledger(principal.tenant_uid)
        source_id = (await self._read(ledger.source, source)).source_id if source else ""
        return await self._read(lambda: ledger.runs(source_id, limit=limit))

    async def watch(self, principal: Principal, run_id: str) -> AsyncIterator[RunView]:
        """Yields a run whenever it changes, until it ends or waits for approval.

        Raises SHUTTING_DOWN when the server is about to stop.
        """
        seen: RunView | None = None
        pause_s = _WATCH_AFTER_S
        while True:
            view = await self.run(principal, run_id)
            if view != seen:
                yield view
            if view.run.state in ENDED or view.run.state is RunState.AWAITING_APPROVAL:
                return
            seen = view
            if self.closing.is_set():
                raise ServiceError(Reason.SHUTTING_DOWN, "the server is stopping; watch again", retry_delay_s=1.0)
            await asyncio.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _WATCH_EVERY_S)

    async def approve(self, principal: Principal, run_id: str, plan_digest: str) -> Run:
        """Lets a run apply the plan that was shown. Raises RUN_NOT_WAITING or PLAN_MOVED."""
        ledger = await self._ledger(principal.tenant_uid)
        run = await self._read(ledger.run, run_id)
        if run.state is not RunState.AWAITING_APPROVAL:
            raise ServiceError(Reason.RUN_NOT_WAITING, f"the run is {run.state}, not waiting for approval")
        if run.plan.digest != plan_digest:
            raise ServiceError(Reason.PLAN_MOVED, "the plan differs from the approved one; review it again")
        approved = await self._write(
            ledger.move, run_id, {RunState.AWAITING_APPROVAL},
            lambda r: replace(
                r, state=RunState.QUEUED, approved=plan_digest, approved_deletes=r.plan.delete, reason="", message=""
            ),
        )  # fmt: skip
        if approved is None:
            raise ServiceError(Reason.RUN_NOT_WAITING, "the run no longer waits for approval")
        await self._submit(principal.tenant_uid, approved)
        return approved

    async def cancel(self, principal: Principal, run_id: str) -> Run:
        """Cancels a run within a second. Stored changes stay, and nothing more is deleted."""
        ledger = await self._ledger(principal.tenant_uid)
        run = await self._read(ledger.run, run_id)
        ref = self._board.ref(principal.tenant_uid, run.collection, run_id)
        idle = {RunState.AWAITING_APPROVAL}
        if run_id not in self._lease_runner.working:
            idle.add(RunState.QUEUED)
        done = await self._write(ledger.move, run_id, idle, cancelled)
        if done is not None:
            await self._ignoring_away(self._board.forget(ref))
            place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
            await self._write(remove, staging_path(place, run_id))
            return done
        asked = await self._write(ledger.move, run_id, LIVE, lambda r: replace(r, state=RunState.CANCELLING))
        if asked is None and run.state not in (RunState.CANCELLING, RunState.CANCELLED):
            raise ServiceError(Reason.RUN_NOT_WAITING, f"the run has ended: {run.state}")
        return await self._read(ledger.run, run_id)

    async def undo(self, principal: Principal, run_id: str) -> int:
        """Restores the records that a run deleted. Returns their number."""
        ledger = await self._ledger(principal.tenant_uid)
        run = await self._read(ledger.run, run_id)
        if run.state not in ENDED:
            raise ServiceError(Reason.RUN_ACTIVE, "the run has not ended; cancel it first", field="run_id")
        collection = await self._engine.collection(principal, run.collection)
        return await self._write(collection.sourced.undo, run.source_id, run_id)

    async def exchange(self, principal: Principal, one: str, other: str) -> None:
        """Swaps the names of two collections. Raises RUN_ACTIVE while a run works on one of them."""
        for name in (one, other):
            await self._engine.collection(principal, name)
        ledger = await self._ledger(principal.tenant_uid)
        if any(r.collection in (one, other) for r in await self._read(ledger.live_runs)):
            message = "a run of one of the collections has not ended; wait for it or cancel it"
            raise ServiceError(Reason.RUN_ACTIVE, message, field="collection")
        directory = await self._engine.directory(principal)
        await self._write(directory.exchange, one, other)
        for source in await self._read(ledger.sources):  # its feed state describes the other collection
            if source.config.collection in (one, other):
                state = replace(source.state, feed_digest="", etag="", last_modified="")
                await self._write(ledger.note_state, source.source_id, state)

    # ---- failures

    async def failures(self, principal: Principal, source: str, after: str, limit: int) -> list[Failure]:
        """Records that could not be synchronised, ordered by id."""
        found = await self.sources.get(principal, source)
        collection = await self._engine.collection(principal, found.config.collection)
        return await self._read(collection.sourced.failures, found.source_id, after, limit)

    async def retry_failures(self, principal: Principal, source: str, ids: Sequence[str]) -> tuple[int, Run]:
        """Deletes failures (all if `ids` is empty) and starts a run that tries them again."""
        found = await self.sources.get(principal, source)
        collection = await self._engine.collection(principal, found.config.collection)
        forgotten = await self._write(collection.sourced.forget_failures, found.source_id, list(ids) or None)
        return forgotten, await self.start(principal, WantedRun(source, full=True, trigger="retry"))

    async def _submit(self, tenant_uid: str, run: Run) -> None:
        ref = self._board.ref(tenant_uid, run.collection, run.run_id)
        await self._ignoring_away(self._board.submit(ref, traceparent=traceparent()))
        self._wake.set()


def cancelled(run: Run) -> Run:
    """The run after it was cancelled on request."""
    return replace(run, state=RunState.CANCELLED, reason="CANCELLED", message="on request", ended_ms=now_ms())
