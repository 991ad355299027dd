"""The composition root: settings in, a server out. The only place where the parts meet."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
import signal
from collections.abc import Callable
from importlib.metadata import version as distribution_version
from pathlib import Path

from index import DataDirectory, DirectoryLock, HotCollections, LocalVectorIndexes, WrongKey
from index.storage import replace_file, write_synced
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.door import Door, DoorLimits
from service.calls.failures import AuthenticationFailures
from service.calls.gate import Gate
from service.calls.interceptor import Admitting, Guard
from service.calls.keyless import KeylessCalls
from service.config import Settings, process_environment
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.admission import Admission, AdmissionLimits
from service.encoder.decode_pool.pool import Decoders, DecodingLimits
from service.encoder.execution import Hardware
from service.encoder.registry import EncoderRegistry
from service.engine.download_links import HandingOut
from service.engine.engine import Engine
from service.engine.picture_storage import Keeping
from service.engine.pictures import PictureEncoder
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.erasure.erasing import Erasing, ErasingParts
from service.erasure.finishing import Finishing
from service.erasure.remains import Remains
from service.errors import SettingError
from service.intake.download.fetch import Fetcher, FetchLimits
from service.intake.download.host_limits import HostLimits
from service.intake.formats import OPTIONAL, Format, missing_package
from service.intake.limits import PictureLimits
from service.lifecycle import Addresses, Lifecycle, Parts, refresh_gauges
from service.metrics import Metrics
from service.objects.links import Links
from service.objects.sealed import SealedObjects
from service.objects.store import Bucket, ObjectStore
from service.outcomes import StateParts, States
from service.rpc.server import RpcServer, Served
from service.rpc.transport.certificates import TlsFiles
from service.rpc.transport.connections import close_connection
from service.rpc.transport.options import Transport
from service.runtime.ports import check_free
from service.runtime.process import (
    decoder_environment,
    dumps_forbidden,
    freed_memory_is_overwritten,
    raise_open_files,
)
from service.sync.feed_input.fetching import FeedFetcher
from service.sync.feeds.inflate import MAX_FEED_BYTES
from service.sync.ledgers import Ledgers
from service.sync.runs.lease_runner import SyncParts
from service.sync.sync import Sync
from service.tenancy.allowances import Allowances
from service.tenancy.companions import check_there
from service.tenancy.masterkey import MasterKey, load_master_key, printed_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.rewrap import finish
from service.tenancy.spaces import TenantSpaces
from service.training.own import OwnModels
from service.training.own_training import OwnTraining
from service.training.stores import TrainingStores
from service.training.trainer import TrainerParts
from service.web.http import HttpServer
from service.web.pictures import picture_page

_LINKS, _REDIS_NAMES = "picture links", "names in redis"
_REGION = re.compile(r"[a-z0-9-]{0,32}")
_NODE_NAME = re.compile(r"[0-9a-f]{8,64}")
_LOG = logging.getLogger(__name__)


def version() -> str:
    """The version of this distribution."""
    return distribution_version("afterimage")


def master_key_of(settings: Settings) -> MasterKey:
    """The master key, made where the data directory is new. Raises SettingError."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    if settings.master_key_command:
        secret = printed_master_key(settings.master_key_command)
    data = DataDirectory(settings.data_dir)
    fresh = not data.registry.exists() and not data.tenants.exists()
    return load_master_key(settings.key_file, secret, create=fresh)


def open_registry(settings: Settings, *, create: bool = False) -> TenantRegistry:
    """The registry of tenants in the data directory; `create` makes both, and a master key, where they are new.

    Several processes may have it open. Raises SettingError where there is none, or the master key is another's, and
    DataFault where the file is missing, damaged or older than it must be.
    """
    data = DataDirectory(settings.data_dir)
    if not create and not data.registry.exists():
        check_there(data.registry)
        raise SettingError.about(
            "data_dir",
            f"{data.root} is not a data directory; pass the server's with --data-dir or "
            "AFTERIMAGE_DATA_DIR (`afterimage serve` and `afterimage tenants create` create one)",
        )
    data.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return TenantRegistry(data.registry, master_key_of(settings))
    except WrongKey:
        if not finish(data.registry, settings.key_file):
            raise _other_master_key(settings, data) from None
        _LOG.warning("an interrupted change of the master key was completed")
        return TenantRegistry(data.registry, master_key_of(settings))


