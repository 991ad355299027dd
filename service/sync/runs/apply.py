"""Executes the steps of a plan: fetches and encodes pictures concurrently, and stores them in batches.

All writes carry the epoch of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from index import (
    DigestMoved,
    Failure,
    QuotaExceeded,
    RecordWrite,
    SourceBatch,
    WriteResult,
)
from service.engine.change_detection import Known
from service.engine.engine import Engine
from service.engine.faults import as_service_error
from service.engine.picture_encoding import PictureEncoder
from service.errors import Code, Reason, ServiceError, release_frames
from service.intake.notes import Note
from service.runtime.call_facts import about
from service.runtime.clock import Stopwatch
from service.runtime.retry import RetryPolicy
from service.sync.model import Counts, counts_of_notes
from service.sync.runs.plan import IDLE, Action, Step
from service.sync.runs.preparing import RecordPreparer, SyncJob
from service.sync.runs.staging import Staged

_AT_ONCE = 32
_CHUNK = 200
_BATCH = 500
_BATCH_S = 5.0
_RETRIES = RetryPolicy(
    {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.DEADLINE_EXCEEDED},
    first_s=2.0, longest_s=600.0, tries=4,
)  # fmt: skip


@dataclass(frozen=True)
class _Outcome:
    """The result for one record: what to store, with notes about its picture, or an error."""

    row: Staged
    write: RecordWrite | None
    error: ServiceError | None = None
    notes: tuple[Note, ...] = ()


class Applier:
    """Applies the plan of one run. `counts` is its progress."""

    def __init__(self, engine: Engine, job: SyncJob, picture_encoder: PictureEncoder) -> None:
        """`picture_encoder`: encodes the pictures, except the operator's files, which only this machine has."""
        self._engine, self._job = engine, job
        self._preparer = RecordPreparer(engine, job, picture_encoder)
        self.counts = Counts.stored(job.sourced.counts(job.run_id))
        self._tasks: set[asyncio.Task[_Outcome]] = set()
        self._ready: list[_Outcome] = []
        self._since_flush = Stopwatch()

    async def apply(self, steps: Iterator[Step]) -> None:
        """Executes all steps except deletions.

        Raises what ends a run: StaleEpoch, StoreUnavailable, QuotaExceeded.
        """
        try:
            async for chunk in self._chunks(steps, lambda s: s.action not in IDLE and s.action is not Action.DELETE):
                known = await self._known(chunk)
                for step in chunk:
                    while len(self._tasks) >= _AT_ONCE:
                        await self._collect()
                    self._tasks.add(asyncio.create_task(self._one(step, known)))
            while self._tasks:
                await self._collect()
            await self._flush()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def delete(self, steps: Iterator[Step]) -> None:
        """Withdraws records that the feed does not contain any more. Raises StaleEpoch or StoreUnavailable."""
        sourced = self._job.sourced
        async for chunk in self._chunks(steps, lambda s: s.action is Action.DELETE):
            self._job.check_lease()
            await self._engine.workers.write(sourced.withdraw, self._batch(), [s.record_id for s in chunk])
            await self._count()

    async def _chunks(self, steps: Iterator[Step], wanted: Callable[[Step], bool]) -> AsyncIterator[list[Step]]:
        chosen = filter(wanted, steps)
        while chunk := await self._engine.workers.read(lambda: list(islice(chosen, _CHUNK))):
            yield chunk

    async def _known(self, chunk: Sequence[Step]) -> Known:
        job, ids = self._job, [s.record_id for s in chunk]
        new = [s.record_id for s in chunk if s.action is Action.CREATE]
        if new:  # recently withdrawn records are reinstated with their vectors
            await self._engine.workers.write(job.sourced.reinstate, job.source_id, new, job.epoch, self._batch(chunk))
        return await self._preparer.known(ids)

    async def _one(self, step: Step, known: Known) -> _Outcome:
        row = step.staged
        assert row is not None
        tried = 0
        while True:
            try:
                check = step.action is Action.CHECK_PICTURE
                prepared = await self._preparer.prepared(row, known, check_picture=check)
                return _Outcome(row, prepared.write, notes=prepared.notes)
            except Exception as error:
                with about(record_id=row.record_id):
                    failure = as_service_error(error)
                release_frames(error)
            if failure.reason is Reason.QUOTA_EXCEEDED:
                raise failure  # ends the run: every other picture would fail too
            tried += failure.reason is not Reason.OVERLOADED  # the load of this server does not count as a try
            pause_s = _RETRIES.pause_s(failure, tried)
            if pause_s is None:
                return _Outcome(row, None, failure)
            await asyncio.sleep(pause_s)

    async def _collect(self) -> None:
        done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._ready += [task.result() for task in done]
        if len(self._ready) >= _BATCH or self._since_flush.seconds() > _BATCH_S:
            await self._flush()

    async def _flush(self) -> None:
        ready, self._ready = self._ready, []
        self._since_flush.restart()
        moved = await self._store(ready)
        if moved:  # the record changed in the meantime: encode its picture again
            again = (self._one(Step(Action.UPDATE_PICTURE, o.row.record_id, o.row), Known()) for o in moved)
            await self._store(await asyncio.gather(*again))

    async def _store(self, ready: Sequence[_Outcome]) -> list[_Outcome]:
        """Stores finished records. Returns those whose stored picture has changed in the meantime."""
        if not ready:
            return []
        self._job.check_lease()
        done = [o for o in ready if o.write is not None]
        encoded = sum(o.write is not None and o.write.vector is not None for o in done)
        counts = {"encoded": encoded, **counts_of_notes(note for o in done for note in o.notes)}
        results = await self._apply(ready, [o.write for o in done], _failures(ready), counts)
        refused = [(o, r.error) for o, r in zip(done, results, strict=True) if r.error is not None]
        for _, error in refused:
            if isinstance(error, QuotaExceeded):
                raise error
        bad = [_refused(o, e) for o, e in refused if not isinstance(e, DigestMoved)]
        if bad:
            await self._apply(bad, [], _failures(bad), {})
        await self._count()
        return [o for o, e in refused if isinstance(e, DigestMoved)]

    async def _apply(
        self,
        rows: Sequence[Step | _Outcome],
        writes: Sequence[RecordWrite | None],
        failures: Sequence[Failure],
        counts: dict[str, int],
    ) -> list[WriteResult]:
        batch = replace(self._batch(rows), failures=failures, counts=counts)
        return await self._engine.workers.write(self._job.sourced.apply, batch, writes)

    async def _count(self) -> None:
        counted = await self._engine.workers.read(self._job.sourced.counts, self._job.run_id)
        self.counts = Counts.stored(counted)

    def _batch(self, rows: Sequence[Step | _Outcome] = ()) -> SourceBatch:
        job, staged = self._job, (r.staged if isinstance(r, Step) else r.row for r in rows)
        items = {row.record_id: row.item_id for row in staged if row is not None and row.item_id}
        return SourceBatch(job.epoch, job.source_id, job.run_id, feed_ms=job.feed_ms, items=items)


def _refused(outcome: _Outcome, error: Exception) -> _Outcome:
    with about(record_id=outcome.row.record_id):
        return replace(outcome, error=as_service_error(error))


def _failures(outcomes: Sequence[_Outcome]) -> list[Failure]:
    return [
        Failure(
            o.row.record_id, o.row.url_digest, o.error.reason.name, o.error.message,
            not _RETRIES.may_pass(o.error), o.row.line,
        )
        for o in outcomes if o.error is not None
    ]  # fmt: skip
