"""`make bench-smoke`: throughput and latency of inserts and searches through gRPC on this machine.

A real server in its own process and the real client in this one share the cores, as on a small machine. The pictures
are the drawn catalogue. Each figure is the median of ROUNDS rounds, and the result contains all rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewRecord, Term
from bench.environment import write_result
from examples.catalogue.generate import TABLE_NAME, generate
from examples.demo import demo_key, running_server
from service.cli.collections.pictures import plan_insert

ROUNDS = 3
VECTORS = 20_000


def per_second(count: int, work: Callable[[], object]) -> float:
    """The throughput of `work`, which processes `count` things."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def latencies_ms(calls: list[Any], clients: int) -> dict[str, float]:
    """Throughput and latency of calls by concurrent clients."""
    taken: list[float] = []

    def timed(call: Callable[[], object]) -> None:
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(timed, calls))
    seconds = time.perf_counter() - started
    p50, p99 = np.percentile(taken, [50, 99])
    return {"per_second": round(len(calls) / seconds, 1), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}


def one_round(client: Client, number: int, pictures: list[bytes]) -> dict[str, Any]:
    """Every measurement once, in collections of this round."""
    with_pictures, with_vectors = f"pictures-{number}", f"vectors-{number}"
    client.create_collection(with_pictures)
    dimension = client.create_collection(with_vectors).dimension
    records = [NewRecord(str(i), image=p) for i, p in enumerate(pictures)]
    vectors = np.random.default_rng(number).standard_normal((VECTORS, dimension)).astype("<f4")
    bulk = (NewRecord(str(i), vector=v.tobytes(), attributes={"n": float(i % 100)}) for i, v in enumerate(vectors))
    result: dict[str, Any] = {
        "insert_pictures_per_second": per_second(
            len(records), lambda: list(client.import_records(with_pictures, records))
        ),
        "insert_same_pictures_again_per_second": per_second(
            len(records), lambda: list(client.import_records(with_pictures, records))
        ),
        "insert_vectors_per_second": per_second(VECTORS, lambda: list(client.import_records(with_vectors, bulk))),
    }
    lone = [
        partial(client.insert, with_vectors, [NewRecord(f"lone-{i}", vector=vectors[i].tobytes())]) for i in range(200)
    ]
    by_picture = [partial(client.search, with_pictures, p, k=10) for p in pictures[:150]]
    by_vector = [partial(client.search, with_vectors, Term(vector=v.tobytes()), k=10) for v in vectors[:400]]
    filtered = [
        partial(client.search, with_vectors, Term(vector=v.tobytes()), k=10, filter="n < 1") for v in vectors[:400]
    ]
    for name, calls in (
        ("insert_one_durable", lone),
        ("search_by_picture", by_picture),
        ("search_by_vector_20k", by_vector),
        ("search_by_vector_20k_filter_1_percent", filtered),
    ):
        for clients in (1, 8):
            result[f"{name}_{clients}_clients"] = latencies_ms(calls, clients)
    return result


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over the rounds."""
    merged: dict[str, Any] = {}
    for name, value in rounds[0].items():
        if isinstance(value, dict):
            merged[name] = {key: round(statistics.median(r[name][key] for r in rounds), 2) for key in value}
        else:
            merged[name] = round(statistics.median(r[name] for r in rounds), 1)
    return merged


def show(figures: dict[str, Any]) -> None:
    """A table for people."""
    table = Table("measurement", "per second", "p50 ms", "p99 ms", box=None)
    for name, value in figures.items():
        if isinstance(value, dict):
            table.add_row(name, f"{value['per_second']:.0f}", f"{value['p50_ms']:.2f}", f"{value['p99_ms']:.2f}")
        else:
            table.add_row(name, f"{value:.0f}", "", "")
    Console().print(table)


def main() -> None:
    """Measures, prints and writes bench/results/smoke.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        generate(folder / "catalogue")
        pictures = [f.path.read_bytes() for f in plan_insert([], folder / "catalogue" / TABLE_NAME)]
        with (
            running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (address, _),
            Client(address, demo_key(folder)) as client,
        ):
            measured = [one_round(client, number, pictures) for number in range(rounds)]
    figures = medians(measured)
    show(figures)
    print(f"written to {write_result('smoke', {'median': figures, 'rounds': measured})}")


if __name__ == "__main__":
    main()
