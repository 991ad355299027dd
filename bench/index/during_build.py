"""`python -m bench.index.during_build`: searches while an ANN index is built, in the idle class and with nice 10.

One thread searches an index while it is built anew, and the same beside one busy process per core, where the build
starves and is begun anew with nice 10 (docs/decisions/0046-builds-that-starve.md).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.environment import write_result
from bench.index.life import KEY, spec
from index import Collection, DataDirectory, RecordWrite, SearchQuery, TenantDirectory

ROWS, SECONDS = 20_000, 8.0
_BUSY = "while True: pass"


class RestartWatch(logging.Handler):
    """Notes when the log says that a build is begun anew."""

    def __init__(self) -> None:
        super().__init__()
        self.restarted = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Handles a line of the log."""
        if "begun anew" in record.getMessage():
            self.restarted.set()


def main() -> None:
    """Measures, prints, writes bench/results/index-during-build.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows, found = parser.parse_args().rows, dict[str, dict[str, float]]()

    def note(name: str, told: dict[str, float]) -> None:
        found[name] = told
        Console().print(name, told)

    with tempfile.TemporaryDirectory() as folder:
        collection = filled(Path(folder), rows)
        note("alone", figures(searches(collection, until=SECONDS)))
        note("during a build in the idle class", during_build(collection)[0])
        with busy_cores():
            note("alone, beside busy cores", figures(searches(collection, until=SECONDS)))
            starving, anew = during_build(collection)
            note("during a build that starves, beside busy cores", starving)
            note("during a build with nice 10, beside busy cores", anew)
        collection.abandon()
    print(write_result("index-during-build", {"rows": rows, "cores": os.cpu_count(), "searches": found}))


def filled(folder: Path, rows: int) -> Collection:
    """A collection with an ANN index."""
    collection = TenantDirectory(DataDirectory(folder).tenant("a" * 32), KEY).create(spec())
    vectors = np.random.default_rng(0).standard_normal((rows, spec().dimension)).astype(np.float32)
    for start in range(0, rows, 1000):
        block = vectors[start : start + 1000]
        collection.upsert([RecordWrite(str(start + n), vector) for n, vector in enumerate(block)])
    assert collection.build_ann_index()
    return collection


def during_build(collection: Collection) -> tuple[dict[str, float], dict[str, float]]:
    """Searches while the index is built anew: until the build is begun anew, or ends, and from then on."""
    watch, log = RestartWatch(), logging.getLogger("index.vectors.ann.ann_build_job")
    log.addHandler(watch)
    log.setLevel(logging.INFO)
    over = threading.Event()

    def build() -> None:
        collection.build_ann_index(anew=True)
        over.set()

    building = threading.Thread(target=build)
    building.start()
    before = searches(collection, unless=(over, watch.restarted))
    after = searches(collection, unless=(over,))
    building.join()
    log.removeHandler(watch)
    return figures(before), figures(after) if watch.restarted.is_set() else {}


def searches(collection: Collection, *, until: float = 0.0, unless: tuple[threading.Event, ...] = ()) -> list[float]:
    """The times of searches, in milliseconds. `until`: for so many seconds; `unless`: until one of these is set."""
    vectors = np.random.default_rng(1).standard_normal((500, spec().dimension)).astype(np.float32)
    began, took = time.perf_counter(), list[float]()
    while not any(event.is_set() for event in unless) and (not until or time.perf_counter() - began < until):
        started = time.perf_counter()
        collection.search(SearchQuery(vectors[len(took) % 500], 10))
        took.append((time.perf_counter() - started) * 1000)
    return took


def figures(took: list[float]) -> dict[str, float]:
    """Seconds, searches per second, p50 and p99 in milliseconds."""
    if not took:
        return {}
    seconds = sum(took) / 1000
    p50, p99 = (round(float(p), 2) for p in np.percentile(took, [50, 99]))
    return {"seconds": round(seconds, 1), "per_second": round(len(took) / seconds), "p50_ms": p50, "p99_ms": p99}


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """A process per core that is always busy."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