def _other_master_key(settings: Settings, data: DataDirectory) -> SettingError:
    if settings.master_key_command:
        name, key = "master_key_command", "the key that it prints"
    elif settings.master_key:
        name, key = "master_key", "this key"
    else:
        name, key = "master_key_file", str(settings.key_file)
    return SettingError.about(
        name,
        f"{key} does not open {data.registry}: it belongs to another server, or one of the two "
        "files is damaged; restore the master key of this data directory, or run `afterimage "
        "doctor --repair`, which uses a copy of the registry",
    )


def encoders_of(settings: Settings) -> EncoderRegistry:
    """The encoders that the settings name. Raises SettingError."""
    hardware = Hardware(settings.cores, settings.model_provider, settings.model_threads, settings.max_batch_size)
    return EncoderRegistry(settings.encoders_dir, settings.default_encoder, hardware)


def limits_of(settings: Settings) -> PictureLimits:
    """The limits on one picture. Raises SettingError for a format that is not known, or whose package is missing."""
    formats, known = tuple(dict.fromkeys(settings.image_formats)), [kind.value for kind in OPTIONAL]
    for name in formats:
        if name not in known:
            raise SettingError.about("image_formats", f"{name!r} is not one of {', '.join(known)}")
        package = missing_package(Format(name))
        if package:
            raise SettingError.about(
                "image_formats", f"{name} needs the package {package}: pip install 'afterimage[{name}]'"
            )
    return PictureLimits(
        settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side, settings.max_image_ratio, formats
    )


def decoders_of(settings: Settings) -> Decoders:
    """The sandboxed decoders, not yet started."""
    processes = settings.decode_processes or settings.cores
    environment = decoder_environment(process_environment())
    return Decoders(DecodingLimits(processes, settings.decode_timeout_s, environment), limits_of(settings))


async def serve(settings: Settings, on_ready: Callable[[Addresses], None]) -> None:
    """Runs a server until SIGTERM or SIGINT; SIGHUP has its TLS files read again.

    Raises SettingError or DirectoryLocked where it cannot start."""
    raise_open_files()
    stop_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_asked.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)  # nothing to read again yet
    _check_forgetting(settings)
    check_free({"listen": settings.listen, "http": settings.http})  # before anything is made
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = DataDirectory(settings.data_dir)
    lock = DirectoryLock(data.lock)
    lock.acquire()
    try:
        registry = open_registry(settings, create=True)
        write_region(data, settings.region)
        _node_name(data)  # before anything is started
        redis = await _start_redis(settings, data)  # before gRPC, whose threads a fork would disturb
        lifecycle = _assemble(settings, registry, redis)
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lifecycle.read_again)
            addresses = await lifecycle.start()
            on_ready(addresses)
            await stop_asked.wait()
        finally:
            await lifecycle.stop()
            registry.close()
    finally:
        lock.release()


def write_region(data: DataDirectory, region: str) -> None:
    """Notes where the server of a data directory says that its data lies, for commands that make tenants."""
    if read_region(data) != region:
        write_synced(data.region, region.encode())


def read_region(data: DataDirectory) -> str | None:
    """What `write_region` noted; None where no server has run on the directory. Raises SettingError."""
    if not data.region.exists() and not data.region.is_symlink():
        return None
    region = _text_of(data.region)
    if region is None or not _REGION.fullmatch(region):
        raise SettingError.about(
            "data_dir", f"{data.region} does not contain a region; remove it, and the next start creates it"
        )
    return region


def region_of(settings: Settings) -> str:
    """Where the data directory's server says that its data lies; before one has run, what the settings say."""
    noted = read_region(DataDirectory(settings.data_dir))
    return settings.region if noted is None else noted


def _check_forgetting(settings: Settings) -> None:
    if freed_memory_is_overwritten() and dumps_forbidden():
        return
    message = "freed memory is not overwritten, or core dumps are possible; `afterimage doctor --privacy` shows which"
    if settings.strict_forgetting:
        raise SettingError.about("strict_forgetting", message)
    _LOG.warning(message)


