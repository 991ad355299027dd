"""Servers on one PostgreSQL, which are killed and stopped."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from tests.support.histories.between import Between
from tests.support.histories.connections import Asked
from tests.support.histories.one_server import DisturbedServer
from tests.support.histories.trial import Fault
from tests.support.postgresql.server import PostgresServer
from tests.support.servers.redis_server import RedisServer, start_redis
from tests.support.servers.shell import Shell


class SeveralServers:
    """nodes: of PostgreSQL. flags: of each server."""

    def __init__(self, folder: Path, nodes: Sequence[PostgresServer], count: int, seed: int, *flags: str) -> None:
        self._folder, self._count, self._chance = folder, count, random.Random(seed)
        self.between = Between(nodes, count, self._chance)
        self._redis = start_redis(folder / "redis")
        self._flags = [*flags, "--redis-url", self._redis.url]
        self.servers: list[DisturbedServer] = []
        self.key = ""

    def start(self) -> None:
        """Starts the first server, and the others with backups of its directory."""
        first = self._started(0)
        self.servers, self.key = [first], first.server.key("acme")
        first.create_collection(self.key)
        shell = Shell(None, "", self._folder / "state", data_dir=first.server.data_dir)
        shell.environment |= self._environment(0)
        for number in range(1, self._count):
            there = self._folder / f"server-{number}"
            shell.run("backup", str(there / "data"), *shell.data)
            shutil.copy(first.folder / "data.master-key", there)
            self.servers.append(self._started(number))

    def connect(self) -> list[Asked]:
        return [c for server in self.servers for c in server.connections(self.key)]

    def close(self) -> None:
        for server in self.servers:
            assert server.server.stop() == 0
            assert "internal error" not in server.server.log.read_text()
        self.between.close()
        self._redis.stop()

    def faults(self) -> list[Fault]:
        """Of servers, and of Redis."""
        return [
            Fault("server killed", self._kill_server, 4),
            Fault("server stopped", self._stop_server, 3),
            Fault("Redis killed", self._kill_redis, 1),
        ]

    def _kill_server(self) -> None:
        number = self._chance.randrange(len(self.servers))
        with self.between.away([number]):
            self.servers[number].kill()

    def _stop_server(self) -> None:
        number = self._chance.randrange(len(self.servers))
        with self.between.away([number]):
            self.servers[number].stop_still()

    def _kill_redis(self) -> None:
        self._redis.stop()
        Event().wait(self._chance.uniform(0, 1))
        self._redis = _again(self._redis)

    def _started(self, number: int) -> DisturbedServer:
        folder = self._folder / f"server-{number}"
        return DisturbedServer(
            folder, *self._flags, chance=self._chance, number=number, environment=self._environment(number)
        )

    def _environment(self, number: int) -> dict[str, str]:
        return {"AFTERIMAGE_STORE_URL": self.between.url(number)}


def _again(redis: RedisServer) -> RedisServer:
    return start_redis(redis.folder, port=redis.port)
