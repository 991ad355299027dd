"""What becomes of a run that stops, and of those beside it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from index import CollectionNotFound, QuotaExceeded
from service.engine.faults import as_service_error
from service.errors import Code, Reason, ServiceError
from service.sync.feeds.model import FeedError
from service.sync.ledger import Ledger, now_ms
from service.sync.model import Run, RunState
from service.sync.runs.run import RunEnd
from service.sync.runs.staging import remove

MAX_ATTEMPTS = 5  # that get nothing done
_LONGEST_WAIT_S = 600.0


def supersede(ledger: Ledger, folder: Path, run: Run) -> None:
    """What waited for approval is out of date once a newer run has looked at the feed."""
    for old in ledger.waiting_runs():
        if old.run_id != run.run_id and (old.source_id, old.collection) == (run.source_id, run.collection):
            ended = now_ms()
            superseded = replace(old, state=RunState.SUPERSEDED, ended_ms=ended, message=f"by run {run.run_id}")
            ledger.move(old.run_id, {RunState.AWAITING_APPROVAL}, lambda _, new=superseded: new)  # type: ignore[misc]
            remove(folder / f"{old.run_id}.db")


def unless_the_same_waits(ledger: Ledger, run_id: str, end: RunEnd) -> RunEnd:
    """A plan that waits already need not wait twice: people approve the run that they were told of."""
    run = ledger.run(run_id)
    for old in ledger.waiting_runs():
        if (old.source_id, old.collection, old.plan.digest) == (run.source_id, run.collection, run.plan.digest):
            return RunEnd(RunState.SUPERSEDED, "SAME_PLAN", f"run {old.run_id} waits for approval with the same plan")
    return end


def is_told(run: Run, reason: str) -> bool:
    """Whether the audit log and the source's webhook hear of an end: where the run did something, or waits."""
    return not run.dry_run and reason not in ("UNCHANGED", "SAME_PLAN")


def queued(run: Run, message: str) -> Run:
    """The run as it is while it waits for another attempt."""
    return replace(run, state=RunState.QUEUED, message=message)


def retry_delay_s(error: BaseException, attempts: int) -> float | None:
    """How long to wait before a run is tried again; None where that does not help."""
    if not isinstance(error, ServiceError) or error.reason.code is not Code.UNAVAILABLE or attempts >= MAX_ATTEMPTS:
        return None
    jitter = random.uniform(0, min(_LONGEST_WAIT_S, 2.0**attempts * 5))  # noqa: S311 - spreads load
    return min(_LONGEST_WAIT_S, max(error.retry_delay_s or 0.0, jitter))


def failure(error: BaseException) -> RunEnd:
    """The end that an error means."""
    if isinstance(error, FeedError):
        return RunEnd(RunState.BLOCKED, error.reason, f"{error}; nothing was changed")
    if isinstance(error, CollectionNotFound):
        return RunEnd(RunState.FAILED, Reason.COLLECTION_NOT_FOUND.name, str(error))
    if isinstance(error, QuotaExceeded):
        return RunEnd(RunState.FAILED, Reason.QUOTA_EXCEEDED.name, str(error))
    known = as_service_error(error) if isinstance(error, Exception) else ServiceError(Reason.INTERNAL, "cancelled")
    return RunEnd(RunState.FAILED, known.reason.name, known.message)
