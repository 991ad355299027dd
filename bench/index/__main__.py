"""`make bench-index`: this index, bare FAISS and the installed embedded engines, on the same vectors.

Needs ../shared (real photographs and a real encoder; bench/index/vectors.py describes how more vectors are drawn).
Contenders run in sequence, each in its own process: insert, build, search. Every search figure is the median of ROUNDS
rounds over the same queries. Recall is recall@10 against exact search in single precision.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.environment import RESULTS, commit, write_result
from bench.index.contenders import NAMES, THROUGH_GRPC, Contender, MilvusLite, open_contender
from bench.index.vectors import DIMENSION
from bench.index.workload import FILTERED_QUERIES, Condition, Workload

ROUNDS = 3
SIZES = (20_000, 100_000, 1_000_000)
MOST_ROWS = {"milvus-lite": 20_000}
SLOW_QUERIES = 10
GOOD = 0.99


def main() -> None:
    """Measures, prints tables, writes bench/results/index.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--only", nargs="*", default=NAMES, choices=NAMES, help="contenders")
    parser.add_argument("--dimension", type=int, default=DIMENSION, help="other than 384: into index-<dimension>.json")
    parser.add_argument("--work", type=Path, help="folder for vectors and engines; else a temporary one")
    parser.add_argument(
        "--keep", action="store_true", help="keep what was measured at this commit before a stop, and measure the rest"
    )
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measured(options.contender, options.rows[0], options.work)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work, name_of_result = options.work or Path(temporary), "index"
        if options.dimension != DIMENSION:
            work, name_of_result = work / str(options.dimension), f"index-{options.dimension}"
        work.mkdir(parents=True, exist_ok=True)
        described = prepare(work, options.rows, options.dimension)
        results = measured_before(name_of_result) if options.keep else {}
        for rows in options.rows:
            results.setdefault(str(rows), {})
            kept = set(results[str(rows)])
            for name in (n for n in options.only if rows <= MOST_ROWS.get(n, rows) and n not in kept):
                results[str(rows)][name] = in_own_process(name, rows, work)
                write_result(name_of_result, {"vectors": described, "rounds": ROUNDS, "sizes": results})
            show(f"{rows:,} x {options.dimension}", results[str(rows)])


def measured_before(name: str) -> dict[str, dict[str, Any]]:
    """What a stopped run of the same commit has measured, by size and contender."""
    path, now = RESULTS / f"{name}.json", commit()
    sizes = json.loads(path.read_text())["sizes"] if path.exists() else {}
    return {rows: {n: f for n, f in found.items() if f.get("commit") == now} for rows, found in sizes.items()}


def prepare(work: Path, sizes: list[int], dimension: int) -> dict[str, Any]:
    """Draws the vectors and computes the exact results once for all contenders. Returns properties of the vectors."""
    from bench.index.vectors import local_intrinsic_dimension, real_vectors

    if not (work / "real.npy").exists():
        np.save(work / "real.npy", real_vectors(dimension))
    real = np.load(work / "real.npy")
    told: dict[str, Any] = {"real": {"rows": len(real), "dimension": local_intrinsic_dimension(real, real[::17])}}
    for rows in sizes:
        load = Workload(real, rows, work)
        path = work / f"truth-{rows}.json"
        if not path.exists():
            right = {"": load.truth(), **{name: load.truth(c) for name, c in load.cases().items()}}
            path.write_text(json.dumps({name: [r.tolist() for r in found] for name, found in right.items()}))
        sample = np.asarray(load.vectors[: min(rows, 200_000)])
        told[str(rows)] = {"rows": rows, "dimension": local_intrinsic_dimension(sample, load.queries[:100])}
    return told


