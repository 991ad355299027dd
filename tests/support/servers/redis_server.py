"""A redis-server for one test on a port, as in operation: plain, with TLS, as a replica, as a sentinel."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from service.coordination.embedded import find_redis_server
from tests.support.needs import REDIS_REMEDY, missing, redis_with_tls
from tests.support.servers.tls import Certificates


@dataclass
class RedisServer:
    """A running one."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def connection(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port that was free a moment ago. Others may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections for the block: it is taken, so that no other process can listen on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def start_redis(
    folder: Path,
    *lines: str,
    sentinel: bool = False,
    port: int = 0,
    binary: Path | None = None,
    environment: dict[str, str] | None = None,
) -> RedisServer:
    """Starts a server with these configuration lines, and waits until it answers.

    `binary`: None: any available one. `environment`: added to this process's.
    """
    binary = binary or find_redis_server() or missing("a redis-server", REDIS_REMEDY)
    folder.mkdir(parents=True, exist_ok=True)
    common = [f"dir {folder}", "bind 127.0.0.1", f"logfile {folder / 'redis.log'}"]
    if not sentinel:
        common += ["appendonly yes", 'save ""', "maxmemory-policy noeviction"]
    command = [str(binary), str(folder / "redis.conf"), *(["--sentinel"] if sentinel else [])]
    while True:
        chosen = port or free_port()
        (folder / "redis.conf").write_text("\n".join([f"port {chosen}", *common, *lines]) + "\n")
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
        made = RedisServer(folder, chosen, process)
        if _answers(made):
            return made
        log = (folder / "redis.log").read_text()
        assert not port, log
        assert "in use" in log, log  # another process took the port first


def _answers(made: RedisServer) -> bool:
    """Waits until this server answers, not another one on its port. False: it has ended."""
    while made.process.poll() is None:
        try:
            facts: Any = made.connection().info("server")
        except (redis.ConnectionError, redis.BusyLoadingError, redis.ResponseError):
            facts = {}
        if facts.get("process_id") == made.process.pid:
            return True
        threading.Event().wait(0.02)
    return False


@contextlib.contextmanager
def running_redis(
    folder: Path,
    *lines: str,
    sentinel: bool = False,
    binary: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[RedisServer]:
    """A server for the block."""
    made = start_redis(folder, *lines, sentinel=sentinel, binary=binary, environment=environment)
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def running_tls_redis(folder: Path, certificates: Certificates, port: int) -> Iterator[RedisServer]:
    """A server with TLS on `port`. Skips the test if no redis-server supports it."""
    made = start_redis(folder, *tls_lines(certificates, port), binary=redis_with_tls())
    try:
        yield made
    finally:
        made.stop()


def tls_lines(certificates: Certificates, port: int) -> tuple[str, ...]:
    """Configuration for TLS on a port, for clients without a certificate."""
    return (
        f"tls-port {port}", f"tls-cert-file {certificates.server_cert}", f"tls-key-file {certificates.server_key}",
        f"tls-ca-cert-file {certificates.ca}", "tls-auth-clients no",
    )  # fmt: skip


def watched(master: RedisServer) -> tuple[str, ...]:
    """Configuration of a sentinel for a master named `catalogue`, with a failover within seconds."""
    return (
        f"sentinel monitor catalogue 127.0.0.1 {master.port} 1", "sentinel down-after-milliseconds catalogue 500",
        "sentinel failover-timeout catalogue 3000",
    )  # fmt: skip


def _followers(sentinel: RedisServer) -> int:
    master: Any = sentinel.connection().sentinel_master("catalogue")
    return int(master["num-slaves"])


@contextlib.contextmanager
def watched_pair(folder: Path) -> Iterator[tuple[RedisServer, RedisServer, str]]:
    """A master, a replica, and the URL of a sentinel for both."""
    with (
        running_redis(folder / "one") as master,
        running_redis(folder / "two", f"replicaof 127.0.0.1 {master.port}") as replica,
    ):
        while replica.connection().info("replication")["master_link_status"] != "up":
            threading.Event().wait(0.02)
        with running_redis(folder / "sentinel", *watched(master), sentinel=True) as sentinel:
            while not _followers(sentinel):
                threading.Event().wait(0.05)
            yield master, replica, f"sentinel://127.0.0.1:{sentinel.port}/catalogue"
