"""What the supervisor tells a process that it starts, and how that process tells that it is ready, or should end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from index import DataDirectory
from service.lifecycle import Addresses
from service.runtime.ports import unix_socket_path
from service.settings.model import Settings

VARIABLE = "_AFTERIMAGE_PROCESS"


class Kind(StrEnum):
    """Kinds of processes of a server that has several."""

    WRITER = "writer"
    QUERY = "query"


@dataclass(frozen=True)
class Role:
    """What one process is.

    - `number`: of a query process, from 1.
    - `processes`: how many there are together.
    - `listen`: the address that all of them share, HOST:PORT.
    - `lifeline`: descriptor of a socket to the supervisor; it ends when the supervisor does.
    - `lock`: descriptor of the lock of the data directory, which is held as long as any of the processes lives.
    """

    kind: Kind
    number: int
    processes: int
    listen: str
    lifeline: int
    lock: int

    @property
    def query_numbers(self) -> range:
        """The numbers of all query processes."""
        return range(1, self.processes)

    def to_variable(self) -> dict[str, str]:
        """The variable of the environment that tells a process its role."""
        return {VARIABLE: json.dumps(asdict(self))}

    def settings(self, settings: Settings) -> Settings:
        """The settings of one of the processes: they share the address, and divide the memory of the server."""
        changed: dict[str, object] = {
            "listen": self.listen,
            "max_index_bytes": max(1, settings.index_bytes // self.processes),
            "max_in_flight_bytes": max(4 * settings.max_message_bytes, settings.in_flight_bytes // self.processes),
            "max_connections": max(1, settings.connections // self.processes),
        }
        if self.kind is Kind.QUERY:
            changed |= {"http": "", "metrics": ""}
        return settings.model_copy(update=changed)

    def tell_ready(self, addresses: Addresses) -> None:
        """Tells the supervisor that calls are accepted."""
        os.write(self.lifeline, json.dumps(asdict(addresses)).encode() + b"\n")

    def on_end(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
        """Calls `stop` when the supervisor has ended."""

        def readable() -> None:
            if not os.read(self.lifeline, 64):
                loop.remove_reader(self.lifeline)
                stop()

        loop.add_reader(self.lifeline, readable)


def role_of(environment: Mapping[str, str]) -> Role | None:
    """The role of this process; None if no supervisor started it."""
    if VARIABLE not in environment:
        return None
    told = json.loads(environment[VARIABLE])
    return Role(**{**told, "kind": Kind(told["kind"])})


def writer_socket(data: DataDirectory) -> Path:
    """Where the writer hears of forwarded calls."""
    return unix_socket_path(data.processes.resolve(), "writer.sock")
