"""`make bench-hostile`: what a well-behaved tenant has of the server while a hostile client tries to take all of it.

The tenant searches by vector from two threads, first alone, then beside each attack, which runs in a process of its
own. For each: calls a second, p50 and p99, the server's memory before, at most, and some seconds after. All share the
machine's cores, so a part of what an attack costs is the attacker's own work.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewRecord, RetryPolicy, Term
from afterimage.v1 import record_service_pb2 as records_pb
from bench.environment import write_result
from examples.demo import demo_key, running_server

ROWS, THREADS, SECONDS, AFTER_S = 5000, 2, 10.0, 6.0
MIB = 1 << 20
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), ("grpc.http2.bdp_probe", 0),
]  # fmt: skip
WATCH, COUNT = "/grpc.health.v1.Health/Watch", "/afterimage.v1.RecordService/CountRecords"
IMPORT, LIST = "/afterimage.v1.RecordService/ImportRecords", "/afterimage.v1.RecordService/ListRecords"
Channels = list[grpc.aio.Channel]
Attack = Callable[[Channels, str], Awaitable[list[Any]]]


async def keyless_watchers(channels: Channels, _: str) -> list[Any]:
    """150 that watch the health of the server."""
    calls = [channels[n % 4].stream_stream(WATCH)() for n in range(150)]
    await asyncio.gather(*(call.write(b"") for call in calls), return_exceptions=True)
    return calls


async def keyless_calls(channels: Channels, _: str) -> list[Any]:
    """150 calls with headers and no message."""
    calls = [channels[n % 4].stream_unary(COUNT)() for n in range(150)]
    await asyncio.gather(*(call.code() for call in calls))
    await asyncio.sleep(0.5)
    return calls


async def keyless_messages(channels: Channels, _: str) -> list[Any]:
    """100 messages of 19 MiB."""
    message = bytes(19 * MIB)
    calls = [channels[n % 4].unary_unary(COUNT)(message) for n in range(100)]
    await asyncio.gather(*(call.code() for call in calls))
    await asyncio.sleep(2)
    return calls


async def idle_streams(channels: Channels, key: str) -> list[Any]:
    """150 imports of one tenant that send nothing."""
    calls = [channels[n % 4].stream_stream(IMPORT)(metadata=_bearer(key)) for n in range(150)]
    await asyncio.sleep(1)
    return calls


async def silent_calls(channels: Channels, key: str) -> list[Any]:
    """150 calls of one tenant with headers and no message."""
    calls = [channels[n % 4].stream_unary(COUNT)(metadata=_bearer(key)) for n in range(150)]
    await asyncio.sleep(1)
    return calls


async def slow_readers(channels: Channels, key: str) -> list[Any]:
    """150 large pages, with vectors, that nobody reads."""
    request = records_pb.ListRecordsRequest(collection="own", page_size=1000, include_vectors=True).SerializeToString()
    calls = [channels[n % len(channels)].stream_stream(LIST)(metadata=_bearer(key)) for n in range(150)]
    await asyncio.gather(*(call.write(request) for call in calls), return_exceptions=True)
    await asyncio.sleep(1)
    return calls


ATTACKS: tuple[Attack, ...] = (
    keyless_watchers, keyless_calls, keyless_messages, idle_streams, silent_calls, slow_readers,
)  # fmt: skip


def attack(target: str, key: str, number: int, stop: Any) -> None:
    """Repeats one attack until it is told to stop."""
    asyncio.run(_attack(target, key, ATTACKS[number], stop))


async def _attack(target: str, key: str, tried: Attack, stop: Any) -> None:
    while not stop.is_set():
        channels = [grpc.aio.insecure_channel(target, options=OPTIONS) for _ in range(32)]
        for call in await tried(channels, key):
            call.cancel()
        for channel in channels:
            await channel.close(None)


def searches(client: Client, seconds: float) -> list[float]:
    """How long each search took, in milliseconds."""
    until, taken = time.perf_counter() + seconds, []
    vectors = np.random.default_rng(1).standard_normal((100, 448)).astype("<f4")

    def search() -> None:
        number = 0
        while time.perf_counter() < until:
            started = time.perf_counter()
            client.search("own", Term(vector=vectors[number % 100].tobytes()), k=10)
            taken.append((time.perf_counter() - started) * 1000)
            number += 1

    threads = [threading.Thread(target=search) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def measured(client: Client, process: psutil.Process, seconds: float) -> dict[str, float]:
    """Searches for so long, and the most memory that the server had meanwhile."""
    most, over = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    taken = searches(client, seconds)
    over.set()
    looking.join()
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "per_second": round(len(taken) / seconds, 1), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2),
        "most_mib": most[0] >> 20,
    }  # fmt: skip


def _bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


def _filled(client: Client) -> None:
    client.create_collection("own")
    vectors = np.random.default_rng(0).standard_normal((ROWS, 448)).astype("<f4")
    list(client.import_records("own", (NewRecord(str(n), vector=v.tobytes()) for n, v in enumerate(vectors))))


def run(folder: Path, seconds: float) -> dict[str, Any]:
    """All attacks, one after the other, each beside a measurement alone."""
    found: dict[str, Any] = {}
    spawn = multiprocessing.get_context("spawn")
    with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, server):
        process = psutil.Process(server.pid)
        key, hostile = demo_key(folder), _hostile_key(folder)
        with Client(target, key, retry=RetryPolicy(1)) as client, Client(target, hostile) as other:
            _filled(client)
            _filled(other)
            searches(client, 2)
            for number, tried in enumerate(ATTACKS):
                alone, stop = measured(client, process, seconds), spawn.Event()
                attacker = spawn.Process(target=attack, args=(target, hostile, number, stop))
                attacker.start()
                time.sleep(3)  # until it has imported what it needs
                beside = measured(client, process, seconds)
                stop.set()
                attacker.join(60)
                time.sleep(AFTER_S)
                after = process.memory_info().rss >> 20
                found[tried.__name__] = {"alone": alone, "beside": beside, "after_mib": after}
                Console().print(tried.__name__, found[tried.__name__])
    return found


def _hostile_key(folder: Path) -> str:
    from service.app import open_registry
    from service.config import load_settings
    from service.tenancy.apikeys import Scope
    from service.tenancy.keyring import NewKey

    registry = open_registry(load_settings({"data_dir": folder / "data"}).settings)
    try:
        return registry.api_keys.create(registry.create_tenant("hostile").uid, NewKey(frozenset(Scope)))
    finally:
        registry.close()


def show(found: dict[str, Any]) -> None:
    """A table for people."""
    heads = ("attack", "alone /s", "beside /s", "alone p99", "beside p99", "MiB before", "at most", "after")
    table = Table(*heads, box=None)
    for name, figures in found.items():
        alone, beside = figures["alone"], figures["beside"]
        table.add_row(
            name, f"{alone['per_second']:.0f}", f"{beside['per_second']:.0f}", f"{alone['p99_ms']:.1f}",
            f"{beside['p99_ms']:.1f}", str(alone["most_mib"]), str(beside["most_mib"]), str(figures["after_mib"]),
        )  # fmt: skip
    Console(width=140).print(table)


def main() -> None:
    """Measures, prints and writes bench/results/hostile.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as temporary:
        found = run(Path(temporary), seconds)
    show(found)
    print(f"written to {write_result('hostile', {'seconds': seconds, 'attacks': found})}")


if __name__ == "__main__":
    main()
