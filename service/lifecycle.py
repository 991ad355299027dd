"""Start, upkeep, drain and stop of a server, in that order.

Health tells the truth throughout: NOT_SERVING while encoders load, SERVING while calls are accepted and the disk has
room, NOT_SERVING again as soon as a stop is asked for, while calls that run may finish.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import shutil
from dataclasses import dataclass

import structlog

from index import trim_heap
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.gate import Gate
from service.calls.limits.call_limiter import CallLimiter
from service.config import Settings, open_files_limit, split_address
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.manifest import Manifest
from service.engine.engine import Engine
from service.erasure.finishing import Finishing
from service.metrics import Metrics
from service.rpc.server import RpcServer
from service.runtime.background import end_task
from service.runtime.clock import Interval
from service.runtime.process import freeze_gc, open_files
from service.sync.sync import Sync
from service.tenancy.registry import TenantRegistry
from service.training.own_training import OwnTraining
from service.web.http import HttpServer, Readiness

_LOG = structlog.get_logger(__name__)
_UPKEEP_EVERY_S = 2.0
_LAST_WORDS_S = 0.5
_NOTE_EVERY_S = 60.0
_PROGRESS_EVERY_S = 10.0
_SWEEP_EVERY_S = 600.0


class Health:
    """Whether the server's calls are accepted and can be done, as upkeep last found it."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._healthy = gate, True
        self._remarks: tuple[str, ...] = ()

    def found(self, healthy: bool, remarks: tuple[str, ...]) -> None:
        """What upkeep finds. remarks: a line each for what is not served all the same."""
        self._healthy, self._remarks = healthy, remarks

    def ready(self) -> bool:
        """Whether calls are accepted and can be done."""
        return self._gate.open and self._healthy

    def readiness(self) -> Readiness:
        """As `/readyz` tells it."""
        return Readiness(self.ready(), self._remarks)


@dataclass(frozen=True)
class Parts:
    """What a running server consists of, as `service.composition` puts it together."""

    settings: Settings
    version: str
    engine: Engine
    registry: TenantRegistry
    audit: AuditLogs
    recorder: Recorder
    tallies: Tallies
    finishing: Finishing
    gate: Gate
    health: Health
    limiter: CallLimiter
    metrics: Metrics
    rpc: RpcServer
    http: HttpServer
    redis: EmbeddedRedis | None
    coordinator: Coordinator
    sync: Sync
    training: OwnTraining


@dataclass(frozen=True)
class Addresses:
    """Where the server listens; `http` is empty where it does not."""

    grpc: str
    http: str


