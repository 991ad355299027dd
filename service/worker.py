"""The composition root of `afterimage worker`: takes runs of a server from Redis, encodes their pictures here, and
sends the vectors to that server."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from service.composition.parts import admission_of, decoders_of, encoders_of, fetch_counter, picture_fetcher, tracer_of
from service.coordination.client import Coordinator
from service.coordination.run_board import BoardAway, RunRef
from service.encoder.admission import Admission
from service.engine.picture_encoding import LocalPictureEncoder
from service.engine.pictures import EncodingPipeline
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.errors import Reason, ServiceError, SettingError
from service.metrics import Metrics
from service.rpc.worker_client import AllowedHosts, RunServer, ServerAddress, WorkerParts
from service.runtime.background import end_task
from service.runtime.process import freeze_gc
from service.runtime.retry import RetryPolicy
from service.settings.model import Settings
from service.sync.runs.remote_workers import RunClaim
from service.sync.worker import SyncWorker
from service.tracing.allowed import Work

_LOG = structlog.get_logger(__name__)
_ASK_AGAIN_S = 1.0
_RETRIES = RetryPolicy({Reason.SHUTTING_DOWN}, first_s=1.0, longest_s=5.0)


async def work(settings: Settings, server: ServerAddress, on_ready: Callable[[str], None]) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises SettingError if it cannot start."""
    stop_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_asked.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)  # there is nothing to reload
    if not settings.redis_url:
        raise SettingError.about(
            "redis_url", "a worker takes its runs from the server's Redis; set the same URL for both"
        )
    if not settings.sync_runs:
        raise SettingError.about("sync_runs", "must be at least 1 for a worker")
    worker = Worker(settings, server)
    try:
        if await _before(stop_asked, worker.start()):
            freeze_gc()
            on_ready(worker.name)
            await stop_asked.wait()
    finally:
        await worker.stop()


async def _before(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` unless the event is set first. Returns whether it was finished. Raises whatever the work raises."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await end_task(waiting)
    if not working.done():
        await end_task(working)
        return False
    await working
    return True


class Worker:
    """For one event loop."""

    def __init__(self, settings: Settings, server: ServerAddress) -> None:
        """Raises SettingError."""
        self._default_encoder, self._server = settings.default_encoder, RunServer(server)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._coordinator = Coordinator(settings.redis_url)
        metrics, self._workers, encoders, hosts = (
            Metrics(),
            Workers(settings.cores),
            encoders_of(settings),
            AllowedHosts(),
        )
        self._pictures = EncodingPipeline(
            encoders, self._workers, decoders_of(settings), Admission(admission_of(settings)), metrics
        )
        self._sources = Sources(picture_fetcher(settings, fetch_counter(metrics)), hosts.of, self._workers, metrics)
        picture_encoder = LocalPictureEncoder(self._sources, self._pictures, self._workers)
        self._parts = WorkerParts(picture_encoder, encoders, hosts)
        self._taking = SyncWorker(self.name, settings.sync_runs, self._work)
        self._tracer = tracer_of(settings, metrics, encoders)

    async def start(self) -> None:
        """Starts to take runs when the server answers. Raises SettingError."""
        await self._coordinator.check()
        await self._pictures.start(self._default_encoder)
        self._board = self._coordinator.board(await self._queue())
        self._taking.start(self._board)

    async def stop(self) -> None:
        """Releases its runs. Other workers continue them."""
        await self._taking.stop()
        await self._server.close()
        await self._sources.close()
        await self._pictures.close()
        await self._coordinator.close()
        self._workers.close()
        await asyncio.to_thread(self._tracer.close)

    async def _queue(self) -> str:
        """Waits for the server. Returns the name under which its runs are queued."""
        failures = 0
        while True:
            try:
                return await self._server.queue()
            except ServiceError as error:
                failures += 1
                if failures == 1:
                    _LOG.warning("the server is unavailable", reason=error.reason.name)
                pause_s = _RETRIES.pause_s(error, failures)
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)

    async def _work(self, ref: RunRef, epoch: int) -> None:
        _LOG.info("took a run", run_id=ref.run_id)
        claim = RunClaim(self.name, ref, epoch, self._parts.encoders.fingerprints)
        try:
            with self._tracer.around(Work.REMOTE_RUN, await self._carried(ref)):
                await self._server.work_on(claim, self._parts)
        except ServiceError as error:
            _LOG.warning("released a run", run_id=ref.run_id, reason=error.reason.name)
            await asyncio.sleep(_ASK_AGAIN_S)
            await self._give_back(ref)
        except asyncio.CancelledError:
            await self._give_back(ref)
            raise

    async def _carried(self, ref: RunRef) -> str:
        """The trace that the run continues; empty if there is none."""
        if self._tracer.on:
            with suppress(BoardAway):
                return await self._board.traceparent(ref.run_id)
        return ""

    async def _give_back(self, ref: RunRef) -> None:
        """Releases the lease and queues the run again. A running server does the same."""
        with suppress(BoardAway):  # otherwise the lease expires
            await self._board.release(ref, self.name)
            await self._board.submit(ref)
