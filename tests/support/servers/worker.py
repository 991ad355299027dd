"""A worker in its own process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.servers.server import NOT_MEASURED, ONE_DECODER, Process, Server, clean_environment, start
from tests.support.servers.shop import FETCHING

SECRET = {"AFTERIMAGE_WORKER_SECRET": "s" * 32}


def start_worker(
    server: Server, redis_url: str, *flags: str, environment: Mapping[str, str] = FETCHING, anew: bool = False
) -> Process:
    """Starts a worker for a server, and waits until it takes runs. `anew`: by the command, without the warm start."""
    with (server.folder / "worker.log").open("a") as log:
        process = start(
            ["worker", "--server", server.target, "--redis-url", redis_url, *flags],
            {**clean_environment(), **NOT_MEASURED, **ONE_DECODER, **SECRET, **environment}, log, anew=anew,
        )  # fmt: skip
    assert process.stdout is not None
    assert "is ready" in process.stdout.readline(), (server.folder / "worker.log").read_text()[-2000:]
    return process


def metric(server: Server, name: str) -> float:
    """The sum of a metric of the server, over its labels."""
    import urllib.request

    text = urllib.request.urlopen(f"http://{server.http}/metrics").read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def log_of(folder: Path) -> str:
    return (folder / "worker.log").read_text()
