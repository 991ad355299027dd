"""Puts a query process together: it answers searches and look-ups over collections that the writer's process changes,
and forwards all other calls to it. It has no encoder loaded, no decoders, no HTTP port, and writes to no tenant's
files."""

from __future__ import annotations

from index import DataDirectory
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.handlers import Handler
from service.calls.interceptor import Interceptor
from service.calls.limits.large_responses import LargeResponses
from service.calls.recording import RecordedElsewhere
from service.composition.data_directory import version
from service.composition.parts import certificates_of, tracer_of, transport_of
from service.composition.server import engine_of
from service.composition.surroundings import surroundings_of
from service.coordination.client import Coordinator
from service.coordination.embedded import socket_path
from service.engine.engine import Engine
from service.handlers.records import RecordHandlers
from service.handlers.search import SearchHandlers
from service.metrics import Metrics
from service.processes.followed_spaces import FollowedSpaces
from service.processes.query_lifecycle import QueryLifecycle, QueryParts
from service.processes.role import Role, writer_socket
from service.rpc.forwarding.local_calls import ANSWERED_HERE, LocalCalls
from service.rpc.forwarding.query_methods import QueryMethods
from service.rpc.forwarding.writer_channel import WriterChannel
from service.rpc.server import RpcServer
from service.runtime.access_log import AccessLog
from service.settings.model import Settings
from service.tenancy.allowances import Allowances
from service.tenancy.registry import TenantRegistry


def assemble_queries(settings: Settings, registry: TenantRegistry, role: Role) -> QueryLifecycle:
    """A query process, not yet started. Raises SettingError."""
    data, metrics = DataDirectory(settings.data_dir), Metrics()
    metrics.build.labels(version()).set(1)
    coordinator = Coordinator(settings.redis_url or f"unix://{socket_path(data.redis.resolve())}")
    allowances = Allowances(registry.limits, coordinator.rates, metrics)
    surroundings = surroundings_of(settings, registry, allowances, metrics)
    engine = engine_of(settings, registry, metrics, allowances, follows=True)
    assert isinstance(engine.spaces, FollowedSpaces)
    writer, access_log = WriterChannel(writer_socket(data), settings.send_timeout_s), AccessLog()
    tracer, certificates = tracer_of(settings, metrics, engine.encoders), certificates_of(settings)
    calls = LocalCalls(engine, writer).handlers(_handlers(engine, settings.max_message_bytes))
    interceptor = Interceptor(surroundings.pipeline(_recording(data, registry), tracer, access_log), calls)
    methods = QueryMethods(interceptor, certificates, writer, calls)
    rpc = RpcServer(transport_of(settings, certificates, role), interceptor, surroundings.keyless, methods)
    return QueryLifecycle(
        QueryParts(
            role, settings.drain_timeout_s, engine, engine.spaces, registry.api_keys, surroundings.gate,
            surroundings.limiter, metrics, rpc, writer, coordinator, certificates, tracer, access_log,
        )
    )  # fmt: skip


def _handlers(engine: Engine, max_message_bytes: int) -> dict[str, Handler]:
    responses = LargeResponses(max_message_bytes)
    services = {
        "afterimage.v1.SearchService": SearchHandlers(engine, engine.metrics, responses),
        "afterimage.v1.RecordService": RecordHandlers(engine, engine.metrics, responses),
    }
    bound: dict[str, Handler] = {}
    for path in ANSWERED_HERE:
        _, service, name = path.split("/")
        bound[path] = getattr(services[service], name)
    return bound


def _recording(data: DataDirectory, registry: TenantRegistry) -> RecordedElsewhere:
    audit = AuditLogs(data, registry)
    recorder = Recorder(audit, lambda *_: None)
    return RecordedElsewhere(audit, recorder, Tallies(audit, recorder))
