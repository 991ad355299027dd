"""Start, drain and stop of a server, in that order. What runs in between is in `maintenance`.

Health tells the truth throughout: NOT_SERVING while encoders load, SERVING while calls are accepted and the disk has
room, NOT_SERVING again as soon as a stop is asked for, while calls that run may finish.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import structlog

from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.gate import Gate
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.engine.engine import Engine
from service.health import Health
from service.maintenance import MaintainedParts, Maintenance
from service.metrics import Metrics
from service.rpc.forwarding.internal_server import InternalServer
from service.rpc.server import RpcServer
from service.runtime.access_log import AccessLog
from service.runtime.certificates import Certificates
from service.runtime.clock import SYSTEM_CLOCK
from service.runtime.process import freeze_gc
from service.settings.addresses import split_address
from service.settings.model import Settings
from service.sync.sync import Sync
from service.tracing.spans import Tracer
from service.training.own_training import OwnTraining
from service.web.http import HttpServer

_LOG = structlog.get_logger(__name__)
_LAST_WORDS_S = 0.5


@dataclass(frozen=True)
class ServerParts:
    """What a running server consists of, as `service.composition` puts it together. internal: where query processes
    forward calls to, if there are any."""

    settings: Settings
    version: str
    engine: Engine
    audit: AuditLogs
    recorder: Recorder
    tallies: Tallies
    gate: Gate
    health: Health
    metrics: Metrics
    rpc: RpcServer
    http: HttpServer
    monitoring: HttpServer
    certificates: Certificates | None
    redis: EmbeddedRedis | None
    coordinator: Coordinator
    sync: Sync
    training: OwnTraining
    maintained: MaintainedParts
    tracer: Tracer
    access_log: AccessLog
    internal: InternalServer | None = None


@dataclass(frozen=True)
class Addresses:
    """Where the server listens, HOST:PORT. `http` and `metrics` are empty if they are disabled."""

    grpc: str
    http: str
    metrics: str = ""


class Lifecycle:
    """Runs one server once."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts, self._metrics = parts, parts.metrics
        self._maintenance = Maintenance(parts.maintained, self._show_health)

    async def start(self) -> Addresses:
        """Starts everything and returns once calls are accepted. Raises SettingError."""
        parts, settings = self._parts, self._parts.settings
        self._metrics.build.labels(parts.version).set(1)
        facts = await parts.coordinator.check()
        await parts.rpc.start()
        http = await _listen(parts.http, settings.http, "http")
        metrics = await _listen(parts.monitoring, settings.metrics, "metrics")
        await parts.engine.start(settings.default_encoder)
        host, _ = settings.listen.rsplit(":", 1)
        addresses = Addresses(f"{host}:{parts.rpc.port}", http, metrics)
        await parts.coordinator.announce(secrets.token_hex(8), addresses.grpc, parts.version)
        self._maintenance.start()
        freeze_gc()  # nothing else gets on meanwhile, so before calls are accepted
        parts.gate.open = True
        if parts.internal is not None:
            await parts.internal.start()
        parts.sync.start()
        await parts.training.start()
        self._show_health()
        version = parts.version
        if settings.http and not (settings.metrics or settings.metrics_token_file or settings.http_metrics_open):
            _LOG.warning("/metrics is not served, since other machines reach http: set metrics or metrics_token_file")
        _LOG.info("ready", listen=addresses.grpc, http=http, metrics=metrics, redis=facts.version, version=version)
        return addresses

    async def stop(self) -> None:
        """Drains, then closes everything: running calls finish, changed collections are saved while there is time."""
        parts = self._parts
        parts.rpc.set_serving(False)
        _LOG.info("draining")
        parts.gate.open = False
        await parts.sync.let_go()
        ends = SYSTEM_CLOCK.elapsed_s() + parts.settings.drain_timeout_s
        await parts.gate.close(parts.settings.drain_timeout_s)
        if parts.internal is not None:
            await parts.internal.stop(_LAST_WORDS_S)
        await parts.rpc.stop(_LAST_WORDS_S)  # what is open now are watchers of health, or calls past their time
        await parts.recorder.drain(max(1.0, ends - SYSTEM_CLOCK.elapsed_s()))  # changes whose callers did not wait
        await parts.tallies.settle(all_of_them=True)
        await self._maintenance.stop()
        await parts.sync.stop()
        await parts.training.stop()
        await parts.engine.close_collections(parts.settings.snapshot_timeout_s)
        await asyncio.to_thread(parts.audit.close)
        await parts.http.stop()
        await parts.monitoring.stop()
        await parts.coordinator.close()
        if parts.redis is not None:
            await parts.redis.stop()
        await parts.engine.close_threads()
        await asyncio.to_thread(parts.tracer.close)
        await parts.access_log.close()
        _LOG.info("stopped")

    def read_again(self) -> None:
        """Reads the TLS files again. Each new connection does so too."""
        if self._parts.certificates is not None:
            self._parts.certificates.read_again()

    def _show_health(self) -> None:
        ready = self._parts.health.ready()
        self._metrics.ready.set(ready)
        self._parts.rpc.set_serving(ready)


async def _listen(server: HttpServer, address: str, setting: str) -> str:
    """Starts a server on an address of the settings. Returns HOST:PORT, or nothing if the setting is empty."""
    if not address:
        return ""
    host, port = split_address(address, setting)
    await server.start(host, port, setting)
    return f"{host}:{server.port}"
