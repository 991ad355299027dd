"""The supervisor: starts the processes of a server, starts those again that end, and ends them in turn."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from index import DataDirectory, DirectoryLock
from service.lifecycle import Addresses
from service.processes.role import Kind, Role
from service.runtime.child_process import Program, Streams, python_module, start_child
from service.runtime.clock import SYSTEM_CLOCK
from service.runtime.ports import check_free, make_folder, reserved
from service.settings.model import Settings

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_MODULE = f"{__package__.partition('.processes')[0]}.cli.main"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_STABLE_S = 30.0  # a process that has run for so long begins with the first pause again
_GRACE_S = 15.0  # beyond the times that the settings give a process to end
_STDERR = 2


class ProcessFailed(Exception):
    """A process ended before it was ready; it has said why. status: its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a process of the server ended with status {status} before it was ready")
        self.status = status


@dataclass(frozen=True)
class Command:
    """How a process of the server is started: the command line's arguments, and the environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


class Supervisor:
    """Of one server. For one event loop, whose thread starts the processes."""

    def __init__(self, settings: Settings, command: Command) -> None:
        self._settings, self._command = settings, command
        self._children: list[_Child] = []

    async def run(self, on_ready: Callable[[Addresses], None]) -> None:
        """Runs the server until SIGTERM or SIGINT; SIGHUP is passed on. Raises SettingError, DirectoryLocked, or
        ProcessFailed if a process does not start at all."""
        stop_asked, loop, settings = asyncio.Event(), asyncio.get_running_loop(), self._settings
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop_asked.set)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on_hangup)
        check_free({"listen": settings.listen, "http": settings.http, "metrics": settings.metrics})
        make_folder(settings.data_dir)
        lock = DirectoryLock(DataDirectory(settings.data_dir).lock)
        lock.acquire()
        try:
            with reserved("listen", settings.listen) as listen:
                await self._run(listen, lock.descriptor, on_ready, stop_asked)
        finally:
            lock.release()

    async def _run(
        self, listen: str, lock: int, on_ready: Callable[[Addresses], None], stop_asked: asyncio.Event
    ) -> None:
        count = self._settings.processes
        kinds = [Kind.WRITER, *[Kind.QUERY] * (count - 1)]
        self._children = [
            _Child(Role(kind, number, count, listen, -1, lock), self._command) for number, kind in enumerate(kinds)
        ]
        writer, *queries = self._children
        stopping = asyncio.create_task(stop_asked.wait())
        try:
            writer.begin()
            if await _first_of(writer.ready, stopping) is None:
                return
            for child in queries:
                child.begin()
            if await _first_of(asyncio.gather(*(child.ready for child in queries)), stopping) is None:
                return
            on_ready(writer.ready.result())
            _LOG.info("started %d processes", count)
            await stopping
        finally:
            stopping.cancel()
            await self._end()

    async def _end(self) -> None:
        """Ends the query processes, which may still forward calls, and then the writer."""
        _LOG.info("stopping")
        settings = self._settings
        grace_s = settings.drain_timeout_s + settings.snapshot_timeout_s + _GRACE_S
        writer, *queries = self._children
        await asyncio.gather(*(child.end(grace_s) for child in queries))
        await writer.end(grace_s)

    def _pass_on_hangup(self) -> None:
        for child in self._children:
            child.signal(signal.SIGHUP)


async def _first_of(ready: asyncio.Future[T], stopping: asyncio.Task[object]) -> T | None:
    """The result of `ready`; None if a stop was asked for first."""
    await asyncio.wait((ready, stopping), return_when=asyncio.FIRST_COMPLETED)
    return ready.result() if ready.done() else None


class _Child:
    """One process, which is started again whenever it ends. ready: what it told when it was first ready."""

    def __init__(self, role: Role, command: Command) -> None:
        self._role, self._command = role, command
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()

    @property
    def _name(self) -> str:
        return f"{self._role.kind} {self._role.number}".removesuffix(" 0")

    def begin(self) -> None:
        """Starts the process, and keeps it running."""
        self._task = asyncio.create_task(self._keep(), name=self._name)

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    async def end(self, grace_s: float) -> None:
        """Asks the process to end, and waits for it; kills it after `grace_s` seconds."""
        task, self._task = self._task, None
        if task is None:
            return
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await task
        except TimeoutError:
            _LOG.warning("the %s process did not end in time and was killed", self._name)
            if self._process is not None:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)

    async def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._task is not None:
            began = SYSTEM_CLOCK.elapsed_s()
            status = await self._run_once()
            if self._task is None:
                return
            if not self.ready.done():
                self.ready.set_exception(ProcessFailed(status))
                return
            if SYSTEM_CLOCK.elapsed_s() - began > _STABLE_S:
                pause_s = _FIRST_PAUSE_S
            _LOG.error("the %s process ended with status %d; starting it again in %.1f s", self._name, status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run_once(self) -> int:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._process = self._start(theirs.fileno())
            ours.setblocking(False)
            return await self._watched(self._process, ours)

    def _start(self, lifeline: int) -> subprocess.Popen[bytes]:
        role = Role(
            self._role.kind, self._role.number, self._role.processes, self._role.listen, lifeline, self._role.lock
        )
        program = Program(
            python_module(_MODULE, *self._command.arguments), {**self._command.environment, **role.to_variable()},
            (lifeline, role.lock), last_signal=signal.SIGTERM,
        )  # fmt: skip
        return start_child(program, Streams(stdout=_STDERR, stderr=_STDERR))

    async def _watched(self, process: subprocess.Popen[bytes], line: socket.socket) -> int:
        """Waits for the end of a process; returns its exit status."""
        loop, told = asyncio.get_running_loop(), b""
        while part := await loop.sock_recv(line, 4096):  # it ends with the process
            told += part
            if told.endswith(b"\n") and not self.ready.done():
                self.ready.set_result(Addresses(**json.loads(told)))
        return await asyncio.to_thread(process.wait)
