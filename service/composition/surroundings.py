"""What surrounds every call of a server, whatever its transport: who may call, how much, and for how long."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from service.calls.admission import CallAdmission, Credentials, Refusals
from service.calls.gate import Gate
from service.calls.limits.blocklist import Blocklist
from service.calls.limits.call_limiter import CallLimiter
from service.calls.limits.failures import AuthenticationFailures
from service.calls.limits.keyless import KeylessCalls
from service.calls.pipeline import CallPipeline, Deadlines
from service.calls.recording import CallRecording
from service.composition.parts import call_limits_of, connection_limits_of
from service.metrics import Metrics
from service.rpc.transport.connections import close_connection
from service.runtime.access_log import AccessLog
from service.runtime.source_filter import Network, drop_sources
from service.settings.model import Settings
from service.tenancy.allowances import Allowances
from service.tenancy.registry import TenantRegistry
from service.tracing.spans import Tracer
from service.web.connections import Connections

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """Shared by all transports. `connections`: of the HTTP port."""

    gate: Gate
    admission: CallAdmission
    limiter: CallLimiter
    keyless: KeylessCalls
    connections: Connections
    deadlines: Deadlines

    def pipeline(self, recording: CallRecording, tracer: Tracer, access_log: AccessLog) -> CallPipeline:
        """What a call goes through."""
        return CallPipeline(
            self.gate, self.admission, self.limiter, self.deadlines, recording, tracer=tracer, access_log=access_log
        )  # fmt: skip


def surroundings_of(
    settings: Settings, registry: TenantRegistry, allowances: Allowances, metrics: Metrics
) -> Surroundings:
    """What surrounds the calls of a server."""
    gate = Gate()
    keyless, connections = _keyless(metrics, settings)
    secret = settings.worker_secret.get_secret_value() if settings.worker_secret else ""
    credentials = Credentials(registry.api_keys, settings.region, secret)
    failures = AuthenticationFailures(settings.max_failed_auths_per_s)
    admission = CallAdmission(credentials, allowances, Refusals(failures, keyless, metrics), gate)
    limiter = CallLimiter(call_limits_of(settings), metrics)
    deadlines = Deadlines(settings.default_deadline_s, settings.max_deadline_s)
    return Surroundings(gate, admission, limiter, keyless, connections, deadlines)


def _keyless(metrics: Metrics, settings: Settings) -> tuple[KeylessCalls, Connections]:
    """Returns what counts calls without a key, and the connections of the HTTP port, which it closes."""

    def close(peer: str) -> None:
        if connections.close_peer(peer) or close_connection(peer):
            metrics.connections_closed.inc()

    def block(networks: Collection[Network]) -> None:
        metrics.blocked_addresses.set(len(networks))
        sockets = drop_sources(networks)
        _LOG.info("ignoring addresses without a key", addresses=len(networks), sockets=sockets)

    blocklist = Blocklist(block, settings.keyless_block_s, settings.http_proxies)
    keyless = KeylessCalls(close, refused=blocklist.note)
    connections = Connections(connection_limits_of(settings, keyless), metrics)
    return keyless, connections
