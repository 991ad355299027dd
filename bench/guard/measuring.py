"""Runs the server, and measures each kind of call in turn with the fixed work beside it."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from afterimage.client import Client
from bench.calls.__main__ import DIMENSION, canned
from bench.calls.load import Called, Target, one_answer
from bench.guard.processor import grown_ns, spent_ns
from bench.guard.workload import Kind, drawn, fill, fixed_encoding, kinds
from bench.index.through_grpc import encoder_of
from examples.demo import demo_key, running_server

# How fast a start finds the machine decides neither how many threads a model gets nor how calls wait for it.
SETTINGS = {"AFTERIMAGE_MODEL_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Size:
    """Of a run. starts: how often the server starts, since its memory lies elsewhere each time; rounds: of each start;
    calls: of each round."""

    starts: int = 3
    rounds: int = 8
    calls: int = 250


@dataclass
class Measured:
    """costs: each round's milliseconds of the server and of the fixed work for one, by kind. ready_s: of each start
    over RECORDS records, until the first answers, wall time. disk_bytes: of the data directory with these."""

    costs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    disk_bytes: int = 0


@dataclass(frozen=True)
class Filled:
    """A data directory in a folder, and a key for it."""

    folder: Path
    key: str


def measured(size: Size, only: Sequence[str] = ()) -> Measured:
    """Measures all kinds, or those named."""
    found = Measured()
    with filled() as data:
        files = (path for path in (data.folder / "data").rglob("*") if path.is_file())
        found.disk_bytes = sum(path.stat().st_size for path in files)
        for _ in range(size.starts):
            add_start(data, size, found, only)
    return found


@contextmanager
def filled() -> Iterator[Filled]:
    """A data directory for measurements, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"AFTERIMAGE_ENCODERS_DIR": str(encoder_of(folder / "encoders", DIMENSION))}
        with _environment(settings):
            with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (address, _):
                key = demo_key(folder)
                with Client(address, key, timeout_s=600.0) as client:
                    fill(client)
            yield Filled(folder, key)


def add_start(
    data: Filled, size: Size, found: Measured, only: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> None:
    """Starts the server and measures the rounds of one start. settings: further environment of the server."""
    pictures, began = drawn(), time.perf_counter()
    wanted = {n: k for n, k in kinds(pictures, size.calls).items() if not only or n in only}
    numbers = itertools.count(time.time_ns())  # new ids at each start
    with (
        _environment({**SETTINGS, **(settings or {})}),
        running_server(data.folder, "127.0.0.1:0", "127.0.0.1:0") as (address, process),
    ):
        server = Target(address, process.pid, (("authorization", f"Bearer {data.key}"),))
        plain = [kind for kind in kinds(pictures, 1).values() if not kind.with_picture]
        answers = {k.path: asyncio.run(one_answer(server, Called(k.path, k.requests(0)))) for k in plain}
        found.ready_s.append(time.perf_counter() - began)
        with canned(answers, data.folder) as floor:
            pair = _Pair(server, floor, fixed_encoding(pictures))
            pair.round(wanted, next(numbers))  # warms both, and does not count
            for _ in range(size.rounds):
                for name, cost in pair.round(wanted, next(numbers)).items():
                    found.costs.setdefault(name, []).append(cost)


@dataclass(frozen=True)
class _Pair:
    """The server, and the fixed work beside it: a servicer for calls, an encoding for pictures."""

    server: Target
    floor: Target
    encoding: Iterator[float]

    def round(self, wanted: Mapping[str, Kind], number: int) -> dict[str, tuple[float, float]]:
        """The costs of each kind."""
        return {name: self._costs(kind, number) for name, kind in wanted.items()}

    def _costs(self, kind: Kind, number: int) -> tuple[float, float]:
        before = self._fixed(kind)
        server = asyncio.run(spent_ms(self.server, kind, number))
        return server, (before + self._fixed(kind)) / 2

    def _fixed(self, kind: Kind) -> float:
        return next(self.encoding) if kind.with_picture else asyncio.run(spent_ms(self.floor, kind, 0))


async def spent_ms(target: Target, kind: Kind, number: int) -> float:
    """Processor time of the server and its decoders for one call of a round, in milliseconds."""
    requests = kind.requests(number)
    rest = iter(requests)
    async with grpc.aio.insecure_channel(target.address) as channel:
        call = channel.unary_unary(kind.path, request_serializer=None, response_deserializer=None)

        async def work() -> None:
            for request in rest:
                await call(request, metadata=target.metadata)

        await channel.channel_ready()
        before = spent_ns(target.pid)
        await asyncio.gather(*(work() for _ in range(kind.callers)))
        return grown_ns(before, spent_ns(target.pid)) / 1e6 / len(requests)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
