"""One run, through its states: fetch, plan, apply, finish. Whatever it finds done already it does not do again, so that
any worker can take up where another was cut off."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from index import Failure
from service.engine.engine import Engine
from service.engine.picture_encoding import Looking
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feed_input.fetching import FeedFetcher, FeedPlace, FetchedFeed
from service.sync.feed_input.spooling import closing_spool
from service.sync.feeds.model import FeedError, FeedFormat, Item, Problem
from service.sync.ledger import Ledger, now_ms
from service.sync.model import CONFIG, WORKING, Counts, Plan, Run, RunState, Source, SourceState
from service.sync.runs.apply import Applier, Job
from service.sync.runs.plan import Difference, Step, make_plan
from service.sync.runs.staging import Staging, Told

MAX_FAILED_SHARE = 0.05
LIVE = WORKING | {RunState.QUEUED}
_UNCHANGED = ("UNCHANGED", "the feed has not changed since the last run")
_BY_LINE = frozenset({FeedFormat.TABLE, FeedFormat.JSONL, FeedFormat.SHOPIFY_CSV})


class RunEnd(Exception):
    """A run is over, or waits for somebody, and why."""

    def __init__(self, state: RunState, reason: str = "", message: str = "") -> None:
        super().__init__(message)
        self.state, self.reason, self.message = state, reason, message


@dataclass
class Progress:
    """What a run is at, for people who watch. total: records to be dealt with; before: of those, done when this worker
    began. Written by the run alone."""

    state: RunState = RunState.QUEUED
    read: int = 0
    total: int = 0
    started: float = 0.0
    before: int = 0
    counts: Callable[[], Counts] = Counts

    def facts(self) -> dict[str, object]:
        """As it is shown: with the rate in records a second, and the seconds that are left."""
        counts, spent = self.counts(), time.monotonic() - self.started if self.started else 0.0
        rate = (counts.done - self.before) / spent if spent > 1.0 else 0.0
        left = (self.total - counts.done) / rate if rate else 0.0
        return {
            "state": str(self.state), "items_read": self.read, "total": self.total, "done": counts.done,
            "failed": counts.failed, "per_s": round(rate, 1), "eta_s": round(left),
        }  # fmt: skip


@dataclass(frozen=True)
class RunParts:
    """What the runs of a tenant work with."""

    engine: Engine
    looking: Looking
    fetcher: FeedFetcher
    readers: FeedReaders
    ledger: Ledger
    place: FeedPlace
    data_key: bytes


class Runner:
    """Of one run, under one lease."""

    def __init__(self, parts: RunParts, source: Source, run: Run, job: Job, progress: Progress) -> None:
        self._parts, self._source, self._job, self.progress = parts, source, job, progress
        self._workers = parts.engine.workers
        self._elsewhere = run.collection != source.config.collection  # the source's state is not about that collection
        self.run = run

    async def go(self) -> None:
        """Takes the run to its end and says which that is by RunEnd. Raises StaleEpoch or LeaseLost where somebody else
        has it, ServiceError, FeedError or OSError."""
        path = staging_path(self._parts.place, self.run.run_id)
        staging = await self._workers.upkeep(Staging, path, self._parts.data_key)
        try:
            told = await self._workers.upkeep(staging.told) or await self._stage(staging)
            plan = await self._plan(staging, told)
            counts = await self._apply(staging, plan)
            await self._finish(plan, told, counts)
        finally:
            await asyncio.shield(self._workers.upkeep(staging.close))

    # ---- fetching

    async def _stage(self, staging: Staging) -> Told:
        await self._move(RunState.FETCHING)
        config, state = self._source.config, self._source.state
        config_digest = hashlib.sha256(CONFIG.dump_json(config)).hexdigest()
        comparable = state.config_digest == config_digest and not self.run.full and not self._elsewhere
        known = state if comparable else replace(state, feed_digest="", etag="", last_modified="")
        fetched = await self._parts.fetcher.fetch(config, known, self._parts.place)
        if fetched.spool is None:
            raise RunEnd(RunState.SUCCEEDED, *_UNCHANGED)
        async with closing_spool(fetched.spool):
            if fetched.digest == known.feed_digest and fetched.spool.size:
                raise RunEnd(RunState.SUCCEEDED, *_UNCHANGED)
            await self._move(RunState.PLANNING)
            return await self._workers.upkeep(self._fill, staging, fetched, config_digest)

    def _fill(self, staging: Staging, fetched: FetchedFeed, config_digest: str) -> Told:
        spool, state = fetched.spool, self._source.state
        assert spool is not None
        kind, items = self._items(fetched)
        if kind in _BY_LINE and state.format == kind and state.ends_in_newline and not spool.ends_in_newline:
            raise FeedError("FEED_TRUNCATED", "the last line of the feed has no line end, although it had one before")
        validators = fetched.validators
        after = replace(
            state, feed_digest=fetched.digest, config_digest=config_digest, format=str(kind),
            etag=validators.etag, last_modified=validators.last_modified, ends_in_newline=spool.ends_in_newline,
        )  # fmt: skip
        return staging.fill(items, after, self._job.url_digest, self._heard)

    def _items(self, fetched: FetchedFeed) -> tuple[FeedFormat, Iterator[Item | Problem]]:
        config, spool, files = self._source.config, fetched.spool, self._parts.place.files
        assert spool is not None
        if config.url.startswith(PREFIX) and files.path(config.url).is_dir():
            return FeedFormat.FOLDER, iter(files.items(config.url))
        return self._parts.readers.read_feed(spool.reader(), spool.size, config.options, config.url)

    def _heard(self, items: int) -> None:
        self.progress.read = items

    # ---- planning

    async def _plan(self, staging: Staging, told: Told) -> Plan:
        if told.after.items == 0:
            what = f"; {told.problems} items are unusable" if told.problems else ""
            raise RunEnd(RunState.BLOCKED, "FEED_EMPTY", f"the feed has no items{what}; nothing was changed")
        await self._move(RunState.PLANNING)
        steps = self._steps(staging, await self._workers.upkeep(self._failures))
        config, state = self._source.config, SourceState() if self._elsewhere else self._source.state
        before = self.run.plan
        plan = await self._workers.upkeep(make_plan, steps, told, config, state)
        await self._change(lambda r: replace(r, plan=plan))
        self._check(plan, before)
        return plan

    def _steps(self, staging: Staging, failures: dict[str, Failure]) -> Iterator[Step]:
        marks = self._job.collection.sourced.marks(self._source.source_id)
        return Difference(self._source.config, failures).steps(staging.records(), marks)

    def _failures(self) -> dict[str, Failure]:
        found: dict[str, Failure] = {}
        after = ""
        while page := self._job.collection.sourced.failures(self._source.source_id, after):
            found.update((f.record_id, f) for f in page)
            after = page[-1].record_id
        return found

    def _check(self, plan: Plan, before: Plan) -> None:
        """Lets a plan pass that is within its limits, or approved. An approval is for the plan that was shown, or, once
        some of it is done, for what is left of the same feed."""
        if self.run.dry_run:
            raise RunEnd(RunState.PLANNED, "", "; ".join(plan.concerns))
        same_feed = before.feed_digest == plan.feed_digest and plan.delete <= self.run.approved_deletes
        approved = bool(self.run.approved) and (self.run.approved == plan.digest or same_feed)
        if plan.concerns and not approved:
            raise RunEnd(RunState.AWAITING_APPROVAL, "LIMITS", "; ".join(plan.concerns))

    # ---- applying

    async def _apply(self, staging: Staging, plan: Plan) -> Counts:
        await self._move(RunState.APPLYING)
        applier = await self._workers.upkeep(Applier, self._parts.engine, self._job, self._parts.looking)
        progress, done = self.progress, applier.counts.done
        progress.total, progress.started = plan.changes + done, time.monotonic()
        progress.before = done
        progress.counts = lambda: applier.counts
        failures = await self._workers.upkeep(self._failures)
        await applier.apply(self._steps(staging, failures))
        failed, attempted = applier.counts.failed, max(1, plan.pictures + plan.update_attributes)
        if plan.delete and failed > MAX_FAILED_SHARE * attempted:
            message = f"{failed / attempted:.0%} of the changes failed, so nothing was deleted; see the failures"
            raise RunEnd(RunState.SUCCEEDED_WITH_ERRORS, "DELETES_WITHHELD", message)
        await applier.delete(self._steps(staging, failures))
        return applier.counts

    async def _finish(self, plan: Plan, told: Told, counts: Counts) -> None:
        await self._move(RunState.FINALISING)
        after = told.after
        spent = time.monotonic() - self.progress.started
        speed = counts.encoded / spent if counts.encoded >= 100 and spent > 1 else after.pictures_per_s
        if counts.failed or plan.failed_before:  # the same feed is to be looked at again
            after = replace(after, feed_digest="", etag="", last_modified="")
        after = replace(after, success_ms=now_ms(), pictures_per_s=round(speed, 2))
        if not self._elsewhere:
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
    """Where a run's staging database lies."""
    return place.spool_folder / f"{run_id}.db"
