"""Puts a server together. The only place where all its parts meet."""

from __future__ import annotations

from collections.abc import Callable

from index import CollectionCache, DataDirectory, FollowedCache, FollowerIndexes, LocalVectorIndexes, Usage
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.handlers import bind
from service.calls.interceptor import Interceptor
from service.calls.methods import METHODS
from service.calls.recording import CallRecording
from service.composition.data_directory import node_name, version
from service.composition.http_port import HttpParts, pages_of
from service.composition.parts import (
    admission_of,
    certificates_of,
    decoders_of,
    detectors_of,
    encoders_of,
    feed_fetcher,
    fetch_counter,
    object_store_of,
    picture_fetcher,
    record_stores_of,
    tracer_of,
    transport_of,
)
from service.composition.surroundings import surroundings_of
from service.config import process_environment
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.admission import Admission
from service.engine.detection.pipeline import DetectionPipeline
from service.engine.download_links import DownloadLinks
from service.engine.engine import Engine
from service.engine.picture_storage import PictureStorage
from service.engine.pictures import EncodingPipeline
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.erasure.erasing import Erasing, ErasingParts
from service.erasure.finishing import Finishing
from service.erasure.other_servers import OtherServers
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
from service.processes.followed_spaces import FollowedSpaces
from service.processes.notes import NoteTaker
from service.processes.process_metrics import ProcessMetrics
from service.processes.role import Role, writer_socket
from service.rpc.forwarding.followers import Followers
from service.rpc.forwarding.internal_server import NOTES_PATH, STANDING_PATH, InternalServer
from service.rpc.server import RpcServer
from service.runtime.access_log import AccessLog
from service.runtime.process import decoder_environment
from service.runtime.protections import protections
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
from service.web.http import HttpPlace, HttpServer, Pages
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import Vitals
from service.web.push_webhook import PushParts

_LINKS, _REDIS_NAMES = "picture links", "names in redis"


def engine_of(
    settings: Settings, registry: TenantRegistry, metrics: Metrics, allowances: Allowances,
    beside: Callable[[str], Usage] = lambda uid: Usage(), *, follows: bool = False,
) -> Engine:  # fmt: skip
    """What does the work of all calls; its pictures are to be started, and its parts closed, by the caller. beside:
    what a tenant stores beside its collections. follows: another process writes, and this one only reads."""
    encoders, workers = encoders_of(settings), Workers(settings.cores)
    admission = Admission(admission_of(settings))
    pictures = EncodingPipeline(encoders, workers, decoders_of(settings), admission, metrics, allowances.picture)
    detection = DetectionPipeline(detectors_of(settings), pictures, workers, metrics, allowances.picture)
    data, budget = DataDirectory(settings.data_dir), (settings.index_bytes, settings.collection_files)
    spaces: TenantSpaces
    if follows:
        spaces = FollowedSpaces(data, registry, FollowedCache(FollowerIndexes(), *budget), settings.region)
    else:
        spaces = TenantSpaces(
            data, registry, CollectionCache(LocalVectorIndexes(), *budget, record_stores_of(settings)),
            settings.region, beside, lambda quota: metrics.quota_refusals.labels(quota).inc(),
        )  # fmt: skip
    sources = Sources(picture_fetcher(settings, fetch_counter(metrics)), registry.fetch_hosts, workers, metrics)
    picture_storage = PictureStorage(SealedObjects(object_store_of(settings), registry.data_key), workers)
    return Engine(spaces, encoders, pictures, detection, sources, workers, metrics, allowances, picture_storage)


