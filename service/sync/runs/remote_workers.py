"""Workers on other machines, as this server sees them: each has taken a run from the board and looks at its pictures,
while the plan is made, and everything stored, here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from service.coordination.run_board import BoardAway, RunRef
from service.encoder.manifest import Manifest
from service.engine.picture_encoding import Look, Looking, LookingHere, Seen, Viewer
from service.engine.sources import HostsOf
from service.errors import Reason, ServiceError
from service.runtime.background import end_task
from service.sync.runs.lease_runner import Attempts, Lease, SyncParts

_LOG = structlog.get_logger(__name__)
_SILENT_S = 20.0  # a worker says something at least every five seconds


@dataclass(frozen=True)
class Taken:
    """A run that a worker says it has taken. worker: its name; encoders: fingerprints of those that it has."""

    worker: str
    ref: RunRef
    epoch: int
    encoders: frozenset[str]


@dataclass(frozen=True)
class Introduction:
    """What a worker needs to know before the first picture. hosts: which its pictures may come from, as they are set
    when the run begins; None: any public one."""

    viewer: Viewer
    hosts: Collection[str] | None


@dataclass(frozen=True)
class Asked:
    """A picture to look at, and the number to answer with."""

    number: int
    look: Look


class WorkerElsewhere:
    """One worker, for one run. `outgoing`: what is to be sent to it, in order; None at the end."""

    def __init__(self, taken: Taken, hosts_of: HostsOf, allow: Callable[[str], Awaitable[None]], here: Looking) -> None:
        """`allow`: raises ServiceError where a tenant may have no more pictures encoded. `here`: looks at pictures for
        collections with a model of their tenant's own, which does not leave the server."""
        self._taken, self._hosts_of, self._allow, self._here = taken, hosts_of, allow, here
        self.outgoing: asyncio.Queue[Introduction | Asked | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[Seen]] = {}
        self._heard, self._introduced, self._number = time.monotonic(), False, 0
        self._introducing = asyncio.Lock()

    def check(self, encoder: Manifest) -> None:
        """As `Looking.check`."""
        if not encoder.is_own and encoder.fingerprint not in self._taken.encoders:
            message = f"worker {self._taken.worker} lacks encoder {encoder.id!r} ({encoder.fingerprint})"
            raise ServiceError(Reason.ENCODER_MISSING, f"{message}; use the same encoders_dir as the server")

    async def look(self, viewer: Viewer, wanted: Look) -> Seen:
        """As `Looking.look`. Waits for as long as the worker lives; once it is gone the run is let go."""
        if viewer.encoder.is_own:
            return await self._here.look(viewer, wanted)
        async with self._introducing:  # nothing is sent before the introduction
            if not self._introduced:
                hosts = await asyncio.to_thread(self._hosts_of, viewer.tenant_uid)
                self.outgoing.put_nowait(Introduction(viewer, hosts))
                self._introduced = True
        self._number += 1
        number = self._number
        answer: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.outgoing.put_nowait(Asked(number, wanted))
        try:
            seen = await answer
        finally:
            del self._waiting[number]
        if seen.vector is not None:
            await self._allow(viewer.tenant_uid)
        return seen

    def alive(self) -> bool:
        """Whether something was heard of it lately."""
        return time.monotonic() - self._heard < _SILENT_S

    def heard(self, number: int = 0, answer: Seen | ServiceError | None = None) -> None:
        """It said something; an answer to the picture of that number, or only that it is there."""
        self._heard = time.monotonic()
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done() or answer is None:
            return
        if isinstance(answer, ServiceError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


class WorkElsewhere:
    """For one event loop."""

    def __init__(self, parts: SyncParts, attempts: Attempts) -> None:
        self._parts, self._attempts = parts, attempts
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def server(self) -> str:
        """The name that the runs of this server are queued under."""
        return self._parts.server

    def begin(self, taken: Taken) -> tuple[WorkerElsewhere, asyncio.Task[None]]:
        """Starts to work on a run with the worker that took it; cancelling the task lets the run go."""
        allow = self._parts.engine.allowances.picture
        engine = self._parts.engine
        here = LookingHere(engine.sources, engine.pictures, engine.workers)
        worker = WorkerElsewhere(taken, lambda uid: self._parts.ledgers.place(uid).allowed_hosts, allow, here)
        task = asyncio.create_task(self._work(taken, worker), name=f"run {taken.ref.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return worker, task

    async def stop(self) -> None:
        """Lets go of all runs."""
        for task in list(self._tasks):
            await end_task(task)

    async def _work(self, taken: Taken, worker: WorkerElsewhere) -> None:
        _LOG.info("a worker has taken a run", worker=taken.worker, run_id=taken.ref.run_id)
        try:
            await self._attempts.work(Lease(taken.ref, taken.epoch, taken.worker, worker.alive), worker)
        except asyncio.CancelledError:
            await self._hand_on(taken)
            raise
        finally:
            worker.outgoing.put_nowait(None)

    async def _hand_on(self, taken: Taken) -> None:
        """Another worker may take it at once."""
        try:
            await self._parts.board.submit(taken.ref)
        except BoardAway:
            pass  # the keeper does it
