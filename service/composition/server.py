"""Puts a server together. The only place where all its parts meet."""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog
from aiohttp.web import Request

from index import CollectionCache, DataDirectory, LocalVectorIndexes, Usage
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.admission import CallAdmission, Credentials, Refusals
from service.calls.gate import Gate
from service.calls.handlers import bind
from service.calls.interceptor import CallPipeline, Deadlines, Interceptor
from service.calls.limits.blocklist import Blocklist
from service.calls.limits.call_limiter import CallLimiter
from service.calls.limits.failures import AuthenticationFailures
from service.calls.limits.keyless import KeylessCalls
from service.calls.methods import METHODS
from service.calls.recording import CallRecording
from service.composition.data_directory import node_name, version
from service.composition.parts import (
    admission_of,
    call_limits_of,
    certificates_of,
    connection_limits_of,
    decoders_of,
    encoders_of,
    entry_of,
    feed_fetcher,
    fetch_counter,
    object_store_of,
    picture_fetcher,
    tracer_of,
    transport_of,
)
from service.config import process_environment
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.admission import Admission
from service.engine.download_links import DownloadLinks
from service.engine.engine import Engine
from service.engine.picture_storage import PictureStorage
from service.engine.pictures import EncodingPipeline
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.erasure.erasing import Erasing, ErasingParts
from service.erasure.finishing import Finishing
from service.erasure.remains import Remains
from service.handlers.assemble import Dependencies, handlers_of
from service.handlers.reports import ReportSources
from service.health import Health
from service.lifecycle import Lifecycle, ServerParts
from service.maintenance import MaintainedParts, metrics_of_collections, refresh_gauges
from service.metrics import Metrics
from service.objects.links import Links
from service.objects.sealed import SealedObjects
from service.outcomes import StateParts, States
from service.rpc.server import RpcServer
from service.rpc.transport.connections import close_connection
from service.runtime.access_log import AccessLog
from service.runtime.process import decoder_environment
from service.runtime.protections import protections
from service.runtime.source_filter import Network, drop_sources
from service.settings.model import Settings
from service.sync.feed_input.fetching import FeedFetcher
from service.sync.ledgers import Ledgers
from service.sync.runs.lease import SyncParts
from service.sync.sync import Sync
from service.tenancy.allowances import Allowances
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from service.tracing.spans import Tracer
from service.training.own import OwnModels
from service.training.own_training import OwnTraining
from service.training.stores import TrainingStores
from service.training.training_job import TrainerParts
from service.web.api.callers import Callers
from service.web.api.door import ApiDoor
from service.web.connections import Connections
from service.web.console.pages import ConsolePages
from service.web.embeddings.calls import call_finder
from service.web.http import HttpPlace, HttpServer, Pages
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import Page, Vitals
from service.web.pictures import LinkLimits, PicturePage
from service.web.push_webhook import PUSH_PATH, PushParts, PushWebhook
from service.web.ximilar.door import XIMILAR_ROOT, XimilarDoor

_LOG = structlog.get_logger(__name__)
_LINKS, _REDIS_NAMES = "picture links", "names in redis"


def engine_of(
    settings: Settings, registry: TenantRegistry, metrics: Metrics, allowances: Allowances,
    beside: Callable[[str], Usage] = lambda uid: Usage(),
) -> Engine:  # fmt: skip
    """What does the work of all calls; its pictures are to be started, and its parts closed, by the caller. beside:
    what a tenant stores beside its collections."""
    encoders, workers = encoders_of(settings), Workers(settings.cores)
    admission = Admission(admission_of(settings))
    pictures = EncodingPipeline(encoders, workers, decoders_of(settings), admission, metrics, allowances.picture)
    indexes = LocalVectorIndexes(query_shift=encoders.query_shift)
    cache = CollectionCache(indexes, settings.index_bytes, budget_files=settings.collection_files)
    spaces = TenantSpaces(
        DataDirectory(settings.data_dir), registry, cache, settings.region, beside,
        lambda quota: metrics.quota_refusals.labels(quota).inc(),
    )  # fmt: skip
    sources = Sources(picture_fetcher(settings, fetch_counter(metrics)), registry.fetch_hosts, workers, metrics)
    picture_storage = PictureStorage(SealedObjects(object_store_of(settings), registry.data_key), workers)
    return Engine(spaces, encoders, pictures, sources, workers, metrics, allowances, picture_storage)


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


