"""`make bench-index-life`: a collection during its life.

It measures searches during writes, rebuilds and snapshots, single writes, cold starts, erasure, and ten thousand
tenants in one process. Needs ../shared as `make bench-index` does. With --work, the folder of a run of bench.index, its
collection of a million rows is opened too.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.environment import write_result
from bench.index.__main__ import resident_bytes, seconds
from bench.index.contenders import Own
from bench.index.vectors import Vectors, real_vectors
from bench.index.workload import Workload
from index import (
    Collection,
    CollectionCache,
    CollectionSpec,
    DataDirectory,
    LocalVectorIndexes,
    RecordWrite,
    SearchQuery,
    TenantDirectory,
)

ROWS, ROUNDS, SEARCHES = 100_000, 3, 2000
IMPORT_ROUNDS = 15  # until the base is being extended, and beyond
WRITERS, LONE_WRITES, COLD = 64, 8000, 20
TENANTS, TENANT_RECORDS, TENANT_SEARCHES, BUDGET_BYTES = 10_000, 20, 30_000, 512 << 20
KEY = bytes(32)


def main() -> None:
    """Measures, prints, writes bench/results/index-life.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder of a run of bench.index")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        real = np.load(options.work / "real.npy") if options.work else real_vectors()
        load = Workload(real, ROWS, options.work or folder)
        result: dict[str, Any] = {"rounds": ROUNDS}
        steps: dict[str, Callable[[], Any]] = {
            "tenants": lambda: many_tenants(real, folder / "tenants"),  # first: it measures the process's memory
            "lone_writes": lambda: lone_writes(load, folder / "lone"),
            "while_busy": lambda: while_busy(load, folder / "busy"),
            "cold": lambda: cold(load, folder / "busy", ROWS),
            "erasing": lambda: erasing(folder / "busy"),
        }
        if options.work and (options.work / "this-index").exists():
            steps["cold_million"] = lambda: cold(load, options.work / "this-index", 1_000_000)
        for name, step in steps.items():
            result[name] = step()
            Console().print(name, result[name])
    print(write_result("index-life", result))


def lone_writes(load: Workload, folder: Path) -> dict[str, Any]:
    """Writes of one record each, durable on return, from one writer and from many concurrent ones."""
    found: dict[str, Any] = {}
    for writers in (1, WRITERS):
        speeds: list[float] = []
        taken: list[float] = []
        for number in range(ROUNDS):
            collection = opened(folder / f"{writers}-{number}").create(spec())

            def write(i: int, collection: Collection = collection, taken: list[float] = taken) -> None:
                started = time.perf_counter()
                collection.upsert([RecordWrite(str(i), load.queries[i % 1000])])
                taken.append(time.perf_counter() - started)

            count = LONE_WRITES if writers > 1 else LONE_WRITES // 10
            with ThreadPoolExecutor(writers) as pool:
                started = time.perf_counter()
                list(pool.map(write, range(count)))
                speeds.append(count / (time.perf_counter() - started))
            collection.abandon()
        found[f"{writers} writers"] = {"per_second": round(statistics.median(speeds)), **percentiles(taken)}
    return found


def while_busy(load: Workload, folder: Path) -> dict[str, Any]:
    """Latency of searches by one caller, alone and during other work."""
    own = Own(load, folder)
    own.insert()
    own.build()
    collection, found = own.collection, {}
    search_all(collection, load.queries)
    stop, over = threading.Event(), threading.Event()
    # As many ids again as there are; a later round replaces them, so that the collection stops growing. Made
    # beforehand: the index is measured, and its caller's Python would hold the same interpreter.
    renamed = [[RecordWrite(f"new-{w.record_id}", w.vector) for w in batch] for batch in own.batches()]
    gc.collect()
    gc.freeze()  # for the same reason: the collector would look through them while searches wait

    def imports() -> None:
        while not stop.is_set():
            for batch in renamed:
                collection.upsert(batch)
                if stop.is_set():
                    return

    def lasting(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            while not stop.is_set():
                work()

        return run

    cases: dict[str, Callable[[], None] | None] = {
        "idle": None,
        "a rebuild": lasting(lambda: collection.build_ann_index(anew=True)),
        "snapshots": lasting(lambda: collection.keep_snapshot() and collection.snapshot()),
        "an import": imports,
    }
    upkeep = threading.Thread(target=lambda: keep_up(collection, over))  # as the server does it
    upkeep.start()
    for name, work in cases.items():
        stop.clear()
        thread = threading.Thread(target=work) if work is not None else None
        if thread is not None:
            thread.start()
        rounds = IMPORT_ROUNDS if work is imports else ROUNDS
        taken = [t for _ in range(rounds) for t in search_all(collection, load.queries)]
        stop.set()
        if thread is not None:
            thread.join()
        found[name] = percentiles(taken)
    over.set()
    upkeep.join()
    collection.delete_matching("NOT u < 2")  # what the import brought
    collection.compact()
    own.close()
    gc.unfreeze()
    return found


def keep_up(collection: Collection, over: threading.Event) -> None:
    """Runs maintenance every two seconds."""
    while not over.wait(2.0):
        collection.maintain()


def cold(load: Workload, folder: Path, rows: int) -> dict[str, Any]:
    """Time from an unopened directory to the first answer, with files in the page cache.

    A hypervisor may reclaim unused memory, and returning it then takes most of the time. Therefore, in every second
    round, twice as much memory as the collection takes is allocated and freed just before.
    """
    opening: list[float] = []
    answering: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * COLD):
        at_hand = number % 2 == 1
        if at_hand:
            np.ones(4 * rows * load.dimension, np.uint8)
        directory = opened(folder)
        started = time.perf_counter()
        collection = directory.collection("bench")
        opening.append(time.perf_counter() - started)
        started = time.perf_counter()
        collection.search(SearchQuery(load.queries[number], 10))
        answering[at_hand].append(time.perf_counter() - started)
        directory.abandon()
    first = {"first_answer": percentiles(answering[False]), "memory_at_hand": percentiles(answering[True])}
    return {"rows": rows, "opening": percentiles(opening), **first}


