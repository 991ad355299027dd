"""Attacks over gRPC for `make bench-hostile`, and the process in which an attack goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from typing import Any

import grpc

from afterimage.v1 import record_service_pb2 as records_pb
from bench.hostile_http import HTTP_ATTACKS, Site

MIB = 1 << 20
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), ("grpc.http2.bdp_probe", 0),
]  # fmt: skip
WATCH, COUNT = "/grpc.health.v1.Health/Watch", "/afterimage.v1.RecordService/CountRecords"
IMPORT, LIST = "/afterimage.v1.RecordService/ImportRecords", "/afterimage.v1.RecordService/ListRecords"
Channels = list[grpc.aio.Channel]
GrpcAttack = Callable[[Channels, str], Awaitable[list[Any]]]


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


GRPC_ATTACKS: tuple[GrpcAttack, ...] = (
    keyless_watchers, keyless_calls, keyless_messages, idle_streams, silent_calls, slow_readers,
)  # fmt: skip
NAMES: tuple[str, ...] = tuple(attack.__name__ for attack in (*GRPC_ATTACKS, *HTTP_ATTACKS))


@dataclass(frozen=True)
class Attacker:
    """Who attacks. target, http: where the server listens. key: of a tenant of its own. cores: what its process runs
    on. gives_way: whether it only gets the time that other processes leave."""

    target: str
    http: str
    key: str
    cores: frozenset[int]
    gives_way: bool


class RunningAttack:
    """An attack that goes on until it is stopped. calls: how many it has made."""

    def __init__(self, attacker: Attacker, name: str, spawn: SpawnContext) -> None:
        self._stop, self._calls = spawn.Event(), spawn.Value("Q", 0)
        self._process = spawn.Process(target=_attack, args=(attacker, name, self._stop, self._calls))
        self._process.start()

    @property
    def calls(self) -> int:
        """Calls that were made and ended, or given up."""
        return int(self._calls.value)

    def stop(self) -> None:
        """Returns once the process has ended. One that waits for a server that ignores it is killed."""
        self._stop.set()
        self._process.join(10)
        self._process.kill()
        self._process.join()


def _attack(attacker: Attacker, name: str, stop: Any, calls: Any) -> None:
    os.sched_setaffinity(0, attacker.cores)
    if attacker.gives_way:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    asyncio.run(_repeated(attacker, name, stop, calls))


async def _repeated(attacker: Attacker, name: str, stop: Any, calls: Any) -> None:
    over_grpc = next((a for a in GRPC_ATTACKS if a.__name__ == name), None)
    over_http = next((a for a in HTTP_ATTACKS if a.__name__ == name), None)
    host, _, port = attacker.http.rpartition(":")
    while not stop.is_set():
        if over_grpc is not None:
            calls.value += await _over_channels(attacker, over_grpc)
        elif over_http is not None:
            calls.value += await over_http(Site(host, int(port), attacker.key))


async def _over_channels(attacker: Attacker, attack: GrpcAttack) -> int:
    channels = [grpc.aio.insecure_channel(attacker.target, options=OPTIONS) for _ in range(32)]
    made = await attack(channels, attacker.key)
    for call in made:
        call.cancel()
    for channel in channels:
        await channel.close(None)
    return len(made)


def _bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)
