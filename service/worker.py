"""The composition root of `afterimage worker`: takes runs of a server from Redis, looks at their pictures here, and
sends the vectors to that server."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Callable

import structlog

from service.app import admission_of, decoders_of, encoders_of, picture_fetcher
from service.background import end_task
from service.config import Settings
from service.coordination.client import Coordinator
from service.coordination.run_board import BoardAway, RunBoard, RunRef
from service.encoder.admission import Admission
from service.engine.looking import LookingHere
from service.engine.pictures import PictureEncoder
from service.engine.sources import Sources
from service.engine.workers import Workers
from service.errors import ServiceError, SettingError
from service.metrics import Metrics
from service.rpc.worker_client import Eyes, Hosts, RunServer, ServerPlace
from service.sync.elsewhere import Taken

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_ASK_AGAIN_S = 1.0


async def work(settings: Settings, place: ServerPlace, on_ready: Callable[[str], None]) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises SettingError where it cannot start."""
    stop_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_asked.set)
    if not settings.redis_url:
        raise SettingError("redis_url: a worker takes its runs from the server's Redis; set it to the same for both")
    if not settings.sync_runs:
        raise SettingError("sync_runs: 0, so that this worker has nothing to do")
    worker = Worker(settings, place)
    try:
        await worker.start()
        on_ready(worker.name)
        await stop_asked.wait()
    finally:
        await worker.stop()


class Worker:
    """For one event loop."""

    def __init__(self, settings: Settings, place: ServerPlace) -> None:
        """Raises SettingError."""
        self._settings, self._server = settings, RunServer(place)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._coordinator = Coordinator(settings.redis_url)
        metrics, self._workers, encoders, hosts = Metrics(), Workers(settings.cores), encoders_of(settings), Hosts()
        self._pictures = PictureEncoder(
            encoders, self._workers, decoders_of(settings), Admission(admission_of(settings)), metrics
        )
        self._sources = Sources(picture_fetcher(settings), hosts.of, self._workers, metrics)
        looking = LookingHere(self._sources, self._pictures, self._workers)
        self._eyes = Eyes(looking, encoders, hosts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to take runs. Raises SettingError."""
        await self._coordinator.check()
        await self._pictures.start(self._settings.default_encoder)
        self._loop = asyncio.create_task(self._take_runs(await self._board()), name="worker")

    async def stop(self) -> None:
        """Lets go of what it works on; others go on from there."""
        if self._loop is not None:
            await end_task(self._loop)
        for task in list(self._tasks):
            await end_task(task)
        await self._server.close()
        await self._sources.close()
        await self._pictures.close()
        await self._coordinator.close()
        self._workers.close()

    async def _board(self) -> RunBoard:
        """The board of the server, once that answers."""
        told = False
        while True:
            try:
                return self._coordinator.board(await self._server.queue())
            except ServiceError as error:
                if not told:
                    _LOG.warning("the server is away", error=error.message)
                told = True
                await asyncio.sleep(_ASK_AGAIN_S)

    async def _take_runs(self, board: RunBoard) -> None:
        while True:
            try:
                while len(self._tasks) < self._settings.sync_runs and (found := await board.take(self.name)):
                    task = asyncio.create_task(self._work(board, *found), name=f"run {found[0].run_id}")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            except BoardAway as error:
                _LOG.warning("no runs are taken while Redis is away", error=str(error))
                await asyncio.sleep(_ASK_AGAIN_S)
            except Exception as error:  # the loop must go on; the cause is in the log
                _LOG.error("taking runs failed", exc_info=error)
                await asyncio.sleep(_ASK_AGAIN_S)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _work(self, board: RunBoard, ref: RunRef, epoch: int) -> None:
        fingerprints = self._eyes.encoders.fingerprints
        _LOG.info("took a run", run_id=ref.run_id)
        try:
            await self._server.work_on(Taken(self.name, ref, epoch, fingerprints), self._eyes)
        except ServiceError as error:
            _LOG.warning("a run was let go", run_id=ref.run_id, error=error.message)
            await asyncio.sleep(_ASK_AGAIN_S)
            await self._give_back(board, ref)
        except asyncio.CancelledError:
            await self._give_back(board, ref)
            raise

    async def _give_back(self, board: RunBoard, ref: RunRef) -> None:
        """The server does so too, where it lives."""
        try:
            await board.release(ref, self.name)
            await board.submit(ref)
        except BoardAway:
            pass  # the lease ends by itself
