"""A server of several processes, whose processes are killed and stopped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from pathlib import Path
from threading import Event

import psutil

from service.processes.role import VARIABLE, Kind, role_of
from tests.support.histories.connections import Asked, Connection
from tests.support.histories.trial import Fault
from tests.support.servers.redis_server import free_port
from tests.support.servers.server import Server, start_server

_PER_CLIENT = 3  # connections, each of which may lead to another process


class DisturbedServer:
    """flags, environment: of the server; more: how it is called."""

    def __init__(
        self,
        folder: Path,
        *flags: str,
        chance: random.Random,
        number: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.number, self.chance = folder, number, chance
        self._flags = [*flags, "--listen", f"127.0.0.1:{free_port()}"]
        self._environment = environment
        self.server = self._started()

    def connections(self, key: str) -> list[Asked]:
        return [Connection(self.server.target, key, self.number) for _ in range(_PER_CLIENT)]

    def create_collection(self, key: str) -> None:
        """Creates the one that all clients use."""
        connection = Connection(self.server.target, key)
        connection.create_collection()
        connection.close()

    def faults(self) -> list[Fault]:
        """Of its processes."""
        return [
            Fault("query process killed", lambda: self._signal(Kind.QUERY, signal.SIGKILL), 4),
            Fault("query process stopped", lambda: self._stop(Kind.QUERY), 6),
            Fault("writer killed", lambda: self._signal(Kind.WRITER, signal.SIGKILL), 2),
            Fault("writer stopped", lambda: self._stop(Kind.WRITER), 5),
            Fault("all processes killed", self.kill),
            Fault("supervisor killed", self._kill_supervisor),
            Fault("Redis killed", self._kill_redis, 2),
        ]

    def kill(self) -> None:
        """kill -9 of all its processes at once, and a start."""
        self.kill_only()
        self.start_again()

    def kill_only(self) -> None:
        """kill -9 of all its processes at once."""
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.server.process.wait()

    def start_again(self) -> None:
        self.server = self._started()

    def stop_still(self) -> None:
        """All its processes stand still for some time."""
        processes = self._processes()
        for process in processes:
            process.suspend()
        Event().wait(self.chance.uniform(0.2, 3))
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.resume()

    def _kill_supervisor(self) -> None:
        others = self._processes()
        self.server.kill()
        psutil.wait_procs(others, 60)
        self.start_again()

    def _kill_redis(self) -> None:
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                if "redis-server" in process.name():
                    process.kill()

    def _signal(self, kind: Kind, number: signal.Signals) -> None:
        if found := self._of_kind(kind):
            os.kill(self.chance.choice(found), number)

    def _stop(self, kind: Kind) -> None:
        if found := self._of_kind(kind):
            chosen = self.chance.choice(found)
            os.kill(chosen, signal.SIGSTOP)
            Event().wait(self.chance.uniform(0.1, 2))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen, signal.SIGCONT)

    def _of_kind(self, kind: Kind) -> list[int]:
        found = []
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                role = role_of(process.environ()) if VARIABLE in process.environ() else None
                if role is not None and role.kind is kind and "redis-server" not in process.name():
                    found.append(process.pid)
        return found

    def _processes(self) -> list[psutil.Process]:
        top = psutil.Process(self.server.process.pid)
        return [top, *top.children(recursive=True)]

    def _started(self) -> Server:
        return start_server(self.folder, *self._flags, environment=self._environment)
