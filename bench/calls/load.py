"""Callers with raw stubs: requests that were serialised before, answers that are not parsed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Called:
    """A method, and what it is called with in turn."""

    path: str
    requests: Sequence[bytes]


@dataclass(frozen=True)
class Cost:
    """What calls cost a server. `cpu_ms`: processor time of all its threads for one call."""

    cpu_ms: float
    per_s: float


@dataclass(frozen=True)
class Target:
    """A server. `pid`: its process."""

    address: str
    pid: int
    metadata: Metadata = ()


async def one_answer(target: Target, called: Called) -> bytes:
    """The answer to the first request."""
    async with grpc.aio.insecure_channel(target.address) as channel:
        call = channel.unary_unary(called.path, request_serializer=None, response_deserializer=None)
        answer: bytes = await call(called.requests[0], metadata=target.metadata)
        return answer


async def measured(target: Target, called: Called, callers: int, seconds: float) -> Cost:
    """Calls from so many callers over one connection for some seconds."""
    async with grpc.aio.insecure_channel(target.address) as channel:
        call = channel.unary_unary(called.path, request_serializer=None, response_deserializer=None)
        requests = itertools.cycle(called.requests)
        count = 0

        async def work(ends: float) -> None:
            nonlocal count
            while time.perf_counter() < ends:
                await call(next(requests), metadata=target.metadata)
                count += 1

        await call(next(requests), metadata=target.metadata)  # connects
        began, before = time.perf_counter(), scheduled_ns(target.pid)
        await asyncio.gather(*(work(began + seconds) for _ in range(callers)))
        spent_ns, took_s = scheduled_ns(target.pid) - before, time.perf_counter() - began
        return Cost(spent_ns / 1e6 / count, count / took_s)


def scheduled_ns(pid: int) -> int:
    """Processor time of the threads of a process, by the scheduler, in nanoseconds exact."""
    found = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found += int((thread / "schedstat").read_text().split()[0])
    return found
