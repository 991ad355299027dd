"""Runs syncs under a lease, which this server or a remote worker holds.

The lease is renewed during the work. Afterwards the run is moved to its final state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from index import AfterimageIndexError, Collection, StaleEpoch
from service.coordination.run_board import BoardAway, RunRef
from service.engine.picture_encoding import LocalPictureEncoder, PictureEncoder
from service.errors import ServiceError
from service.runtime import call_facts
from service.runtime.background import end_task
from service.runtime.clock import now_ms
from service.sync.feed_input.feed_files import PREFIX
from service.sync.ledger import Ledger
from service.sync.model import ENDED, Counts, Run, RunState
from service.sync.runs.lease import STOP_AFTER_S, Lease, LeaseLost, SyncParts
from service.sync.runs.preparing import SyncJob
from service.sync.runs.run import LIVE, Progress, RunEnd, Runner, RunParts, staging_path
from service.sync.runs.run_outcomes import (
    MAX_ATTEMPTS,
    failure,
    is_reported,
    queued,
    retry_delay_s,
    supersede,
    superseded_by_same_plan,
)
from service.sync.runs.staging import remove
from service.tracing.allowed import Attribute, Work
from service.tracing.spans import note

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_RENEW_EVERY_S = 10.0
_ASK_AGAIN_S = 1.0
_TURN_EVERY_S = 2.0
# Final states of a run that make older waiting plans obsolete.
_NEWER = frozenset({RunState.SUCCEEDED, RunState.SUCCEEDED_WITH_ERRORS, RunState.AWAITING_APPROVAL})


class LeaseRunner:
    """Executes runs. For one event loop. `working`: the progress of each active run, by run id."""

    def __init__(self, parts: SyncParts, ended: Callable[[str, Run], Coroutine[Any, Any, None]]) -> None:
        """`ended` is called with the tenant's uid for each run that has ended or waits for approval."""
        self._parts, self._ended = parts, ended
        engine = parts.engine
        self._workers, self._spaces, self._metrics = engine.workers, engine.spaces, parts.metrics
        self._here = LocalPictureEncoder(engine.sources, engine.pictures, engine.workers)
        self.working: dict[str, Progress] = {}
        self._held: set[tuple[RunRef, str]] = set()
        self._left: set[tuple[RunRef, str]] = set()

    async def work(self, lease: Lease, picture_encoder: PictureEncoder | None = None) -> None:
        """Works on a run until it ends, waits or has to be let go, and gives its lease back. `picture_encoder`:
        encodes the pictures; None: this process."""
        ref, progress = lease.ref, Progress()
        self.working[ref.run_id] = progress
        self._held.add((ref, lease.worker))
        try:
            if await self._exceeds_tenant_limit(ref):
                await self._queue_again(lease, _TURN_EVERY_S)
                return
            if not await self._parts.board.renew(ref, lease.worker, progress.facts()):
                return  # the lease has expired
            lease.renewed, lease.confirmed = lease.clock.elapsed_s(), True
            with self._parts.tracer.around(Work.RUN, await self._carried(ref)):
                await self._worked(lease, progress, picture_encoder or self._here)
        except BoardAway:
            pass  # it is unknown whether the lease is still held
        except ServiceError as error:  # the run or its source was deleted
            _LOG.info("dropped a run", run_id=ref.run_id, reason=error.reason.name)
        except AfterimageIndexError as error:
            _LOG.warning("the sync.db of a run is unusable", run_id=ref.run_id, error=str(error))
        finally:
            if self.working.get(ref.run_id) is progress:
                del self.working[ref.run_id]
            self._held.discard((ref, lease.worker))
            self._left.add((ref, lease.worker))
            with suppress(BoardAway):
                await self.release_leases()

    async def _carried(self, ref: RunRef) -> str:
        """The trace that the run continues. Raises BoardAway."""
        return await self._parts.board.traceparent(ref.run_id) if self._parts.tracer.on else ""

    async def _worked(self, lease: Lease, progress: Progress, picture_encoder: PictureEncoder) -> None:
        ledger = await asyncio.to_thread(self._parts.ledgers.of, lease.ref.tenant_uid)
        work = asyncio.create_task(self._run(lease, ledger, progress, picture_encoder))
        try:
            await self._watch(lease, ledger, progress, work)
        finally:
            await end_task(work)
        await self._settle(lease, ledger, work)

    async def release_leases(self) -> None:
        """Releases the leases of runs that are no longer worked on. Raises BoardAway; the keeper tries again."""
        for ref, worker in list(self._left):
            if not any((ref.place, worker) == (held.place, by) for held, by in self._held):
                await self._parts.board.release(ref, worker)
            self._left.discard((ref, worker))

    async def _exceeds_tenant_limit(self, ref: RunRef) -> bool:
        """Whether the tenant has more active runs than its limit."""
        most = (await asyncio.to_thread(self._parts.ledgers.limits, ref.tenant_uid)).runs
        return bool(most) and sum(held.tenant_uid == ref.tenant_uid for held, _ in self._held) > most

    async def _queue_again(self, lease: Lease, delay_s: float) -> None:
        await self._parts.board.release(lease.ref, lease.worker)
        await self._parts.board.submit(lease.ref, delay_s)

    async def _watch(self, lease: Lease, ledger: Ledger, progress: Progress, work: asyncio.Task[None]) -> None:
        """Renews the lease during the work. Returns when the work is done or must stop."""
        next_renewal = lease.renewed + _RENEW_EVERY_S
        while not work.done():
            now = lease.clock.elapsed_s()
            if now >= next_renewal:
                try:
                    if not await self._parts.board.renew(lease.ref, lease.worker, progress.facts()):
                        return
                    lease.renewed, next_renewal = now, now + _RENEW_EVERY_S
                except BoardAway:
                    next_renewal = now + _ASK_AGAIN_S
            if now - lease.renewed > STOP_AFTER_S or not lease.alive():
                return
            run = await asyncio.to_thread(ledger.run, lease.ref.run_id)
            if run.state is RunState.CANCELLING:
                return
            await asyncio.wait({work}, timeout=_LOOK_EVERY_S)

    async def _run(self, lease: Lease, ledger: Ledger, progress: Progress, picture_encoder: PictureEncoder) -> None:
        ref, engine = lease.ref, self._parts.engine
        call_facts.begin(run_id=ref.run_id)
        started = now_ms()
        run = await engine.workers.write(
            ledger.move, ref.run_id, LIVE,
            lambda r: replace(r, attempts=r.attempts + 1, started_ms=r.started_ms or started),
        )  # fmt: skip
        if run is None:
            raise LeaseLost
        source = await engine.workers.read(ledger.source, run.source_id)
        place = await engine.workers.read(self._parts.ledgers.place, ref.tenant_uid)
        data_key = await engine.workers.read(self._parts.ledgers.data_key, ref.tenant_uid)
        directory = await engine.workers.read(engine.spaces.directory, ref.tenant_uid)
        collection = directory.collection(run.collection)
        picture_encoder.check(engine.encoder_of(collection))  # fail early if the encoder is missing
        run = await self._count_attempt(ledger, run, collection)
        epoch = await engine.workers.upkeep(collection.sourced.epoch)
        if epoch >= lease.epoch:
            lease.epoch = await self._parts.board.raise_epoch(ref, epoch)
        lease.check()
        await engine.workers.write(collection.sourced.claim, lease.epoch)
        from_disk = source.config.url.startswith(PREFIX)
        job = SyncJob(
            ref.tenant_uid, collection, source.source_id, run.run_id, lease.epoch, place.files, from_disk, lease.check
        )
        parts = RunParts(engine, picture_encoder, self._parts.fetcher, self._parts.readers, ledger, place, data_key)
        await Runner(parts, source, run, job, progress).go()

    async def _count_attempt(self, ledger: Ledger, run: Run, collection: Collection) -> Run:
        """Counts attempts since the last progress. Raises RunEnd after too many."""
        counts = Counts.stored(await self._workers.upkeep(collection.sourced.counts, run.run_id))
        if counts.done > run.counts.done:
            moved = await self._workers.write(
                ledger.move, run.run_id, LIVE, lambda r: replace(r, attempts=1, counts=counts)
            )
            if moved is None:
                raise LeaseLost
            return moved
        if run.attempts > MAX_ATTEMPTS:
            raise RunEnd(RunState.FAILED, "ATTEMPTS", f"given up after {MAX_ATTEMPTS} attempts; {run.message}")
        return run

    async def _settle(self, lease: Lease, ledger: Ledger, work: asyncio.Task[None]) -> None:
        """Moves the run to the state in which it ended."""
        ref, error = lease.ref, None if work.cancelled() else work.exception()
        run = await asyncio.to_thread(ledger.run, ref.run_id)
        if run.state is RunState.CANCELLING:
            await self._end(ref, ledger, RunEnd(RunState.CANCELLED, "CANCELLED", "cancelled on request"))
        elif isinstance(error, RunEnd):
            await self._end(ref, ledger, error)
        elif error is None or isinstance(error, LeaseLost | StaleEpoch | BoardAway):
            _LOG.info("released a run", run_id=ref.run_id)
        elif (delay := retry_delay_s(error, run.attempts)) is not None:
            message = str(error)
            await asyncio.to_thread(ledger.move, ref.run_id, LIVE, lambda r: queued(r, message))
            await self._queue_again(lease, delay)
        else:
            with call_facts.about(run_id=ref.run_id):
                end = failure(error)
            await self._end(ref, ledger, end)

    async def _end(self, ref: RunRef, ledger: Ledger, end: RunEnd) -> None:
        counts = await asyncio.to_thread(self._last_counts, ref, ledger)
        if end.state is RunState.AWAITING_APPROVAL:
            end = await asyncio.to_thread(superseded_by_same_plan, ledger, ref.run_id, end)
        ended = now_ms() if end.state in ENDED else 0
        run = await asyncio.to_thread(
            ledger.move, ref.run_id, LIVE | {RunState.CANCELLING},
            lambda r: replace(
                r, state=end.state, reason=end.reason, message=end.message, counts=counts, ended_ms=ended, attempts=0,
                untold=is_reported(r, end.reason),
            ),
        )  # fmt: skip
        if run is None:
            return
        note(Attribute.STATE, str(end.state))
        place = await asyncio.to_thread(self._parts.ledgers.place, ref.tenant_uid)
        if ended:
            await asyncio.to_thread(remove, staging_path(place, ref.run_id))
            self._metrics.sync_runs.labels(str(end.state)).inc()
        if end.state in _NEWER:
            await asyncio.to_thread(supersede, ledger, place.spool_folder, run)
        _LOG.info("run ended", run_id=ref.run_id, state=str(end.state), reason=end.reason)
        await self._ended(ref.tenant_uid, run)

    def _last_counts(self, ref: RunRef, ledger: Ledger) -> Counts:
        try:
            name = ledger.run(ref.run_id).collection
            sourced = self._spaces.directory(ref.tenant_uid).collection(name).sourced
            counts = Counts.stored(sourced.counts(ref.run_id))
            sourced.forget_counts(ref.run_id)
        except AfterimageIndexError:
            return Counts()
        return counts
