"""The composition root: settings in, a server out. The only place where the parts meet."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from importlib.metadata import version as distribution_version

from index import DataDirectory, DirectoryLock
from service.config import Settings
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.encoder.batcher import BatcherLimits
from service.encoder.registry import EncoderRegistry
from service.engine.engine import Engine
from service.engine.pictures import PictureEncoder
from service.engine.workers import Workers
from service.intake.decode import prepare_opencv
from service.intake.limits import PictureLimits
from service.lifecycle import Addresses, Lifecycle, Parts, refresh_gauges
from service.metrics import Metrics
from service.rpc.guard import Gate, Guard
from service.rpc.server import RpcServer, Transport
from service.tenancy.masterkey import MasterKey, load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from service.web.http import HttpServer


def version() -> str:
    """The version of this distribution."""
    return distribution_version("afterimage")


def master_key_of(settings: Settings) -> MasterKey:
    """The master key, made where the data directory is new. Raises SettingError."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    fresh = not DataDirectory(settings.data_dir).registry.exists()
    return load_master_key(settings.key_file, secret, create=fresh)


def open_registry(settings: Settings) -> TenantRegistry:
    """The registry of tenants in the data directory, made where it is new. Several processes may have it open."""
    data = DataDirectory(settings.data_dir)
    data.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return TenantRegistry(data.registry, master_key_of(settings))


def encoders_of(settings: Settings) -> EncoderRegistry:
    """The encoders that the settings name. Raises SettingError."""
    return EncoderRegistry(settings.encoders_dir, settings.default_encoder, settings.model_threads or settings.cores)


def limits_of(settings: Settings) -> PictureLimits:
    """The limits on one picture."""
    return PictureLimits(
        settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side, settings.max_image_ratio
    )


async def serve(settings: Settings, on_ready: Callable[[Addresses], None]) -> None:
    """Runs a server until SIGTERM or SIGINT. Raises SettingError or DirectoryLocked where it cannot start."""
    stop_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_asked.set)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = DataDirectory(settings.data_dir)
    lock = DirectoryLock(data.lock)
    lock.acquire()
    try:
        registry = open_registry(settings)
        redis = await _start_redis(settings, data)  # before gRPC, whose threads a fork would disturb
        lifecycle = _assemble(settings, data, registry, redis)
        try:
            on_ready(await lifecycle.start())
            await stop_asked.wait()
        finally:
            await lifecycle.stop()
            registry.close()
    finally:
        lock.release()


async def _start_redis(settings: Settings, data: DataDirectory) -> EmbeddedRedis | None:
    if settings.redis_url:
        return None
    redis = EmbeddedRedis(data.redis)
    await redis.start()
    return redis


def _assemble(
    settings: Settings, data: DataDirectory, registry: TenantRegistry, redis: EmbeddedRedis | None
) -> Lifecycle:
    prepare_opencv()
    metrics, gate = Metrics(), Gate()
    workers, encoders = Workers(settings.cores), encoders_of(settings)
    batching = BatcherLimits(settings.max_batch_size, settings.max_queue_size)
    pictures = PictureEncoder(encoders, workers, limits_of(settings), batching)
    engine = Engine(TenantSpaces(data, registry), encoders, pictures, workers)
    guard = Guard(registry, metrics, gate, (settings.default_deadline_s, settings.max_deadline_s))
    rpc = RpcServer(_transport(settings), engine, guard, metrics, version())
    coordinator = Coordinator(redis.url if redis else settings.redis_url)
    http = HttpServer(metrics, lambda: lifecycle.ready(), lambda: refresh_gauges(engine, metrics))
    lifecycle = Lifecycle(Parts(settings, version(), engine, gate, metrics, rpc, http, redis, coordinator))
    return lifecycle


def _transport(settings: Settings) -> Transport:
    return Transport(
        settings.listen, settings.tls_cert, settings.tls_key, settings.client_ca, settings.max_message_bytes,
        settings.max_concurrent_calls, settings.reflection,
    )  # fmt: skip
