"""Runs the server and the canned servicer side by side, measures both in turn, writes bench/results/calls.json."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterimage.client import Client, NewRecord
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import search_service_pb2 as search_pb
from bench.calls.load import Called, Cost, Target, measured, one_answer
from bench.calls.profile import Profiler
from bench.environment import write_result
from bench.index.through_grpc import encoder_of
from examples.demo import demo_key, running_server

RECORDS, DIMENSION, CLUSTERS, QUERIES, K, BATCH = 20_000, 384, 200, 256, 10, 32
_WAYS, _SPREAD, _REST = 16, 0.6, 0.02  # in how many directions a cluster spreads, how far, and in all others
CALLERS = (1, 8)
_COLLECTION, _PROFILE_S = "calls", 5.0
Vectors = NDArray[np.float32]


def clustered(count: int, seed: int) -> Vectors:
    """Vectors of length 1 around centres that each seed shares, shape (count, DIMENSION). Like embeddings they spread
    in few directions: a graph finds its way badly where they spread in all of them alike."""
    shared, chosen = np.random.default_rng(0), np.random.default_rng(seed)
    centres, ways = shared.standard_normal((CLUSTERS, DIMENSION)), shared.standard_normal((_WAYS, DIMENSION))
    spread = _SPREAD / math.sqrt(_WAYS) * chosen.standard_normal((count, _WAYS)) @ ways
    rest = _REST * chosen.standard_normal((count, DIMENSION))
    made = centres[chosen.integers(CLUSTERS, size=count)] + spread + rest
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype("<f4")


def calls() -> dict[str, Called]:
    """The measured calls, by name."""
    queries = [q.tobytes() for q in clustered(QUERIES, seed=2)]
    searches = [
        search_pb.SearchRequest(collection=_COLLECTION, query=[search_pb.QueryTerm(vector=q)], k=K) for q in queries
    ]
    starts = range(0, QUERIES, BATCH)
    batches = [search_pb.BatchSearchRequest(searches=searches[start : start + BATCH]) for start in starts]
    ids = [[str((n * 997 + i * 31) % RECORDS) for i in range(K)] for n in range(QUERIES)]
    gets = [records_pb.GetRecordsRequest(collection=_COLLECTION, record_ids=some) for some in ids]
    counts = [records_pb.CountRecordsRequest(collection=_COLLECTION, filter=f'color = "c{n}"') for n in range(8)]

    def called(path: str, requests: Any) -> Called:
        return Called(f"/afterimage.v1.{path}", [request.SerializeToString() for request in requests])

    return {
        "search": called("SearchService/Search", searches),
        "get records": called("RecordService/GetRecords", gets),
        "count records": called("RecordService/CountRecords", counts),
        "batch of 32": called("SearchService/BatchSearch", batches),
    }


def fill(client: Client) -> None:
    """Makes the collection and builds its graph."""
    client.create_collection(_COLLECTION, encoder_id="bench")
    vectors = clustered(RECORDS, seed=1)
    rows = (
        NewRecord(str(n), vector=v.tobytes(), attributes={"color": f"c{n % 8}", "price": float(n % 97)})
        for n, v in enumerate(vectors)
    )
    assert all(result.error is None for result in client.import_records(_COLLECTION, rows))
    client.rebuild_index(_COLLECTION)


@contextlib.contextmanager
def canned(answers: dict[str, bytes], folder: Path) -> Iterator[Target]:
    """Runs the canned servicer."""
    given = folder / "answers.json"
    given.write_text(json.dumps({path: base64.b64encode(answer).decode() for path, answer in answers.items()}))
    command = [sys.executable, "-m", "bench.calls.canned", str(given)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Target(f"127.0.0.1:{int(process.stdout.readline())}", process.pid)
    finally:
        process.kill()
        process.wait()


async def compared(
    server: Target, floor: Target, wanted: dict[str, Called], rounds: int, seconds: float
) -> dict[str, Any]:
    """Costs of each call on both, medians of alternating rounds, and their ratios."""
    found: dict[str, Any] = {}
    for name, called in wanted.items():
        for callers in CALLERS:
            costs: dict[str, list[Cost]] = {"canned": [], "server": []}
            for _ in range(rounds):
                for which, target in (("canned", floor), ("server", server)):
                    costs[which].append(await measured(target, called, callers, seconds))
            found.setdefault(name, {})[f"{callers} callers"] = _summary(costs)
            print(name, f"{callers} callers", json.dumps(_summary(costs)), flush=True)
    return found


def _summary(costs: dict[str, list[Cost]]) -> dict[str, Any]:
    cpu = {which: statistics.median(c.cpu_ms for c in some) for which, some in costs.items()}
    rate = {which: statistics.median(c.per_s for c in some) for which, some in costs.items()}
    return {
        "cpu_ms": {which: round(value, 3) for which, value in cpu.items()},
        "per_s": {which: round(value) for which, value in rate.items()},
        "cpu_ratio": round(cpu["server"] / cpu["canned"], 2),
        "rate_ratio": round(rate["server"] / rate["canned"], 2),
    }


async def profiled(server: Target, called: Called, folder: Path) -> dict[str, dict[str, float]] | None:
    """Where the processor time of searches of several callers goes."""
    profiler = Profiler(server.pid, _PROFILE_S, folder)
    await measured(server, called, CALLERS[-1], _PROFILE_S + 2.0)
    return await asyncio.to_thread(profiler.result)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(prog="make bench-calls", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round and way")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AFTERIMAGE_ENCODERS_DIR"] = str(encoder_of(folder / "encoders", DIMENSION))
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (address, process):
            key, wanted = demo_key(folder), calls()
            with Client(address, key, timeout_s=600.0) as client:
                fill(client)
            server = Target(address, process.pid, (("authorization", f"Bearer {key}"),))
            answers = {called.path: asyncio.run(one_answer(server, called)) for called in wanted.values()}
            found = search_pb.SearchResponse.FromString(answers[wanted["search"].path])
            assert [len(hit.attributes) for hit in found.hits] == [2] * K
            with canned(answers, folder) as floor:
                costs = asyncio.run(compared(server, floor, wanted, options.rounds, options.seconds))
            profile = asyncio.run(profiled(server, wanted["search"], folder))
    paths = search_pb.SearchPath.Name(found.path)
    result = {"records": RECORDS, "dimension": DIMENSION, "path": paths, "calls": costs, "profile_of_search": profile}
    print(write_result("calls", result))


if __name__ == "__main__":
    main()