async def _start_redis(settings: Settings, data: DataDirectory) -> EmbeddedRedis | None:
    if settings.redis_url:
        return None
    redis = EmbeddedRedis(data.redis)
    await redis.start()
    return redis


def engine_of(settings: Settings, registry: TenantRegistry, metrics: Metrics, allowances: Allowances) -> Engine:
    """What does the work of all calls; its pictures are to be started, and its parts closed, by the caller."""
    encoders, workers = encoders_of(settings), Workers(settings.cores)
    admission = Admission(admission_of(settings))
    pictures = PictureEncoder(encoders, workers, decoders_of(settings), admission, metrics, allowances.picture)
    shelf = HotCollections(LocalVectorIndexes(), settings.index_bytes, budget_files=settings.collection_files)
    spaces = TenantSpaces(DataDirectory(settings.data_dir), registry, shelf, settings.region)
    sources = Sources(picture_fetcher(settings), registry.fetch_hosts, workers, metrics)
    keeping = Keeping(SealedObjects(object_store_of(settings), registry.data_key), workers)
    return Engine(spaces, encoders, pictures, sources, workers, metrics, allowances, keeping)


def object_store_of(settings: Settings) -> ObjectStore:
    """Where sealed objects lie. Raises SettingError."""
    secret, bucket = settings.object_store_secret_key, None
    if settings.object_store:
        bucket = Bucket(
            settings.object_store, settings.object_store_endpoint, settings.object_store_region,
            settings.object_store_access_key, secret.get_secret_value() if secret else "",
        )  # fmt: skip
    return ObjectStore(DataDirectory(settings.data_dir).objects, bucket)


def _handing_out(registry: TenantRegistry, engine: Engine) -> HandingOut:
    handing_out = HandingOut(Links(registry.secret(_LINKS)), registry.api_keys, engine.workers)
    handing_out.openers["picture"] = engine.kept_picture
    return handing_out


def _keyless(metrics: Metrics) -> KeylessCalls:
    def close(peer: str) -> None:
        if close_connection(peer):
            metrics.connections_closed.inc()

    return KeylessCalls(close)


def _assemble(settings: Settings, registry: TenantRegistry, redis: EmbeddedRedis | None) -> Lifecycle:
    metrics, gate = Metrics(), Gate()
    coordinator = Coordinator(redis.url if redis else settings.redis_url)
    allowances = Allowances(registry.limits, coordinator.rates)
    engine = engine_of(settings, registry, metrics, allowances)
    deadlines_s = (settings.default_deadline_s, settings.max_deadline_s)
    audit = AuditLogs(DataDirectory(settings.data_dir), registry)
    ledgers = Ledgers(DataDirectory(settings.data_dir), registry, settings.feeds_dir, settings.max_image_bytes)
    stores = TrainingStores(DataDirectory(settings.data_dir), registry)
    recorder = Recorder(audit, States(StateParts(engine, ledgers, stores, registry.access)).look)
    secret = settings.worker_secret.get_secret_value() if settings.worker_secret else ""
    failures, door = AuthenticationFailures(settings.max_failed_auths_per_s), Door(door_limits_of(settings), metrics)
    tallies = Tallies(audit, recorder)
    admitting = Admitting(
        registry.api_keys, failures, _keyless(metrics), allowances, audit, recorder, tallies, settings.region, secret
    )
    guard = Guard(admitting, door, gate, deadlines_s)
    sync = _sync_of(settings, registry, ledgers, engine, coordinator, audit)
    handing_out, training = _handing_out(registry, engine), _training(stores, engine, audit, recorder.owner)
    remains = Remains(engine, training)
    finishing = Finishing(audit, recorder, remains)
    erasing = Erasing(ErasingParts(engine, ledgers, training, remains, finishing))
    handing_out.openers["example"] = training.picture
    served = Served(
        engine, sync.calls, sync.elsewhere, audit, registry.read_audit, registry.access, erasing, handing_out, training
    )
    rpc = RpcServer(_transport(settings), served, guard, version())
    http = HttpServer(metrics, lambda: lifecycle.readiness(), lambda: refresh_gauges(engine, metrics))
    http.add("/pictures/{token}", picture_page(handing_out.open))
    handing_out.base = lambda: settings.http_public_url.rstrip("/") or http.loopback_url
    parts = Parts(
        settings,
        version(),
        engine,
        registry,
        audit,
        recorder,
        tallies,
        finishing,
        gate,
        door,
        metrics,
        rpc,
        http,
        redis,
        coordinator,
        sync,
        training,
    )
    lifecycle = Lifecycle(parts)
    return lifecycle


