"""Runs a server: what is checked before anything is made, what is made, and its end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from index import DataDirectory, DirectoryLock
from service.composition.data_directory import node_name, open_registry, write_region
from service.composition.server import assemble
from service.coordination.embedded import EmbeddedRedis
from service.errors import SettingError
from service.lifecycle import Addresses
from service.runtime.ports import check_free
from service.runtime.process import dumps_forbidden, freed_memory_is_overwritten, raise_open_files
from service.settings.model import Settings

_LOG = logging.getLogger(__name__)


async def serve(settings: Settings, on_ready: Callable[[Addresses], None]) -> None:
    """Runs a server until SIGTERM or SIGINT; SIGHUP has its TLS files read again.

    Raises SettingError or DirectoryLocked where it cannot start."""
    raise_open_files()
    stop_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_asked.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)  # nothing to read again yet
    _check_forgetting(settings)
    listening = {"listen": settings.listen, "http": settings.http, "metrics": settings.metrics}
    check_free(listening)  # before anything is made
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = DataDirectory(settings.data_dir)
    lock = DirectoryLock(data.lock)
    lock.acquire()
    try:
        registry = open_registry(settings, create=True)
        write_region(data, settings.region)
        node_name(data)  # before anything is started
        redis = await _start_redis(settings, data)  # before gRPC, whose threads a fork would disturb
        lifecycle = assemble(settings, registry, redis)
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
