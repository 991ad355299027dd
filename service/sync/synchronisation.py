"""The calls of tenants: sources, previews, runs, approvals, failures, undo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from index import Failure
from service.coordination.run_board import BoardAway
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feed_input.spooling import closing_spool
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions
from service.sync.feeds.preview import Preview
from service.sync.ledger import Ledger
from service.sync.model import ENDED, WORKING, Run, RunState
from service.sync.runs.lease import SyncParts
from service.sync.runs.lease_runner import LeaseRunner
from service.sync.runs.run import LIVE, staging_path
from service.sync.runs.staging import remove
from service.sync.schedule import next_due_ms
from service.sync.source_model import Source, SourceConfig
from service.sync.sources.checks import check_authorization, check_config, check_options, check_place
from service.sync.sources.secrets import ChangedSource, merged
from service.tenancy.keyring import Principal

P = ParamSpec("P")
T = TypeVar("T")
APPROVAL_MS = 86_400_000
_WATCH_EVERY_S = 0.5
_PREVIEWS = 4  # concurrent previews


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


class Synchronisation:
    """The calls of tenants, for one event loop. All methods raise ServiceError."""

    def __init__(self, parts: SyncParts, lease_runner: LeaseRunner, wake: asyncio.Event) -> None:
        """`wake` is set when there is a run to take."""
        self._parts, self._lease_runner, self._wake = parts, lease_runner, wake
        self._clock = parts.clock
        self.closing = asyncio.Event()
        self._previews = asyncio.Semaphore(_PREVIEWS)

    # ---- sources

    async def create_source(self, principal: Principal, config: SourceConfig) -> Source:
        """Registers a source of an existing collection."""
        check_config(config, new=True)
        await self._check_reachable(principal, config)
        await self._parts.engine.collection(principal, config.collection)
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._write(ledger.add_source, config)
        await self.schedule(principal.tenant_uid, source)
        return source

    async def sources(self, principal: Principal) -> list[Source]:
        """The tenant's sources."""
        ledger = await self._ledger(principal.tenant_uid)
        return await self._read(ledger.sources)

    async def source(self, principal: Principal, name: str) -> Source:
        """One source, by name or id."""
        ledger = await self._ledger(principal.tenant_uid)
        return await self._read(ledger.source, name)

    async def update_source(self, principal: Principal, name: str, wanted: SourceConfig) -> ChangedSource:
        """Changes a source. Its name and collection cannot change.

        Secrets that the request omits are preserved if their origin does not change.
        """
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._read(ledger.source, name)
        merging = merged(source.config, wanted)
        config = merging.config
        if (config.name, config.collection) != (source.config.name, source.config.collection):
            message = "the name and collection of a source cannot be changed; delete it and create another"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="source.collection")
        check_config(config, new=False)
        await self._check_reachable(principal, config)
        changed = await self._write(ledger.change_source, source.source_id, config)
        await self.schedule(principal.tenant_uid, changed)
        return ChangedSource(changed, merging.origins, merging.dropped)

    async def delete_source(self, principal: Principal, name: str) -> int:
        """Deletes a source. Its records stay, without a source. Returns how many there are."""
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._read(ledger.source, name)
        live = [r for r in await self._read(ledger.runs, source.source_id) if r.state not in ENDED]
        if any(r.state is not RunState.AWAITING_APPROVAL for r in live):
            raise ServiceError(Reason.RUN_ACTIVE, "a run of this source has not ended; cancel it first", field="source")
        for run in live:
            await self.cancel(principal, run.run_id)
        released = 0
        try:
            collection = await self._parts.engine.collection(principal, source.config.collection)
            released = await self._write(collection.sourced.release, source.source_id)
        except ServiceError as error:
            if error.reason is not Reason.COLLECTION_NOT_FOUND:
                raise
        await self._write(ledger.delete_source, source.source_id)
        await self._ignoring_away(self._parts.board.set_due(f"{principal.tenant_uid}/{source.source_id}", 0))
        return released

    async def preview(self, principal: Principal, url: str, options: FeedOptions, authorization: str) -> Preview:
        """The first items of a feed, without registering anything."""
        check_place(url)
        check_authorization(url, authorization, "authorization")
        check_options(options)
        config = SourceConfig("preview", "", url, options=options, authorization=authorization)
        place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
        read = self._parts.engine.workers.read  # not `_read`, which would make a FeedError INTERNAL
        try:
            if url.startswith(PREFIX) and (await read(place.files.path, url)).is_dir():
                items = await read(lambda: tuple(place.files.items(url))[:20])
                return Preview(FeedFormat.FOLDER, items, ())
            async with self._previews:
                fetched = await self._parts.fetcher.beginning(config, place)
            assert fetched.spool is not None
            async with closing_spool(fetched.spool) as spool:
                preview = self._parts.readers.preview  # the reader is made, and so closed, in the thread
                return await read(lambda: preview(spool.reader(), spool.size, options, base_url=url))
        except FeedError as error:
            raise ServiceError(Reason.FEED_UNUSABLE, f"{error.reason}: {error}", field="url") from None

    # ---- runs

    async def start(self, principal: Principal, wanted: WantedRun) -> Run:
        """Queues a run. Raises RUN_ACTIVE if another run of the source has not ended."""
        if wanted.into:
            await self._parts.engine.collection(principal, wanted.into)
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
            return await self._parts.board.progress(run_id)
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
        while True:
            view = await self.run(principal, run_id)
            if view != seen:
                yield view
            if view.run.state in ENDED or view.run.state is RunState.AWAITING_APPROVAL:
                return
            seen = view
            if self.closing.is_set():
                raise ServiceError(Reason.SHUTTING_DOWN, "the server is stopping; watch again", retry_delay_s=1.0)
            await asyncio.sleep(_WATCH_EVERY_S)

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
        ref = self._parts.board.ref(principal.tenant_uid, run.collection, run_id)
        idle = {RunState.AWAITING_APPROVAL}
        if run_id not in self._lease_runner.working:
            idle.add(RunState.QUEUED)
        done = await self._write(ledger.move, run_id, idle, cancelled)
        if done is not None:
            await self._ignoring_away(self._parts.board.forget(ref))
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
        collection = await self._parts.engine.collection(principal, run.collection)
        return await self._write(collection.sourced.undo, run.source_id, run_id)

    async def exchange(self, principal: Principal, one: str, other: str) -> None:
        """Swaps the names of two collections. Raises RUN_ACTIVE while a run works on one of them."""
        for name in (one, other):
            await self._parts.engine.collection(principal, name)
        ledger = await self._ledger(principal.tenant_uid)
        if any(r.collection in (one, other) for r in await self._read(ledger.live_runs)):
            message = "a run of one of the collections has not ended; wait for it or cancel it"
            raise ServiceError(Reason.RUN_ACTIVE, message, field="collection")
        directory = await self._parts.engine.directory(principal)
        await self._write(directory.exchange, one, other)
        for source in await self._read(ledger.sources):  # its feed state describes the other collection
            if source.config.collection in (one, other):
                state = replace(source.state, feed_digest="", etag="", last_modified="")
                await self._write(ledger.note_state, source.source_id, state)

    # ---- failures

    async def failures(self, principal: Principal, source: str, after: str, limit: int) -> list[Failure]:
        """Records that could not be synchronised, ordered by id."""
        found = await self.source(principal, source)
        collection = await self._parts.engine.collection(principal, found.config.collection)
        return await self._read(collection.sourced.failures, found.source_id, after, limit)

    async def retry_failures(self, principal: Principal, source: str, ids: Sequence[str]) -> tuple[int, Run]:
        """Deletes failures (all if `ids` is empty) and starts a run that tries them again."""
        found = await self.source(principal, source)
        collection = await self._parts.engine.collection(principal, found.config.collection)
        forgotten = await self._write(collection.sourced.forget_failures, found.source_id, list(ids) or None)
        return forgotten, await self.start(principal, WantedRun(source, full=True, trigger="retry"))

    async def _check_reachable(self, principal: Principal, config: SourceConfig) -> None:
        """Raises ServiceError if the URL or the webhook's URL is one that this server never fetches."""
        place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
        for field, url in (("source.url", config.url), ("source.webhook_url", config.webhook.url)):
            try:
                if url:
                    await self._parts.fetcher.check(url, place)
            except ServiceError as error:
                raise ServiceError(error.reason, f"{field}: {error.message}", field=field) from None

    # ---- the board

    async def schedule(self, tenant_uid: str, source: Source) -> None:
        """Stores when the next run of a source begins. If Redis is unreachable, the keeper does it later."""
        config = source.config
        due = 0 if config.paused else next_due_ms(config.schedule, source.source_id, now_ms(self._clock))
        await self._ignoring_away(self._parts.board.set_due(f"{tenant_uid}/{source.source_id}", due))

    async def _submit(self, tenant_uid: str, run: Run) -> None:
        await self._ignoring_away(
            self._parts.board.submit(self._parts.board.ref(tenant_uid, run.collection, run.run_id))
        )
        self._wake.set()

    async def _ignoring_away(self, work: object) -> None:
        """Ignores an unreachable board: the ledger is authoritative, and the keeper updates the board later."""
        try:
            await work  # type: ignore[misc]
        except BoardAway:
            pass

    async def _ledger(self, tenant_uid: str) -> Ledger:
        return await self._read(self._parts.ledgers.of, tenant_uid)

    async def _read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._parts.engine.workers.read(function, *args, **kwargs)

    async def _write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._parts.engine.workers.write(function, *args, **kwargs)


def cancelled(run: Run) -> Run:
    """The run after it was cancelled on request."""
    return replace(run, state=RunState.CANCELLED, reason="CANCELLED", message="on request", ended_ms=now_ms())