def _sync_of(
    settings: Settings,
    registry: TenantRegistry,
    ledgers: Ledgers,
    engine: Engine,
    coordinator: Coordinator,
    audit: AuditLogs,
) -> Sync:
    fetcher = FeedFetcher(_feed_fetcher(settings))
    server = _node_name(DataDirectory(settings.data_dir))
    board = coordinator.board(server, registry.secret(_REDIS_NAMES))
    parts = SyncParts(engine, ledgers, board, fetcher, engine.metrics, server, settings.sync_runs, audit)
    return Sync(parts)


def _node_name(data: DataDirectory) -> str:
    """The server's name, made with the data directory. Raises SettingError."""
    if not data.node.exists() and not data.node.is_symlink():
        replace_file(data.node, secrets.token_hex(8).encode())
    name = _text_of(data.node)
    if name is None or not _NODE_NAME.fullmatch(name):
        raise SettingError.about(
            "data_dir", f"{data.node} does not contain a node name; remove it, and the next start creates a new one"
        )
    return name


def _text_of(path: Path) -> str | None:
    """What a small file says; None where it cannot be read, or is no text."""
    try:
        return path.read_bytes().decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _training(stores: TrainingStores, engine: Engine, audit: AuditLogs, owner: str) -> OwnTraining:
    environment = decoder_environment(process_environment())
    return OwnTraining(TrainerParts(stores, engine, OwnModels(stores, engine), audit, environment, owner))


def admission_of(settings: Settings) -> AdmissionLimits:
    """How many pictures may be inside at a time."""
    return AdmissionLimits(
        settings.max_queue_size, settings.max_queue_bytes, settings.max_search_wait_s,
        places=(settings.decode_processes or settings.cores) + 4 * settings.cores,
    )  # fmt: skip


def picture_fetcher(settings: Settings) -> Fetcher | None:
    """What fetches pictures by URL; None where the settings say that none are fetched."""
    if not settings.fetch_urls:
        return None
    exempt = tuple(ipaddress.ip_network(n) for n in settings.fetch_networks)
    limits = FetchLimits(
        max_bytes=settings.max_image_bytes, total_s=settings.fetch_timeout_s, http=settings.fetch_http, exempt=exempt
    )
    return Fetcher(limits, HostLimits(settings.fetch_per_host, settings.fetch_rate_per_host))


def _feed_fetcher(settings: Settings) -> Fetcher | None:
    if not settings.fetch_urls:
        return None
    exempt = tuple(ipaddress.ip_network(n) for n in settings.fetch_networks)
    limits = FetchLimits(
        max_bytes=MAX_FEED_BYTES, total_s=settings.feed_timeout_s, silence_s=30.0, http=settings.fetch_http,
        exempt=exempt, what="feed", accept="*/*",
    )  # fmt: skip
    return Fetcher(limits, HostLimits(settings.fetch_per_host, settings.fetch_rate_per_host))


def door_limits_of(settings: Settings) -> DoorLimits:
    """How much of the server the calls may hold."""
    return DoorLimits(
        settings.max_concurrent_calls, settings.max_streams, settings.in_flight_bytes, settings.max_message_bytes,
        settings.message_timeout_s, settings.stream_idle_timeout_s, settings.send_timeout_s,
    )  # fmt: skip


def _tls_files(settings: Settings) -> TlsFiles | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_cert, settings.tls_key, settings.client_ca, settings.client_crl)


def _transport(settings: Settings) -> Transport:
    return Transport(
        settings.listen, _tls_files(settings), settings.max_message_bytes, settings.connections,
        settings.min_ping_interval_s, settings.reflection,
    )  # fmt: skip
