"""Maintenance of a running server: what is done every few seconds beside the calls, and its gauges."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from index import trim_heap
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.limits.call_limiter import CallLimiter
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.manifest import Manifest
from service.engine.engine import Engine
from service.erasure.finishing import Finishing
from service.erasure.other_servers import OtherServers
from service.health import Health
from service.metrics import CollectionMetrics, Metrics
from service.rpc.forwarding.followers import Followers
from service.runtime.background import end_task
from service.runtime.clock import Interval, now_ms
from service.runtime.process import open_files
from service.settings.model import open_files_limit
from service.sync.sync import Sync
from service.tenancy.registry import TenantRegistry
from service.training.own_training import OwnTraining

_LOG = structlog.get_logger(__name__)
_EVERY_S = 2.0
_NOTE_USES_EVERY_S = 60.0
_NOTE_PROGRESS_EVERY_S = 10.0
_SWEEP_EVERY_S = 600.0
_MOST_COLLECTIONS = 1000  # of which metrics are shown


@dataclass(frozen=True)
class MaintainedParts:
    """What maintenance looks after. `redis`: the embedded one, if any."""

    data_dir: Path
    min_free_disk_bytes: int
    engine: Engine
    registry: TenantRegistry
    audit: AuditLogs
    recorder: Recorder
    tallies: Tallies
    finishing: Finishing
    health: Health
    limiter: CallLimiter
    metrics: Metrics
    redis: EmbeddedRedis | None
    coordinator: Coordinator
    sync: Sync
    training: OwnTraining
    followers: Followers
    others: OtherServers | None = None


class Maintenance:
    """A periodic task for one event loop."""

    def __init__(self, parts: MaintainedParts, show_health: Callable[[], None]) -> None:
        """`show_health` is called after each round, which may have changed the health."""
        self._parts, self._show_health = parts, show_health
        self._engine, self._spaces, self._pictures = parts.engine, parts.engine.spaces, parts.engine.pictures
        self._metrics, self._api_keys = parts.metrics, parts.registry.api_keys
        self._uses, self._progress = Interval(_NOTE_USES_EVERY_S), Interval(_NOTE_PROGRESS_EVERY_S)
        self._sweeps = Interval(_SWEEP_EVERY_S, at_once=True)
        self._task: asyncio.Task[None] | None = None
        self._erasing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the periodic task."""
        self._task = asyncio.create_task(self._run(), name="maintenance")
        if self._parts.others is not None:
            self._erasing = asyncio.create_task(self._parts.others.settle_for_ever(), name="erasing with other servers")

    async def stop(self) -> None:
        """Stops the periodic task."""
        for task in (self._task, self._erasing):
            if task is not None:
                await end_task(task)

    async def _run(self) -> None:
        await asyncio.to_thread(self._spaces.settle)
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._round()
            except Exception as error:  # the next round must follow; the cause is in the log
                _LOG.error("maintenance failed", exc_info=error)

    async def _round(self) -> None:
        parts = self._parts
        await asyncio.to_thread(self._forget_deleted)
        await asyncio.to_thread(self._spaces.maintain)
        if parts.limiter.became_idle():
            gc.collect()  # frees, and so overwrites, what calls left in cycles, such as the key of one that failed
        if parts.limiter.peak_was_released():
            await asyncio.to_thread(trim_heap)
        await parts.recorder.settle()
        await parts.tallies.settle()
        await self._delete_orphans()
        if self._uses.restart_if_over():
            await asyncio.to_thread(self._api_keys.note_uses)
        if self._progress.restart_if_over():
            for part in (self._spaces, parts.audit, parts.sync, parts.training, parts.registry):
                await asyncio.to_thread(part.note_progress)
        await self._check_health()

    def _forget_deleted(self) -> None:
        """Closes and removes what belongs to tenants that were deleted. For threads."""
        self._parts.audit.forget(set(self._parts.registry.deleted_uids()))
        self._spaces.remove_deleted()

    async def _delete_orphans(self) -> None:
        rarely = self._sweeps.restart_if_over()
        if rarely:
            await self._parts.finishing.finish_all()
            await asyncio.to_thread(self._parts.audit.prune_keys)
        for model in await asyncio.to_thread(self._sweep, rarely):
            await self._pictures.put_away(model)

    def _sweep(self, rarely: bool) -> list[Manifest]:
        """Deletes orphaned objects, and returns the models of deleted tenants. For threads.

        `rarely`: also looks for what is orphaned seldom.
        """
        storage, deleted = self._engine.picture_storage, self._parts.registry.deleted_uids()
        if rarely:
            self._parts.training.sweep()
        storage.sweep_deleted(deleted)
        storage.sweep_all(self._spaces.opened(), cold_too=rarely)
        return self._parts.training.forget(deleted)

    async def _check_health(self) -> None:
        parts = self._parts
        stopped = await asyncio.to_thread(self._spaces.stopped)
        await parts.followers.stop(stopped)
        self._metrics.tenants_stopped.set(len(stopped))
        tenants = len(await asyncio.to_thread(parts.registry.tenants))
        self._metrics.tenants.labels("stopped").set(len(stopped))
        self._metrics.tenants.labels("served").set(tenants - len(stopped))
        newest_ms = parts.audit.newest_ms()
        self._metrics.audit_head_age_s.set(max(0.0, (now_ms() - newest_ms) / 1000) if newest_ms else 0.0)
        who = "1 tenant is" if len(stopped) == 1 else f"{len(stopped)} tenants are"
        remarks: tuple[str, ...] = (f"{who} not served: see `afterimage doctor`",) if stopped else ()
        damaged = await asyncio.to_thread(self._spaces.damaged)
        which = "1 collection is" if damaged == 1 else f"{damaged} collections are"
        remarks += (f"{which} damaged: see `afterimage index verify`",) if damaged else ()
        free = (await asyncio.to_thread(shutil.disk_usage, parts.data_dir)).free
        parts.health.found(free >= parts.min_free_disk_bytes, remarks)
        if parts.redis is not None and await parts.redis.ensure_running():
            _LOG.warning("the embedded Redis had stopped and was restarted")
        self._metrics.redis_up.set(await parts.coordinator.healthy())
        self._show_health()


