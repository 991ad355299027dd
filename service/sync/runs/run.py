"""One run, through its states: fetch, plan, apply, finish.

Completed work is not repeated, so that any worker can resume an interrupted run.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path

from index import Failure
from service.engine.engine import Engine
from service.engine.picture_encoding import PictureEncoder
from service.runtime.clock import Stopwatch, now_ms
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feed_input.fetching import FeedFetcher, FeedPlace, FetchedFeed
from service.sync.feed_input.spooling import closing_spool
from service.sync.feeds.model import FeedError, FeedFormat, Item, Problem
from service.sync.ledger import Ledger
from service.sync.model import WORKING, Counts, Run, RunState, SyncPlan
from service.sync.runs.apply import Applier
from service.sync.runs.plan import Difference, Step, make_plan
from service.sync.runs.preparing import SyncJob
from service.sync.runs.staging import FeedSummary, Staging
from service.sync.source_model import CONFIG, Source, SourceState

MAX_FAILED_SHARE = 0.05
LIVE = WORKING | {RunState.QUEUED}
_UNCHANGED = ("UNCHANGED", "the feed has not changed since the last run")
_BY_LINE = frozenset({FeedFormat.TABLE, FeedFormat.JSONL, FeedFormat.SHOPIFY_CSV})


class RunEnd(Exception):
    """A run has ended, or waits for approval."""

    def __init__(self, state: RunState, reason: str = "", message: str = "") -> None:
        super().__init__(message)
        self.state, self.reason, self.message = state, reason, message


@dataclass
class Progress:
    """The progress of a run, for display. Only the run writes it.

    - `total`: records to process.
    - `before`: how many of them were done when this worker began.
    """

    state: RunState = RunState.QUEUED
    read: int = 0
    total: int = 0
    watch: Stopwatch | None = None  # from the beginning of APPLYING
    before: int = 0
    counts: Callable[[], Counts] = Counts

    def seconds(self) -> float:
        """Seconds since the run began to apply its plan; 0 before."""
        return self.watch.seconds() if self.watch else 0.0

    def facts(self) -> dict[str, object]:
        """The progress as a dictionary, with the rate in records per second and the remaining seconds."""
        counts, spent = self.counts(), self.seconds()
        rate = (counts.done - self.before) / spent if spent > 1.0 else 0.0
        left = (self.total - counts.done) / rate if rate else 0.0
        return {
            "state": str(self.state), "items_read": self.read, "total": self.total, "done": counts.done,
            "failed": counts.failed, "per_s": round(rate, 1), "eta_s": round(left),
        }  # fmt: skip


@dataclass(frozen=True)
class RunParts:
    """The dependencies of the runs of a tenant."""

    engine: Engine
    picture_encoder: PictureEncoder
    fetcher: FeedFetcher
    readers: FeedReaders
    ledger: Ledger
    place: FeedPlace
    data_key: bytes


class Runner:
    """Executes one run under one lease."""

    def __init__(self, parts: RunParts, source: Source, run: Run, job: SyncJob, progress: Progress) -> None:
        self._parts, self._source, self._job, self.progress = parts, source, job, progress
        self._workers = parts.engine.workers
        self._other_collection = run.collection != source.config.collection  # the source's state is not for it
        self.run = run

    async def go(self) -> None:
        """Executes the run to its end, and raises RunEnd with the outcome.

        Raises StaleEpoch or LeaseLost if another worker has taken over; else ServiceError, FeedError or OSError.
        """
        path = staging_path(self._parts.place, self.run.run_id)
        staging = await self._workers.upkeep(Staging, path, self._parts.data_key)
        try:
            summary = await self._workers.upkeep(staging.summary) or await self._stage(staging)
            self._job = replace(self._job, feed_ms=summary.after.applied_ms)
            plan = await self._plan(staging, summary)
            counts = await self._apply(staging, plan)
            await self._finish(plan, summary, counts)
        finally:
            await asyncio.shield(self._workers.upkeep(staging.close))

    # ---- fetching

    async def _stage(self, staging: Staging) -> FeedSummary:
        await self._move(RunState.FETCHING)
        config, state = self._source.config, self._source.state
        config_digest = hashlib.sha256(CONFIG.dump_json(config)).hexdigest()
        comparable = state.config_digest == config_digest and not self.run.full and not self._other_collection
        known = state if comparable else replace(state, feed_digest="", etag="", last_modified="")
        began_ms = now_ms()
        fetched = await self._parts.fetcher.fetch(config, known, self._parts.place)
        if fetched.spool is None:
            raise RunEnd(RunState.SUCCEEDED, *_UNCHANGED)
        async with closing_spool(fetched.spool):
            if fetched.digest == known.feed_digest and fetched.spool.size:
                raise RunEnd(RunState.SUCCEEDED, *_UNCHANGED)
            await self._move(RunState.PLANNING)
            current_ms = feed_time(fetched, state, began_ms)
            return await self._workers.upkeep(self._fill, staging, fetched, config_digest, current_ms)

    def _fill(self, staging: Staging, fetched: FetchedFeed, config_digest: str, current_ms: int) -> FeedSummary:
        spool, state = fetched.spool, self._source.state
        assert spool is not None
        kind, items = self._items(fetched)
        if kind in _BY_LINE and state.format == kind and state.ends_in_newline and not spool.ends_in_newline:
            raise FeedError("FEED_TRUNCATED", "the last line of the feed has no line end, although it had one before")
        validators = fetched.validators
        after = replace(
            state, feed_digest=fetched.digest, config_digest=config_digest, format=str(kind),
            etag=validators.etag, last_modified=validators.last_modified, ends_in_newline=spool.ends_in_newline,
            applied_digest=fetched.digest, applied_ms=current_ms,
        )  # fmt: skip
        return staging.fill(items, after, self._job.url_digest, self._report_items)

    def _items(self, fetched: FetchedFeed) -> tuple[FeedFormat, Iterator[Item | Problem]]:
        config, spool, files = self._source.config, fetched.spool, self._parts.place.files
        assert spool is not None
        if config.url.startswith(PREFIX) and files.path(config.url).is_dir():
            return FeedFormat.FOLDER, iter(files.items(config.url))
        return self._parts.readers.read_feed(spool.reader(), spool.size, config.options, config.url)

    def _report_items(self, items: int) -> None:
        self.progress.read = items

    # ---- planning

    async def _plan(self, staging: Staging, summary: FeedSummary) -> SyncPlan:
        if summary.after.items == 0:
            what = f"; {summary.problems} items are unusable" if summary.problems else ""
            raise RunEnd(RunState.BLOCKED, "FEED_EMPTY", f"the feed has no items{what}; nothing was changed")
        await self._move(RunState.PLANNING)
        steps = await self._workers.upkeep(self._steps, staging, await self._workers.upkeep(self._failures))
        config, state = self._source.config, SourceState() if self._other_collection else self._source.state
        before = self.run.plan
        plan = await self._workers.upkeep(make_plan, steps, summary, config, state)
        await self._change(lambda r: replace(r, plan=plan))
        self._check(plan, before)
        return plan

    def _steps(self, staging: Staging, failures: dict[str, Failure]) -> Iterator[Step]:
        """For threads, because it reads what was pushed."""
        job, source_id = self._job, self._source.source_id
        pushed = job.sourced.pushed_since(source_id, job.feed_ms)
        return Difference(self._source.config, failures, pushed=pushed).steps(
            staging.records(), job.sourced.marks(source_id)
        )

    def _failures(self) -> dict[str, Failure]:
        found: dict[str, Failure] = {}
        after = ""
        while page := self._job.sourced.failures(self._source.source_id, after):
            found.update((f.record_id, f) for f in page)
            after = page[-1].record_id
        return found

    def _check(self, plan: SyncPlan, before: SyncPlan) -> None:
        """Raises RunEnd if the plan exceeds the limits without approval, or in a dry run.

        An approval holds for the plan that was shown. After a part of it is applied, it holds for the rest of the same
        feed.
        """
        if self.run.dry_run:
            raise RunEnd(RunState.PLANNED, "", "; ".join(plan.concerns))
        same_feed = before.feed_digest == plan.feed_digest and plan.delete <= self.run.approved_deletes
        approved = bool(self.run.approved) and (self.run.approved == plan.digest or same_feed)
        if plan.concerns and not approved:
            raise RunEnd(RunState.AWAITING_APPROVAL, "LIMITS", "; ".join(plan.concerns))

    # ---- applying

    async def _apply(self, staging: Staging, plan: SyncPlan) -> Counts:
        await self._move(RunState.APPLYING)
        applier = await self._workers.upkeep(Applier, self._parts.engine, self._job, self._parts.picture_encoder)
        job, progress, done = self._job, self.progress, applier.counts.done
        progress.total, progress.watch = plan.changes + done, Stopwatch()
        progress.before = done
        progress.counts = lambda: applier.counts
        failures = await self._workers.upkeep(self._failures)
        await self._workers.write(job.sourced.begin_feed, job.source_id, job.epoch, job.feed_ms)
        await applier.apply(await self._workers.upkeep(self._steps, staging, failures))
        failed, attempted = applier.counts.failed, max(1, plan.pictures + plan.update_attributes)
        if plan.delete and failed > MAX_FAILED_SHARE * attempted:
            message = f"{failed / attempted:.0%} of the changes failed, so nothing was deleted; see the failures"
            raise RunEnd(RunState.SUCCEEDED_WITH_ERRORS, "DELETES_WITHHELD", message)
        await applier.delete(await self._workers.upkeep(self._steps, staging, failures))
        return applier.counts

    async def _finish(self, plan: SyncPlan, summary: FeedSummary, counts: Counts) -> None:
        await self._move(RunState.FINALISING)
        after = summary.after
        spent = self.progress.seconds()
        speed = counts.encoded / spent if counts.encoded >= 100 and spent > 1 else after.pictures_per_s
        if counts.failed or plan.failed_before:  # the next run must process the same feed again
            after = replace(after, feed_digest="", etag="", last_modified="")
        after = replace(after, success_ms=now_ms(), pictures_per_s=round(speed, 2))
        await self._workers.write(self._job.sourced.forget_pushed, self._job.source_id, self._job.feed_ms)
        if not self._other_collection:
            await self._workers.write(self._parts.ledger.note_state, self._source.source_id, after)
        if counts.failed:
            raise RunEnd(RunState.SUCCEEDED_WITH_ERRORS, "RECORDS_FAILED", f"{counts.failed} records failed")
        raise RunEnd(RunState.SUCCEEDED)

    # ---- the run in the ledger

    async def _move(self, state: RunState) -> None:
        await self._change(lambda r: replace(r, state=state))
        self.progress.state = state

    async def _change(self, change: Callable[[Run], Run]) -> None:
        changed = await self._workers.write(self._parts.ledger.move, self.run.run_id, LIVE, change)
        if changed is None:
            raise RunEnd(RunState.CANCELLED)
        self.run = changed


def staging_path(place: FeedPlace, run_id: str) -> Path:
    """The path of a run's staging database."""
    return place.spool_folder / f"{run_id}.db"


def feed_time(fetched: FetchedFeed, state: SourceState, began_ms: int) -> int:
    """When a feed was current, in milliseconds since 1970: its Last-Modified, else when it was first fetched.

    `began_ms`: when fetching began. A Last-Modified that is in the future, or does not move although the feed has
    changed, does not count.
    """
    if fetched.digest == state.applied_digest and fetched.spool is not None and fetched.spool.size:
        return state.applied_ms
    try:
        modified_ms = int(parsedate_to_datetime(fetched.validators.last_modified).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return began_ms
    return modified_ms if state.applied_ms < modified_ms <= began_ms else began_ms
