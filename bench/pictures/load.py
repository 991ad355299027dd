"""A server under test, and searches by picture at a given rate with their latency and memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from afterimage.client import AfterimageError, RetryPolicy
from afterimage.client.aio import AsyncClient
from bench.call_costs import http_address
from examples.demo import demo_key, running_server

COLLECTION = "searched"
NO_RETRY = RetryPolicy(attempts=1)


@dataclass(frozen=True)
class Running:
    """A running server: process, addresses and a key."""

    process: subprocess.Popen[str]
    address: str
    metrics_url: str
    key: str


@contextlib.contextmanager
def server_with(folder: Path, settings: dict[str, str]) -> Iterator[Running]:
    """A server on an empty data directory, with settings as environment variables."""
    folder.mkdir()
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (address, process):
            http = http_address(folder / "server.log")
            yield Running(process, address, f"http://{http}/metrics", demo_key(folder))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


async def closed_loop(running: Running, pictures: Sequence[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Concurrent clients, each of which searches again after its answer."""
    taken: list[float] = []
    async with AsyncClient(running.address, running.key, retry=NO_RETRY) as client:
        ends = time.perf_counter() + seconds

        async def one(start: int) -> None:
            number = start
            while time.perf_counter() < ends:
                started = time.perf_counter()
                await client.search(COLLECTION, pictures[number % len(pictures)], k=10)
                taken.append(time.perf_counter() - started)
                number += clients

        await asyncio.gather(*(one(n) for n in range(clients)))
    return _latency(taken, seconds)


async def open_loop(running: Running, pictures: Sequence[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Searches that start at random moments, `rate` per second on average, even if earlier ones have not ended."""
    rng = np.random.default_rng(1)
    taken: list[float] = []
    refused: list[float] = []
    async with AsyncClient(running.address, running.key, retry=NO_RETRY) as client:

        async def one(number: int) -> None:
            started = time.perf_counter()
            try:
                await client.search(COLLECTION, pictures[number % len(pictures)], k=10)
                taken.append(time.perf_counter() - started)
            except AfterimageError:
                refused.append(time.perf_counter() - started)

        tasks: list[asyncio.Task[None]] = []
        at, begun = 0.0, time.perf_counter()
        while at < seconds:
            at += float(rng.exponential(1 / rate))
            await asyncio.sleep(max(0.0, at - (time.perf_counter() - begun)))
            tasks.append(asyncio.create_task(one(len(tasks))))
        await asyncio.gather(*tasks)
        took = time.perf_counter() - begun
    found = _latency(taken, took)
    if refused:
        found |= {"refused_per_second": len(refused) / took, "refused_p50_ms": 1000 * float(np.median(refused))}
    return found | {"offered_per_second": len(tasks) / took}


@contextlib.contextmanager
def peak_memory(pid: int) -> Iterator[dict[str, float]]:
    """The sampled peak memory of the process and its children, in MiB."""
    found = {"rss_before_mib": _memory(pid), "rss_peak_mib": 0.0}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.1):
            found["rss_peak_mib"] = max(found["rss_peak_mib"], _memory(pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield found
    finally:
        ended.set()
        sampler.join()


def _memory(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 2**20


def _latency(taken: Sequence[float], seconds: float) -> dict[str, float]:
    p50, p99 = np.percentile(taken, [50, 99]) if taken else (0.0, 0.0)
    return {"per_second": len(taken) / seconds, "p50_ms": 1000 * float(p50), "p99_ms": 1000 * float(p99)}