def assemble(
    settings: Settings, registry: TenantRegistry, redis: EmbeddedRedis | None, role: Role | None = None
) -> Lifecycle:
    """A server, not yet started. `redis`: the embedded one; None: that of the settings is used. `role`: of this
    process, if the server has several."""
    metrics, data = Metrics(), DataDirectory(settings.data_dir)
    process_metrics, followers = ProcessMetrics(metrics), Followers(role.query_numbers if role else ())
    coordinator = Coordinator(redis.url if redis else settings.redis_url)
    allowances = Allowances(registry.limits, coordinator.rates, metrics)
    surroundings = surroundings_of(settings, registry, allowances, metrics)
    stores = TrainingStores(data, registry)
    engine = engine_of(settings, registry, metrics, allowances, stores.usage)
    tracer = tracer_of(settings, metrics, engine.encoders)
    audit, ledgers = AuditLogs(data, registry), Ledgers(data, registry, settings.feeds_dir, settings.max_image_bytes)
    recorder = Recorder(audit, States(StateParts(engine, ledgers, stores, registry.access)).look)
    metrics.changes_in_progress.set_function(lambda: recorder.in_progress)
    tallies, access_log = Tallies(audit, recorder), AccessLog()
    sync = _sync_of(settings, registry, ledgers, engine, coordinator, audit, tracer)
    training, place = _training(stores, engine, audit, recorder.owner), HttpPlace(secure=settings.http_secure)
    download_links = DownloadLinks(
        Links(registry.secret(_LINKS)), registry.api_keys, engine.workers,
        {"picture": engine.kept_picture, "example": training.picture},
        lambda: settings.http_public_url.rstrip("/") or place.loopback_url,
    )  # fmt: skip
    servers = registry.servers(node_name(data))
    others = OtherServers(servers, engine.spaces, registry, followers.forget) if servers is not None else None

    async def forget(tenant_uid: str) -> None:
        await followers.forget()
        if others is not None:
            await others.erase(tenant_uid)

    remains = Remains(engine, training, forget)
    finishing = Finishing(audit, recorder, remains, metrics)
    erasing = Erasing(ErasingParts(engine, ledgers, training, remains, finishing))
    reports = ReportSources(
        lambda: protections(settings, engine.pictures.decoders.protections, for_tenant=True), registry.access,
        registry.read_audit, stores, registry.region,
    )  # fmt: skip
    dependencies = Dependencies(
        engine, sync.calls, sync.remote_workers, audit, registry.read_audit, registry.access, erasing, download_links,
        training, reports,
    )  # fmt: skip
    certificates, gate = certificates_of(settings), surroundings.gate
    transport, health = transport_of(settings, certificates, role), Health(gate)
    handlers = bind(METHODS, handlers_of(dependencies, version(), transport.max_message_bytes))
    recording = CallRecording(audit, recorder, tallies)
    interceptor = Interceptor(surroundings.pipeline(recording, tracer, access_log), handlers)
    rpc = RpcServer(transport, interceptor, surroundings.keyless)
    taker = NoteTaker(engine, process_metrics)
    internal_methods = {NOTES_PATH: taker.take, STANDING_PATH: followers.report}
    internal = None if role is None else InternalServer(writer_socket(data), interceptor, internal_methods)
    pushes = PushParts(sync.calls.signed_pushes, surroundings.admission, recorder, gate)
    pages = pages_of(settings, HttpParts(interceptor, surroundings, pushes, download_links), certificates)
    vitals = Vitals(
        metrics,
        health.readiness,
        lambda: refresh_gauges(engine, metrics),
        lambda: metrics_of_collections(engine),
        process_metrics.text,
    )
    monitoring = HttpServer(vitals, HttpPlace(), Pages(access=MetricsAccess(settings.metrics_token_file)))
    maintained = MaintainedParts(
        settings.data_dir, settings.min_free_disk_bytes, engine, registry, audit, recorder, tallies, finishing, health,
        surroundings.limiter, metrics, redis, coordinator, sync, training, followers, others,
    )  # fmt: skip
    return Lifecycle(
        ServerParts(
            settings, version(), engine, audit, recorder, tallies, gate, health, metrics, rpc,
            HttpServer(vitals, place, pages), monitoring, certificates, redis, coordinator, sync, training, maintained,
            tracer, access_log, internal,
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
