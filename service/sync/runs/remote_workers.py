"""Workers on other machines, as seen from this server.

A worker takes a run from the board and encodes its pictures. Planning and storing happen here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from service.coordination.run_board import BoardAway, RunRef
from service.encoder.manifest import Manifest
from service.engine.picture_encoding import (
    EncodeContext,
    EncodeRequest,
    EncodeResult,
    LocalPictureEncoder,
    PictureEncoder,
)
from service.engine.sources import HostsOf
from service.errors import Reason, ServiceError
from service.runtime.background import end_task
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.sync.runs.lease import Lease, SyncParts
from service.sync.runs.lease_runner import LeaseRunner

_LOG = structlog.get_logger(__name__)
_SILENT_S = 20.0  # a worker sends a message at least every five seconds


@dataclass(frozen=True)
class RunClaim:
    """A run that a worker has taken. `worker`: its name. `encoders`: the fingerprints of its encoders."""

    worker: str
    ref: RunRef
    epoch: int
    encoders: frozenset[str]


@dataclass(frozen=True)
class Introduction:
    """What a worker must know before the first picture.

    `hosts`: hosts that pictures may come from, as configured when the run begins; None: any public host.
    """

    context: EncodeContext
    hosts: Collection[str] | None


@dataclass(frozen=True)
class PictureRequest:
    """A picture to encode, and the number of the request."""

    number: int
    request: EncodeRequest


class RemoteWorker:
    """One worker, for one run. `outgoing`: messages to send to it, in order; None marks the end."""

    def __init__(
        self,
        taken: RunClaim,
        hosts_of: HostsOf,
        allow: Callable[[str], Awaitable[None]],
        here: PictureEncoder,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Connects a run to its worker.

        - `allow`: raises ServiceError if the tenant may not have more pictures encoded.
        - `here`: encodes locally for collections with a tenant's own model, which never leaves the server.
        """
        self._taken, self._hosts_of, self._allow, self._here = taken, hosts_of, allow, here
        self.outgoing: asyncio.Queue[Introduction | PictureRequest | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[EncodeResult]] = {}
        self._clock = clock
        self._last_message, self._introduced, self._number = self._clock.elapsed_s(), False, 0
        self._introducing = asyncio.Lock()

    def check(self, encoder: Manifest) -> None:
        """Raises ServiceError (ENCODER_MISSING) if the worker does not have the encoder."""
        if not encoder.is_own and encoder.fingerprint not in self._taken.encoders:
            message = f"worker {self._taken.worker} lacks encoder {encoder.id!r} ({encoder.fingerprint})"
            raise ServiceError(Reason.ENCODER_MISSING, f"{message}; use the same encoders_dir as the server")

    async def encode(self, context: EncodeContext, request: EncodeRequest) -> EncodeResult:
        """Encodes a picture on the worker. Waits while the worker is connected; without it, the run is released."""
        if context.encoder.is_own:
            return await self._here.encode(context, request)
        async with self._introducing:  # nothing is sent before the introduction
            if not self._introduced:
                hosts = await asyncio.to_thread(self._hosts_of, context.tenant_uid)
                self.outgoing.put_nowait(Introduction(context, hosts))
                self._introduced = True
        self._number += 1
        number = self._number
        answer: asyncio.Future[EncodeResult] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.outgoing.put_nowait(PictureRequest(number, request))
        try:
            result = await answer
        finally:
            del self._waiting[number]
        if result.vector is not None:
            await self._allow(context.tenant_uid)
        return result

    def alive(self) -> bool:
        """Whether the worker has sent a message recently."""
        return self._clock.elapsed_s() - self._last_message < _SILENT_S

    def heard(self, number: int = 0, answer: EncodeResult | ServiceError | None = None) -> None:
        """Records a message of the worker: an answer to a numbered request, or a sign of life."""
        self._last_message = self._clock.elapsed_s()
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done() or answer is None:
            return
        if isinstance(answer, ServiceError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


class RemoteWorkers:
    """Starts runs with remote workers. For one event loop."""

    def __init__(self, parts: SyncParts, lease_runner: LeaseRunner) -> None:
        self._parts, self._lease_runner = parts, lease_runner
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def server(self) -> str:
        """The name under which runs of this server are queued."""
        return self._parts.server

    def begin(self, taken: RunClaim) -> tuple[RemoteWorker, asyncio.Task[None]]:
        """Starts a run with the worker that took it. Cancelling the task releases the run."""
        allow = self._parts.engine.allowances.picture
        engine, clock = self._parts.engine, self._parts.clock
        here = LocalPictureEncoder(engine.sources, engine.pictures, engine.workers)
        worker = RemoteWorker(taken, lambda uid: self._parts.ledgers.place(uid).allowed_hosts, allow, here, clock)
        task = asyncio.create_task(self._work(taken, worker), name=f"run {taken.ref.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return worker, task

    async def stop(self) -> None:
        """Releases all runs."""
        for task in list(self._tasks):
            await end_task(task)

    async def _work(self, taken: RunClaim, worker: RemoteWorker) -> None:
        _LOG.info("a worker has taken a run", worker=taken.worker, run_id=taken.ref.run_id)
        lease = Lease(taken.ref, taken.epoch, taken.worker, worker.alive)
        try:
            await self._lease_runner.work(lease, worker)
        except asyncio.CancelledError:
            if lease.confirmed:
                await self._requeue(taken)
            raise
        finally:
            worker.outgoing.put_nowait(None)

    async def _requeue(self, taken: RunClaim) -> None:
        """Queues the run again, so that another worker can take it immediately."""
        try:
            await self._parts.board.submit(taken.ref)
        except BoardAway:
            pass  # the keeper queues it later