def assemble(settings: Settings, registry: TenantRegistry, redis: EmbeddedRedis | None) -> Lifecycle:
    metrics, gate = Metrics(), Gate()
    coordinator = Coordinator(redis.url if redis else settings.redis_url)
    allowances = Allowances(registry.limits, coordinator.rates, metrics)
    stores = TrainingStores(DataDirectory(settings.data_dir), registry)
    engine = engine_of(settings, registry, metrics, allowances, stores.usage)
    tracer = tracer_of(settings, metrics, engine.encoders)
    audit = AuditLogs(DataDirectory(settings.data_dir), registry)
    ledgers = Ledgers(DataDirectory(settings.data_dir), registry, settings.feeds_dir, settings.max_image_bytes)
    recorder = Recorder(audit, States(StateParts(engine, ledgers, stores, registry.access)).look)
    metrics.changes_in_progress.set_function(lambda: recorder.in_progress)
    secret = settings.worker_secret.get_secret_value() if settings.worker_secret else ""
    failures, limiter = (
        AuthenticationFailures(settings.max_failed_auths_per_s),
        CallLimiter(call_limits_of(settings), metrics),
    )
    tallies = Tallies(audit, recorder)
    credentials = Credentials(registry.api_keys, settings.region, secret)
    keyless, connections = _keyless(metrics, settings)
    admission = CallAdmission(credentials, allowances, Refusals(failures, keyless, metrics), gate)
    deadlines = Deadlines(settings.default_deadline_s, settings.max_deadline_s)
    recording = CallRecording(audit, recorder, tallies)
    access_log = AccessLog()
    pipeline = CallPipeline(gate, admission, limiter, deadlines, recording, tracer=tracer, access_log=access_log)
    sync = _sync_of(settings, registry, ledgers, engine, coordinator, audit, tracer)
    training, place = (
        _training(stores, engine, audit, recorder.owner),
        HttpPlace(secure=settings.http_secure),
    )
    download_links = DownloadLinks(
        Links(registry.secret(_LINKS)), registry.api_keys, engine.workers,
        {"picture": engine.kept_picture, "example": training.picture},
        lambda: settings.http_public_url.rstrip("/") or place.loopback_url,
    )  # fmt: skip
    remains = Remains(engine, training)
    finishing = Finishing(audit, recorder, remains, metrics)
    erasing = Erasing(ErasingParts(engine, ledgers, training, remains, finishing))
    reports = ReportSources(
        lambda: protections(settings, engine.pictures.decoders.protections, for_tenant=True), registry.access,
        registry.read_audit, stores, registry.region,
    )  # fmt: skip
    dependencies = Dependencies(
        engine,
        sync.calls,
        sync.remote_workers,
        audit,
        registry.read_audit,
        registry.access,
        erasing,
        download_links,
        training,
        reports,
    )
    certificates = certificates_of(settings)
    transport, of_http = transport_of(settings, certificates), certificates if settings.http_secure else None
    handlers = bind(METHODS, handlers_of(dependencies, version(), transport.max_message_bytes))
    interceptor, health = Interceptor(pipeline, handlers), Health(gate)
    rpc = RpcServer(transport, interceptor, keyless)
    entry = entry_of(settings, of_http)
    api, callers = ApiDoor(interceptor, keyless, entry, call_finder()), Callers(entry)
    pictures = PicturePage(download_links.open, LinkLimits(limiter, keyless, callers.peer))
    reading: dict[str, Page] = {"/pictures/{token}": pictures.get}
    doors: dict[str, Page] = {}
    push_parts = PushParts(sync.calls.signed_pushes, admission, recorder, gate)
    doors[PUSH_PATH] = PushWebhook(push_parts, LinkLimits(limiter, keyless, callers.peer)).handle
    if settings.ximilar_door:
        doors[XIMILAR_ROOT] = XimilarDoor(interceptor, keyless, entry).handle

    def admits(request: Request) -> bool:
        return keyless.admit(callers.peer(request))

    if settings.console_on:
        reading |= ConsolePages(callers, admits, settings.console_picture_origins).pages()
    access = MetricsAccess(settings.metrics_token_file, closed=not settings.http_metrics_open)
    pages = Pages(reading, doors, api.handle, not settings.metrics, access, admits, connections, of_http)
    vitals = Vitals(
        metrics, health.readiness, lambda: refresh_gauges(engine, metrics), lambda: metrics_of_collections(engine)
    )
    http = HttpServer(vitals, place, pages)
    monitoring = HttpServer(vitals, HttpPlace(), Pages(access=MetricsAccess(settings.metrics_token_file)))
    maintained = MaintainedParts(
        settings.data_dir, settings.min_free_disk_bytes, engine, registry, audit, recorder, tallies, finishing, health,
        limiter, metrics, redis, coordinator, sync, training,
    )  # fmt: skip
    return Lifecycle(
        ServerParts(
            settings, version(), engine, audit, recorder, tallies, gate, health, metrics, rpc, http, monitoring,
            certificates, redis, coordinator, sync, training, maintained, tracer, access_log,
        )
    )  # fmt: skip


def _sync_of(
    settings: Settings,
    registry: TenantRegistry,
    ledgers: Ledgers,
    engine: Engine,
    coordinator: Coordinator,
    audit: AuditLogs,
    tracer: Tracer,
) -> Sync:
    fetcher = FeedFetcher(feed_fetcher(settings, fetch_counter(engine.metrics)))
    server = node_name(DataDirectory(settings.data_dir))
    board = coordinator.board(server, registry.secret(_REDIS_NAMES))
    parts = SyncParts(engine, ledgers, board, fetcher, engine.metrics, server, settings.sync_runs, audit, tracer=tracer)
    return Sync(parts)


def _training(stores: TrainingStores, engine: Engine, audit: AuditLogs, owner: str) -> OwnTraining:
    environment = decoder_environment(process_environment())
    return OwnTraining(TrainerParts(stores, engine, OwnModels(stores, engine), audit, environment, owner))
