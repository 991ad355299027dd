"""A worker in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.server import COMMAND, NOT_MEASURED, Server, adopt, clean_environment, prepared
from tests.support.shop import FETCHING

SECRET = {"AFTERIMAGE_WORKER_SECRET": "s" * 32}


def start_worker(
    server: Server, redis_url: str, *flags: str, environment: Mapping[str, str] = FETCHING
) -> subprocess.Popen[str]:
    """Starts a worker for a server and waits until it takes runs."""
    process = subprocess.Popen(
        [*COMMAND, "worker", "--server", server.target, "--redis-url", redis_url, *flags],
        stdout=subprocess.PIPE, stderr=(server.folder / "worker.log").open("a"), text=True,
        env=prepared({**clean_environment(), **NOT_MEASURED, **SECRET, **environment}),
    )  # fmt: skip
    adopt(process)
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