class Lifecycle:
    """Runs one server once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._uses, self._progress = Interval(_NOTE_EVERY_S), Interval(_PROGRESS_EVERY_S)
        self._sweeps = Interval(_SWEEP_EVERY_S, at_once=True)
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Starts everything and returns once calls are accepted. Raises SettingError."""
        parts, settings = self._parts, self._parts.settings
        parts.metrics.build.labels(parts.version).set(1)
        facts = await parts.coordinator.check()
        await parts.rpc.start()
        http = await self._start_http()
        await asyncio.to_thread(parts.engine.spaces.remove_deleted)
        await parts.engine.pictures.start(settings.default_encoder)
        host, _ = settings.listen.rsplit(":", 1)
        addresses = Addresses(f"{host}:{parts.rpc.port}", http)
        await parts.coordinator.announce(secrets.token_hex(8), addresses.grpc, parts.version)
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")
        freeze_gc()  # nothing else gets on meanwhile, so before calls are accepted
        parts.gate.open = True
        parts.sync.start()
        await parts.training.start()
        self._show_health()
        _LOG.info("ready", listen=addresses.grpc, http=http, redis=facts.version, version=parts.version)
        return addresses

    async def stop(self) -> None:
        """Drains, then closes everything: running calls finish, changed collections are snapshotted."""
        parts = self._parts
        parts.rpc.set_serving(False)
        _LOG.info("draining")
        parts.gate.open = False
        await parts.sync.let_go()
        await parts.gate.close(parts.settings.drain_timeout_s)
        await parts.rpc.stop(_LAST_WORDS_S)  # what is open now are watchers of health, or calls past their time
        await parts.recorder.drain(parts.settings.drain_timeout_s)  # changes whose callers did not wait
        await parts.tallies.settle(all_of_them=True)
        if self._upkeep is not None:
            await end_task(self._upkeep)
        await parts.sync.stop()
        await parts.training.stop()
        await parts.engine.sources.close()
        await parts.engine.pictures.close()
        await asyncio.to_thread(parts.engine.spaces.close)
        await asyncio.to_thread(parts.audit.close)
        await parts.http.stop()
        await parts.coordinator.close()
        if parts.redis is not None:
            await parts.redis.stop()
        await asyncio.to_thread(parts.engine.workers.close)
        _LOG.info("stopped")

    def read_again(self) -> None:
        """Reads again what may change while the server runs: its TLS files."""
        self._parts.rpc.read_certificates_again()

    async def _start_http(self) -> str:
        if not self._parts.settings.http:
            return ""
        host, port = split_address(self._parts.settings.http, "http")
        await self._parts.http.start(host, port)
        return f"{host}:{self._parts.http.port}"

    async def _keep_up(self) -> None:
        await asyncio.to_thread(self._parts.engine.spaces.settle)
        while True:
            await asyncio.sleep(_UPKEEP_EVERY_S)
            try:
                await self._keep_up_once()
            except Exception as error:  # upkeep must go on; the cause is in the log
                _LOG.error("maintenance failed", exc_info=error)

    async def _keep_up_once(self) -> None:
        parts = self._parts
        await asyncio.to_thread(self._forget_deleted)
        await asyncio.to_thread(parts.registry.api_keys.watch)
        await asyncio.to_thread(parts.engine.spaces.maintain)
        if parts.limiter.became_idle():
            gc.collect()  # frees, and so overwrites, what calls left in cycles, such as the key of one that failed
        if parts.limiter.peak_was_released():
            await asyncio.to_thread(trim_heap)
        await parts.recorder.settle()
        await parts.tallies.settle()
        every = self._sweeps.restart_if_over()
        if every:
            await parts.finishing.finish_all()
        for model in await asyncio.to_thread(self._sweep, every):
            await parts.engine.pictures.put_away(model)
        if self._uses.restart_if_over():
            await asyncio.to_thread(parts.registry.api_keys.note_uses)
        if self._progress.restart_if_over():
            for part in (parts.engine.spaces, parts.audit, parts.sync, parts.training, parts.registry):
                await asyncio.to_thread(part.note_progress)
        stopped = await asyncio.to_thread(parts.engine.spaces.stopped)
        parts.metrics.tenants_stopped.set(len(stopped))
        who = "1 tenant is" if len(stopped) == 1 else f"{len(stopped)} tenants are"
        remarks = (f"{who} not served: see `afterimage doctor`",) if stopped else ()
        free = (await asyncio.to_thread(shutil.disk_usage, parts.settings.data_dir)).free
        parts.health.found(free >= parts.settings.min_free_disk_bytes, remarks)
        if parts.redis is not None and await parts.redis.ensure_running():
            _LOG.warning("the embedded Redis had stopped and was restarted")
        parts.metrics.redis_up.set(await parts.coordinator.healthy())
        self._show_health()

    def _forget_deleted(self) -> None:
        """Closes and removes what belongs to tenants that were deleted. For threads."""
        self._parts.audit.forget(set(self._parts.registry.deleted_uids()))
        self._parts.engine.spaces.remove_deleted()

    def _sweep(self, every: bool) -> list[Manifest]:
        """Deletes objects that are nobody's; returns models of tenants that are gone. every: also what is seldom
        looked for."""
        keeping, deleted = self._parts.engine.keeping, self._parts.registry.deleted_uids()
        if every:
            self._parts.training.sweep()
        keeping.sweep_deleted(deleted)
        keeping.sweep_all(self._parts.engine.spaces.opened(), cold_too=every)
        return self._parts.training.forget(deleted)

    def _show_health(self) -> None:
        ready = self._parts.health.ready()
        self._parts.metrics.ready.set(ready)
        self._parts.rpc.set_serving(ready)


def refresh_gauges(engine: Engine, metrics: Metrics) -> None:
    """Brings the gauges that are read, not counted, up to date."""
    stats = [c.stats() for c in engine.spaces.hot()]
    metrics.encode_queue.set(engine.pictures.waiting())
    metrics.collections_open.set(len(stats))
    metrics.collections_damaged.set(sum(c.damaged for c in engine.spaces.hot()))
    metrics.rows.labels("live").set(sum(s.records for s in stats))
    metrics.rows.labels("tombstone").set(sum(s.tombstones for s in stats))
    metrics.index_bytes.set(engine.spaces.shelf.bytes())
    metrics.open_files.set(open_files())
    metrics.open_files_limit.set(open_files_limit())
    metrics.index_loads.set(engine.spaces.shelf.loads)
    metrics.recall_lowest.set(min((s.recall for s in stats if s.recall is not None), default=1.0))
