"""What happens to a run that stops, and to other runs of the same source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from index import CollectionNotFound, QuotaExceeded
from service.engine.faults import as_service_error
from service.errors import Code, Reason, ServiceError
from service.runtime.clock import now_ms
from service.runtime.retry import RetryPolicy
from service.sync.feeds.model import FeedError
from service.sync.ledger import Ledger
from service.sync.model import Run, RunState
from service.sync.runs.run import RunEnd
from service.sync.runs.staging import remove

MAX_ATTEMPTS = 5  # consecutive attempts without progress
_RETRIES = RetryPolicy({Code.UNAVAILABLE}, first_s=10.0, longest_s=600.0, tries=MAX_ATTEMPTS)


def supersede(ledger: Ledger, folder: Path, run: Run) -> None:
    """Ends runs that wait for approval once a newer run has processed the feed."""
    for old in ledger.waiting_runs():
        if old.run_id != run.run_id and (old.source_id, old.collection) == (run.source_id, run.collection):
            ended = now_ms()
            superseded = replace(old, state=RunState.SUPERSEDED, ended_ms=ended, message=f"by run {run.run_id}")
            ledger.move(old.run_id, {RunState.AWAITING_APPROVAL}, lambda _, new=superseded: new)  # type: ignore[misc]
            remove(folder / f"{old.run_id}.db")


def superseded_by_same_plan(ledger: Ledger, run_id: str, end: RunEnd) -> RunEnd:
    """Returns SUPERSEDED if another run waits with the same plan, else `end`.

    People approve the run of which they were notified first.
    """
    run = ledger.run(run_id)
    for old in ledger.waiting_runs():
        if (old.source_id, old.collection, old.plan.digest) == (run.source_id, run.collection, run.plan.digest):
            return RunEnd(RunState.SUPERSEDED, "SAME_PLAN", f"run {old.run_id} waits for approval with the same plan")
    return end


def is_reported(run: Run, reason: str) -> bool:
    """Whether an end goes to the audit log and the webhook: if the run changed something, or waits."""
    return not run.dry_run and reason not in ("UNCHANGED", "SAME_PLAN")


def queued(run: Run, message: str) -> Run:
    """The run in the state QUEUED for another attempt."""
    return replace(run, state=RunState.QUEUED, message=message)


def retry_delay_s(error: BaseException, attempts: int) -> float | None:
    """Seconds until the run is tried again; None if that is pointless."""
    return _RETRIES.pause_s(error, attempts)


def failure(error: BaseException) -> RunEnd:
    """The end that corresponds to an error."""
    if isinstance(error, FeedError):
        return RunEnd(RunState.BLOCKED, error.reason, f"{error}; nothing was changed")
    if isinstance(error, CollectionNotFound):
        return RunEnd(RunState.FAILED, Reason.COLLECTION_NOT_FOUND.name, str(error))
    if isinstance(error, QuotaExceeded):
        return RunEnd(RunState.FAILED, Reason.QUOTA_EXCEEDED.name, str(error))
    known = as_service_error(error) if isinstance(error, Exception) else ServiceError(Reason.INTERNAL, "cancelled")
    return RunEnd(RunState.FAILED, known.reason.name, known.message)