def metrics_of_collections(engine: Engine) -> bytes:
    """Metrics with a series for each collection in memory, in the Prometheus text format. For threads.

    Collections are named by the id of their directory. Of many, those with the lowest recall are shown.
    """
    found = CollectionMetrics()
    stats = [(c.home, c.stats()) for c in engine.spaces.loaded()]
    for home, one in sorted(stats, key=lambda s: 1.0 if s[1].recall is None else s[1].recall)[:_MOST_COLLECTIONS]:
        found.rows.labels(home).set(one.records)
        if one.recall is not None:
            found.recall.labels(home).set(one.recall)
            found.recall_sample.labels(home).set(one.recall_sample)
    return found.text()


def refresh_gauges(engine: Engine, metrics: Metrics) -> None:
    """Updates the gauges that are read, not counted."""
    spaces, cache = engine.spaces, engine.spaces.cache
    stats = [c.stats() for c in spaces.loaded()]
    metrics.encode_queue.set(engine.pictures.waiting())
    metrics.collections_open.set(len(stats))
    metrics.collections_damaged.set(spaces.damaged())
    metrics.rows.labels("live").set(sum(s.records for s in stats))
    metrics.rows.labels("tombstone").set(sum(s.tombstones for s in stats))
    metrics.index_bytes.set(cache.bytes())
    metrics.open_files.set(open_files())
    metrics.open_files_limit.set(open_files_limit())
    metrics.index_loads.set(cache.loads)
    metrics.recall_lowest.set(min((s.recall for s in stats if s.recall is not None), default=1.0))
