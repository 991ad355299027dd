"""Runs a server: what is checked before anything is made, what is made, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Protocol

from index import DataDirectory, DirectoryLock, StoreUnavailable, UnsupportedFormat
from service.composition.data_directory import node_name, open_registry, write_region
from service.composition.parts import record_stores_of
from service.composition.query_process import assemble_queries
from service.composition.server import assemble
from service.coordination.embedded import EmbeddedRedis
from service.errors import SettingError
from service.lifecycle import Addresses
from service.processes.role import Role
from service.runtime.ports import check_free, make_folder
from service.runtime.process import dumps_forbidden, freed_memory_is_overwritten, raise_open_files
from service.settings.model import Settings

_LOG = logging.getLogger(__name__)


async def serve(settings: Settings, on_ready: Callable[[Addresses], None], role: Role | None = None) -> None:
    """Runs a server until SIGTERM or SIGINT; SIGHUP has its TLS files read again. `role`: of this process, if the
    server has several; their supervisor holds the lock of the data directory.

    Raises SettingError or DirectoryLocked where it cannot start."""
    raise_open_files()
    stop_asked = _stop_asked(role)
    _check_forgetting(settings)
    listening = {"listen": "" if role else settings.listen, "http": settings.http, "metrics": settings.metrics}
    check_free(listening)  # before anything is made
    make_folder(settings.data_dir)
    data = DataDirectory(settings.data_dir)
    with contextlib.ExitStack() as held:
        if role is None:
            held.enter_context(DirectoryLock(data.lock))
        await asyncio.to_thread(_check_store, settings)
        registry = held.enter_context(contextlib.closing(open_registry(settings, create=True)))
        write_region(data, settings.region)
        node_name(data)  # before anything is started
        redis = await _start_redis(settings, data)  # before gRPC, whose threads a fork would disturb
        registry.watch()
        await _run(assemble(settings, registry, redis, role), on_ready, stop_asked)


async def serve_queries(settings: Settings, on_ready: Callable[[Addresses], None], role: Role) -> None:
    """Runs a query process of a server until SIGTERM, or until the supervisor has ended. Raises SettingError."""
    raise_open_files()
    stop_asked = _stop_asked(role)
    _check_forgetting(settings)
    with contextlib.closing(open_registry(settings)) as registry:
        await _run(assemble_queries(settings, registry, role), on_ready, stop_asked)


class _Process(Protocol):
    async def start(self) -> Addresses: ...

    async def stop(self) -> None: ...

    def read_again(self) -> None: ...


async def _run(process: _Process, on_ready: Callable[[Addresses], None], stop_asked: asyncio.Event) -> None:
    try:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, process.read_again)
        on_ready(await process.start())
        await stop_asked.wait()
    finally:
        await process.stop()


def _stop_asked(role: Role | None) -> asyncio.Event:
    """Is set when this process is to stop."""
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # nothing to read again yet
    if role is not None:
        role.on_end(loop, asked.set)
    return asked


def _check_forgetting(settings: Settings) -> None:
    if freed_memory_is_overwritten() and dumps_forbidden():
        return
    message = "freed memory is not overwritten, or core dumps are possible; `afterimage doctor --privacy` shows which"
    if settings.strict_forgetting:
        raise SettingError.about("strict_forgetting", message)
    _LOG.warning(message)


def _check_store(settings: Settings) -> None:
    stores = record_stores_of(settings)
    if stores is None:
        return
    try:
        stores.check()
    except UnsupportedFormat as error:
        raise SettingError.about("store_url", str(error)) from None
    except StoreUnavailable as error:
        _LOG.warning("store_url: %s; until it answers, writes are refused", error)
    finally:
        stores.close()


async def _start_redis(settings: Settings, data: DataDirectory) -> EmbeddedRedis | None:
    if settings.redis_url:
        return None
    redis = EmbeddedRedis(data.redis)
    await redis.start()
    return redis
