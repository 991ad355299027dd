"""A worker in its own process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

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


def wait_for_log(worker: Process, folder: Path, line: str, seconds: float = 90.0) -> None:
    """Waits until the worker's log has a line. Fails with the log, and with what its threads do, if it ends before or
    has not written the line after `seconds`."""
    log, end = folder / "worker.log", time.monotonic() + seconds
    while line not in log.read_text():
        assert worker.poll() is None, log.read_text()
        if time.monotonic() > end:
            worker.send_signal(signal.SIGABRT)
            worker.wait(10)
            pytest.fail(f"no line {line!r} in {seconds:.0f} s: {log.read_text()[-8000:]}")
        threading.Event().wait(0.05)
