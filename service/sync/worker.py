"""Takes runs from the board and works on them; starts those that are due; brings back those that were cut off."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import structlog

from index import AfterimageIndexError, Collection, QuotaExceeded, StaleEpoch
from index.errors import CollectionNotFound
from service.background import end_task
from service.coordination.run_board import BoardAway, RunBoard, RunRef
from service.engine.engine import Engine
from service.engine.faults import as_service_error
from service.errors import Code, Reason, ServiceError
from service.metrics import Metrics
from service.sync.applying import Job
from service.sync.feed_files import PREFIX
from service.sync.feeds.model import FeedError
from service.sync.fetching import FeedFetcher
from service.sync.ledger import Ledger, now_ms
from service.sync.ledgers import Ledgers
from service.sync.model import ENDED, Counts, Run, RunState
from service.sync.running import LIVE, Progress, RunEnd, Runner, RunParts, staging_path
from service.sync.staging import remove

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_RENEW_EVERY_S = 10.0
_ASK_AGAIN_S = 1.0
_STOP_AFTER_S = 20.0  # without a renewal; the lease lasts longer than that
_MAX_ATTEMPTS = 5
_LONGEST_WAIT_S = 600.0
# Ends of a run after which an older plan is out of date.
_NEWER = frozenset({RunState.SUCCEEDED, RunState.SUCCEEDED_WITH_ERRORS, RunState.AWAITING_APPROVAL})


class LeaseLost(Exception):
    """The run is no longer this worker's."""


@dataclass
class _Lease:
    ref: RunRef
    epoch: int
    renewed: float

    def check(self) -> None:
        """Raises LeaseLost where somebody else may have taken over: nothing may be written any more."""
        if time.monotonic() - self.renewed > _STOP_AFTER_S:
            raise LeaseLost


@dataclass(frozen=True)
class SyncParts:
    """What synchronisation needs of the rest of the service. worker: this server's name, which no other has, and which
    stays over its restarts; at_once: runs that it works on at a time."""

    engine: Engine
    ledgers: Ledgers
    board: RunBoard
    fetcher: FeedFetcher
    metrics: Metrics
    worker: str
    at_once: int


