"""Starts and stops synchronisation."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from index import AfterimageIndexError
from service.audit.chain import Details
from service.coordination.run_board import RunRef
from service.errors import ServiceError
from service.runtime.background import end_task
from service.sync.keeper import Keeper
from service.sync.model import Run
from service.sync.runs.lease import Lease, SyncParts
from service.sync.runs.lease_runner import LeaseRunner
from service.sync.runs.remote_workers import RemoteWorkers
from service.sync.synchronisation import Synchronisation
from service.sync.webhook import notify
from service.sync.worker import SyncWorker

_LOG = structlog.get_logger(__name__)


class Sync:
    """Synchronisation for one event loop. `calls`: those of tenants. `remote_workers`: those of remote workers."""

    def __init__(self, parts: SyncParts) -> None:
        self._parts = parts
        self.lease_runner = LeaseRunner(parts, self._ended)
        self.remote_workers = RemoteWorkers(parts, self.lease_runner)
        self._worker = SyncWorker(parts.server, parts.at_once, self._work)
        self.calls = Synchronisation(parts, self.lease_runner, self._worker.wake)
        self._keeper = Keeper(parts, self.calls, self.lease_runner, self._remember)
        self._notifications: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Starts to take runs if this server may."""
        if self._parts.at_once:
            self._worker.start(self._parts.board)
        self._keeper.start()

    async def let_go(self) -> None:
        """Ends calls that last as long as a run. The server is about to stop."""
        self.calls.closing.set()
        await self.remote_workers.stop()

    def note_progress(self) -> None:
        """Records the state of the ledgers in the manifests of their tenants."""
        self._parts.ledgers.note_progress()

    async def stop(self) -> None:
        """Releases all runs. They continue after the next start."""
        await self._keeper.stop()
        await self._worker.stop()
        for task in list(self._notifications):
            await end_task(task)
        await self._parts.fetcher.close()
        await self._parts.readers.close()
        await asyncio.to_thread(self._parts.ledgers.close)

    async def _work(self, ref: RunRef, epoch: int) -> None:
        await self.lease_runner.work(Lease(ref, epoch, self._parts.server))

    async def _remember(self, tenant_uid: str, run: Run) -> None:
        """Adds a run's end to the audit log, and marks it as reported.

        If this fails, the keeper tries again. A kill in between may lead to two entries, but never to none.
        """
        counts = run.counts
        details: Details = {
            "run": run.run_id, "collection": run.collection, "state": str(run.state), "created": counts.created,
            "updated": counts.updated, "deleted": counts.deleted, "failed": counts.failed,
        }  # fmt: skip
        try:
            await asyncio.to_thread(self._parts.audit.add, tenant_uid, "server", "run.end", details)
            ledger = await asyncio.to_thread(self._parts.ledgers.of, tenant_uid)
            await asyncio.to_thread(ledger.move, run.run_id, {run.state}, lambda r: replace(r, untold=False))
        except AfterimageIndexError as error:
            _LOG.error("could not write the end of a run to the audit log; retrying", exc_info=error)

    async def _ended(self, tenant_uid: str, run: Run) -> None:
        """Notifies the source's webhook, if it has one and the run changed something or waits."""
        if not run.untold:
            return
        await self._remember(tenant_uid, run)
        try:
            ledger = await asyncio.to_thread(self._parts.ledgers.of, tenant_uid)
            source = await asyncio.to_thread(ledger.source, run.source_id)
            hosts = (await asyncio.to_thread(self._parts.ledgers.place, tenant_uid)).allowed_hosts
        except (ServiceError, AfterimageIndexError):
            return  # the source was deleted
        hook = source.config.webhook
        if hook.url and hook.secret:
            task = asyncio.create_task(notify(self._parts.fetcher, source, run, hosts))
            self._notifications.add(task)
            task.add_done_callback(self._notifications.discard)