def in_own_process(name: str, rows: int, work: Path) -> dict[str, Any]:
    """Measures a contender in a separate process."""
    command = [
        sys.executable,
        "-m",
        "bench.index",
        "--contender",
        name,
        "--rows",
        str(rows),
        "--work",
        str(work),
    ]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        return {
            "error": done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else f"exit {done.returncode}"
        }
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name} at {rows}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def measured(name: str, rows: int, work: Path) -> dict[str, Any]:
    """All figures of one contender."""
    load = Workload(np.load(work / "real.npy"), rows, work)
    truth = {
        n: [np.array(r) for r in found] for n, found in json.loads((work / f"truth-{rows}.json").read_text()).items()
    }
    before = resident_bytes()
    contender = open_contender(name, load, work / name.replace(",", "").replace(" ", "-"))
    gc.collect()
    gc.freeze()  # as the server does at its start: what was imported is not looked through again and again
    inserted, built = seconds(contender.insert), seconds(contender.build)
    result: dict[str, Any] = {
        "note": contender.note,
        "commit": commit(),
        "insert_s": round(inserted, 2),
        "rows_per_s": round(rows / inserted) if inserted > 0.1 else None,
        "build_s": round(built, 2),
        # of the server that is asked through gRPC the memory is in another process
        "bytes_per_row": None if name == THROUGH_GRPC else round((resident_bytes() - before) / rows),
        "curve": [{"effort": e, **rounds(contender, load, e, None, truth[""])} for e in contender.efforts],
    }
    if contender.filters:
        result["filters"] = {
            case: rounds(contender, load, 0, conditions, truth[case]) for case, conditions in load.cases().items()
        }
    contender.close()
    return result


def rounds(
    contender: Contender, load: Workload, effort: int, conditions: list[Condition] | None,
    truth: list[NDArray[np.int64]],
) -> dict[str, float]:  # fmt: skip
    """Searches per second and recall: medians of the rounds."""
    queries = load.queries if conditions is None else load.queries[:FILTERED_QUERIES]
    slow = isinstance(contender, MilvusLite)  # tens of milliseconds for each
    queries, truth = (queries[:SLOW_QUERIES], truth[:SLOW_QUERIES]) if slow else (queries, truth)
    speeds, found = [], []
    for _ in range(1 if slow else ROUNDS):
        started = time.perf_counter()
        found = [contender.search(q, effort, conditions[i] if conditions else None) for i, q in enumerate(queries)]
        speeds.append(len(queries) / (time.perf_counter() - started))
    shares = [len(set(f) & set(t.tolist())) / len(t) for f, t in zip(found, truth, strict=True) if len(t)]
    return {"per_second": round(statistics.median(speeds), 1), "recall": round(float(np.mean(shares)), 4)}


def at_good_recall(curve: list[dict[str, float]]) -> dict[str, float] | None:
    """The fastest point of a curve with sufficient recall."""
    good = [p for p in curve if p["recall"] >= GOOD]
    return max(good, key=lambda p: p["per_second"]) if good else None


def show(title: str, found: dict[str, Any]) -> None:
    """Prints one table."""
    table = Table(
        "engine", "rows/s", "build s", "bytes/row", f"searches/s at recall >= {GOOD}", "best recall", box=None
    )
    for name, r in found.items():
        if "error" in r:
            table.add_row(name, r["error"])
            continue
        good = at_good_recall(r["curve"])
        best = max(p["recall"] for p in r["curve"])
        told = f"{good['per_second']:,.0f} ({good['recall']:.3f})" if good else "-"
        table.add_row(
            name,
            str(r["rows_per_s"] or "-"),
            f"{r['build_s']:.1f}",
            str(r["bytes_per_row"] or "-"),
            told,
            f"{best:.4f}",
        )
    Console().print(f"\n{title}", table)
    filtered = {n: r["filters"] for n, r in found.items() if "filters" in r}
    if filtered:
        table = Table("filter", *filtered, box=None)
        for case in next(iter(filtered.values())):
            cells = (f[case] for f in filtered.values())
            table.add_row(case, *(f"{c['per_second']:,.0f} ({c['recall']:.3f})" for c in cells))
        Console().print(table)


def seconds(work: Callable[[], object]) -> float:
    """The duration of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resident_bytes() -> int:
    """Resident memory of this process without mapped files."""
    status = Path("/proc/self/status").read_text()
    return sum(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))
    )


if __name__ == "__main__":
    main()