class SyncWorker:
    """For one event loop. `working`: the runs that it works on at the moment, with how far they are."""

    def __init__(self, parts: SyncParts, ended: Callable[[str, Run], Coroutine[Any, Any, None]]) -> None:
        """`ended` is told of each run that has ended or waits, with the tenant's uid."""
        self._parts, self._ended = parts, ended
        self._name = parts.worker
        self.working: dict[str, Progress] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()

    def start(self) -> None:
        """Begins to take runs."""
        self._loop = asyncio.create_task(self._take_runs(), name="sync worker")

    async def stop(self) -> None:
        """Lets go of what it works on; another worker, or this one after a restart, goes on from there."""
        if self._loop is not None:
            await end_task(self._loop)
        for task in list(self._tasks):
            await end_task(task)

    async def _take_runs(self) -> None:
        returned = away = False
        while True:
            try:
                if not returned:  # what an earlier process of this server held, it cannot hold any more
                    await self._parts.board.return_all(self._name)
                    returned = True
                while len(self._tasks) < self._parts.at_once and (found := await self._parts.board.take(self._name)):
                    self._begin(*found)
                away = False
            except BoardAway:
                if not away:
                    _LOG.warning("no runs are taken while Redis is away")
                away = True
                await asyncio.sleep(_ASK_AGAIN_S)
            except Exception as error:  # the loop must go on; the cause is in the log
                _LOG.error("taking runs failed", exc_info=error)
                await asyncio.sleep(_ASK_AGAIN_S)
            self.wake.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self.wake.wait()
            except TimeoutError:
                pass

    def _begin(self, ref: RunRef, epoch: int) -> None:
        lease = _Lease(ref, epoch, time.monotonic())
        task = asyncio.create_task(self._work(lease), name=f"run {ref.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.wake.set())

    async def _work(self, lease: _Lease) -> None:
        ref, progress = lease.ref, Progress()
        self.working[ref.run_id] = progress
        try:
            ledger = await asyncio.to_thread(self._parts.ledgers.of, ref.tenant_uid)
            work = asyncio.create_task(self._run(lease, ledger, progress))
            try:
                await self._watch(lease, ledger, progress, work)
            finally:
                await end_task(work)
            await self._settle(ref, ledger, work)
        except ServiceError as error:  # the run or its source is gone
            _LOG.info("a run was dropped", run_id=ref.run_id, reason=error.reason.name)
        except AfterimageIndexError as error:
            _LOG.warning("a run's ledger cannot be used", run_id=ref.run_id, error=str(error))
        finally:
            if self.working.get(ref.run_id) is progress:
                del self.working[ref.run_id]
            try:
                await self._parts.board.release(ref, self._name)
            except BoardAway:
                pass  # the lease ends by itself

    async def _watch(self, lease: _Lease, ledger: Ledger, progress: Progress, work: asyncio.Task[None]) -> None:
        """Keeps the lease while the work goes on; returns where it is over, or must stop."""
        next_renewal = time.monotonic()
        while not work.done():
            now = time.monotonic()
            if now >= next_renewal:
                try:
                    if not await self._parts.board.renew(lease.ref, self._name, progress.facts()):
                        return
                    lease.renewed, next_renewal = now, now + _RENEW_EVERY_S
                except BoardAway:
                    next_renewal = now + _ASK_AGAIN_S
            if now - lease.renewed > _STOP_AFTER_S:
                return
            run = await asyncio.to_thread(ledger.run, lease.ref.run_id)
            if run.state is RunState.CANCELLING:
                return
            await asyncio.wait({work}, timeout=_LOOK_EVERY_S)

    async def _run(self, lease: _Lease, ledger: Ledger, progress: Progress) -> None:
        ref, engine = lease.ref, self._parts.engine
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
        engine.encoder_of(collection)  # without it no picture can be encoded: say so at once
        run = await self._count_attempt(ledger, run, collection)
        epoch = await engine.workers.upkeep(collection.sourced.epoch)
        if epoch >= lease.epoch:
            lease.epoch = await self._parts.board.raise_epoch(ref, epoch)
        await engine.workers.write(collection.sourced.claim, lease.epoch)
        from_disk = source.config.url.startswith(PREFIX)
        job = Job(
            ref.tenant_uid, collection, source.source_id, run.run_id, lease.epoch, place.files, from_disk, lease.check
        )
        parts = RunParts(engine, self._parts.fetcher, ledger, place, data_key)
        await Runner(parts, source, run, job, progress).go()

    async def _count_attempt(self, ledger: Ledger, run: Run, collection: Collection) -> Run:
        """Attempts count from the last one that got anything done. Raises RunEnd after too many."""
        counts = Counts(**await self._parts.engine.workers.upkeep(collection.sourced.counts, run.run_id))
        if counts.done > run.counts.done:
            moved = await self._parts.engine.workers.write(
                ledger.move, run.run_id, LIVE, lambda r: replace(r, attempts=1, counts=counts)
            )
            if moved is None:
                raise LeaseLost
            return moved
        if run.attempts > _MAX_ATTEMPTS:
            raise RunEnd(RunState.FAILED, "ATTEMPTS", f"given up after {_MAX_ATTEMPTS} attempts; {run.message}")
        return run

    async def _settle(self, ref: RunRef, ledger: Ledger, work: asyncio.Task[None]) -> None:
        """Brings the run into the state that it ended in."""
        error = None if work.cancelled() else work.exception()
        run = await asyncio.to_thread(ledger.run, ref.run_id)
        if run.state is RunState.CANCELLING:
            await self._end(ref, ledger, RunEnd(RunState.CANCELLED, "CANCELLED", "cancelled on request"))
        elif isinstance(error, RunEnd):
            await self._end(ref, ledger, error)
        elif error is None or isinstance(error, LeaseLost | StaleEpoch | BoardAway):
            _LOG.info("a run was let go", run_id=ref.run_id)
        elif (delay := _retry_delay_s(error, run.attempts)) is not None:
            message = str(error)
            await asyncio.to_thread(ledger.move, ref.run_id, LIVE, lambda r: _queued(r, message))
            await self._parts.board.release(ref, self._name)
            await self._parts.board.submit(ref, delay)
        else:
            if not isinstance(error, FeedError | ServiceError | AfterimageIndexError | OSError):
                _LOG.error("a run failed", run_id=ref.run_id, exc_info=error)
            await self._end(ref, ledger, _failure(error))

    async def _end(self, ref: RunRef, ledger: Ledger, end: RunEnd) -> None:
        counts = await asyncio.to_thread(self._last_counts, ref)
        if end.state is RunState.AWAITING_APPROVAL:
            end = await asyncio.to_thread(_unless_the_same_waits, ledger, ref.run_id, end)
        ended = now_ms() if end.state in ENDED else 0
        run = await asyncio.to_thread(
            ledger.move, ref.run_id, LIVE | {RunState.CANCELLING},
            lambda r: replace(
                r, state=end.state, reason=end.reason, message=end.message, counts=counts, ended_ms=ended, attempts=0
            ),
        )  # fmt: skip
        if run is None:
            return
        place = await asyncio.to_thread(self._parts.ledgers.place, ref.tenant_uid)
        if ended:
            await asyncio.to_thread(remove, staging_path(place, ref.run_id))
            self._parts.metrics.sync_runs.labels(str(end.state)).inc()
        if end.state in _NEWER:
            await asyncio.to_thread(_supersede, ledger, place.spool_folder, run)
        _LOG.info("run ended", run_id=ref.run_id, state=str(end.state), reason=end.reason)
        await self._ended(ref.tenant_uid, run)

    def _last_counts(self, ref: RunRef) -> Counts:
        try:
            sourced = self._parts.engine.spaces.directory(ref.tenant_uid).collection(ref.collection).sourced
            counts = Counts(**sourced.counts(ref.run_id))
            sourced.forget_counts(ref.run_id)
        except AfterimageIndexError:
            return Counts()
        return counts


def _supersede(ledger: Ledger, folder: Any, run: Run) -> None:
    """What waited for approval is out of date once a newer run has looked at the feed."""
    for old in ledger.waiting_runs():
        if old.run_id != run.run_id and (old.source_id, old.collection) == (run.source_id, run.collection):
            ended = now_ms()
            superseded = replace(old, state=RunState.SUPERSEDED, ended_ms=ended, message=f"by run {run.run_id}")
            ledger.move(old.run_id, {RunState.AWAITING_APPROVAL}, lambda _, new=superseded: new)  # type: ignore[misc]
            remove(folder / f"{old.run_id}.db")


def _unless_the_same_waits(ledger: Ledger, run_id: str, end: RunEnd) -> RunEnd:
    """A plan that waits already need not wait twice: people approve the run that they were told of."""
    run = ledger.run(run_id)
    for old in ledger.waiting_runs():
        if (old.source_id, old.collection, old.plan.digest) == (run.source_id, run.collection, run.plan.digest):
            return RunEnd(RunState.SUPERSEDED, "SAME_PLAN", f"run {old.run_id} waits with the same plan")
    return end


def _queued(run: Run, message: str) -> Run:
    return replace(run, state=RunState.QUEUED, message=message)


def _retry_delay_s(error: BaseException, attempts: int) -> float | None:
    """How long to wait before a run is tried again; None where that does not help."""
    if not isinstance(error, ServiceError) or error.reason.code is not Code.UNAVAILABLE or attempts >= _MAX_ATTEMPTS:
        return None
    jitter = random.uniform(0, min(_LONGEST_WAIT_S, 2.0**attempts * 5))  # noqa: S311 - spreads load
    return min(_LONGEST_WAIT_S, max(error.retry_delay_s or 0.0, jitter))


def _failure(error: BaseException) -> RunEnd:
    if isinstance(error, FeedError):
        return RunEnd(RunState.BLOCKED, error.reason, f"{error}; nothing was changed")
    if isinstance(error, CollectionNotFound):
        return RunEnd(RunState.FAILED, Reason.COLLECTION_NOT_FOUND.name, str(error))
    if isinstance(error, QuotaExceeded):
        return RunEnd(RunState.FAILED, Reason.QUOTA_EXCEEDED.name, str(error))
    known = as_service_error(error) if isinstance(error, Exception) else ServiceError(Reason.INTERNAL, "cancelled")
    return RunEnd(RunState.FAILED, known.reason.name, known.message)