def erasing(folder: Path) -> dict[str, Any]:
    """Time from the start of an erasure until a hundredth of the records has left memory, store and snapshots."""
    directory = opened(folder)
    collection = directory.collection("bench")
    collection.keep_snapshot()
    deleted = collection.delete([str(i) for i in range(0, ROWS, 100)])
    spent = seconds(collection.compact)
    directory.close()
    return {"deleted": deleted, "of": ROWS, "seconds": round(spent, 2)}


def many_tenants(real: Vectors, folder: Path) -> dict[str, Any]:
    """Searches over many tenants within a memory budget, most of them in few tenants (Zipf, exponent 1)."""
    first = opened(folder / "0")
    collection = first.create(spec())
    collection.upsert([RecordWrite(str(i), real[i], attributes={"u": float(i)}) for i in range(TENANT_RECORDS)])
    first.close()
    for number in range(1, TENANTS):
        shutil.copytree(folder / "0", folder / str(number))
    before, cache = resident_bytes(), CollectionCache(LocalVectorIndexes(), BUDGET_BYTES)
    directories: dict[int, TenantDirectory] = {}
    rng = np.random.default_rng(4)
    chances = 1 / np.arange(1, TENANTS + 1)
    asked = rng.choice(TENANTS, TENANT_SEARCHES, p=chances / chances.sum())
    hot: list[float] = []
    cold_: list[float] = []
    highest = 0
    started = time.perf_counter()
    for number, tenant in enumerate(asked.tolist()):
        began = time.perf_counter()
        if tenant not in directories:
            directories[tenant] = opened(folder / str(tenant), cache)
        found = directories[tenant].collection("bench")
        was_cold = found.handle.loaded is None
        found.search(SearchQuery(real[number % len(real)], 10))
        (cold_ if was_cold else hot).append(time.perf_counter() - began)
        if number % 500 == 0:
            highest = max(highest, resident_bytes() - before)
    spent = time.perf_counter() - started
    result = {
        "tenants": TENANTS, "touched": len(directories), "records_each": TENANT_RECORDS,
        "budget_mb": BUDGET_BYTES >> 20, "highest_memory_mb": highest >> 20, "in_memory_at_the_end": cache.count(),
        "searches_per_second": round(TENANT_SEARCHES / spent), "hot": percentiles(hot), "cold": percentiles(cold_),
        "cold_share": round(len(cold_) / TENANT_SEARCHES, 3),
    }  # fmt: skip
    for directory in directories.values():
        directory.abandon()
    return result


def opened(folder: Path, cache: CollectionCache | None = None) -> TenantDirectory:
    """The only tenant of a folder."""
    return TenantDirectory(DataDirectory(folder).tenant("a" * 32), KEY, cache)


def spec() -> CollectionSpec:
    """What is measured with."""
    return CollectionSpec("bench", "e", "f" * 16, 384, learning=False)


def search_all(collection: Collection, queries: Vectors) -> list[float]:
    """Seconds of each of SEARCHES searches."""
    taken = []
    for i in range(SEARCHES):
        started = time.perf_counter()
        collection.search(SearchQuery(queries[i % len(queries)], 10))
        taken.append(time.perf_counter() - started)
    return taken


def percentiles(taken: list[float]) -> dict[str, float]:
    """Milliseconds."""
    p50, p99 = np.percentile(taken, [50, 99]) * 1000 if taken else (0.0, 0.0)
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":  # as in a server; OpenMP has read it by now, hence once more
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "OMP_NUM_THREADS": "1"})
    main()
