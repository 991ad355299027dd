"""`make bench-pictures`: serving against a bare loop, latency under load and overload, the cost of forgetting.

A real server in its own process and the real client in this one share the cores. Rounds alternate (bare, served, bare,
...), figures are medians, and ratios are taken within a round. Pictures are those of ../shared/data, unchanged and
enlarged to twelve megapixels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewRecord
from bench.encoders.builtin import mobilenet_folder
from bench.encoders.packs import SHARED
from bench.environment import write_result
from bench.pictures.load import COLLECTION, Running, closed_loop, open_loop, peak_memory, server_with
from service.encoder.registry import BUILTIN_FOLDER

SMALL, LARGE, ROUNDS = 800, 40, 3
LOADS = (0.25, 0.5, 0.75, 0.95)
OVERLOAD, LOAD_S = 10, 8.0
STREAMS = 3
# The allocator keeps its speed, but does not overwrite what is freed.
UNPROTECTED = {
    "_AFTERIMAGE_PREPARED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=268435456",
}  # fmt: skip


def picture_folders(folder: Path) -> dict[str, Path]:
    """The pictures of each size, written into folders."""
    found = sorted((SHARED / "data" / "clothing" / "images").glob("*.jpg"))
    small, large = folder / "small", folder / "large"
    small.mkdir()
    large.mkdir()
    for path in found[:SMALL]:
        (small / path.name).write_bytes(path.read_bytes())
    for number, path in enumerate(found[:: len(found) // LARGE][:LARGE]):
        original = cv2.imread(str(path))
        assert original is not None
        picture = cv2.resize(original, (4000, 3000), interpolation=cv2.INTER_CUBIC)
        noise = np.random.default_rng(number).normal(0, 4, (3000, 4000, 1)).astype(np.int16)
        noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(large / path.name), noisy, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return {"320 px": small, "12 megapixels": large}


def encoder_folders(folder: Path) -> dict[str, Path]:
    """The built-in encoder, and the one in shared/models with scaled decoding."""
    folder.mkdir()
    other = mobilenet_folder(folder)
    manifest = json.loads((other / "encoder.json").read_text())
    manifest["input"]["decode"] = "scaled"
    (other / "encoder.json").write_text(json.dumps(manifest))
    return {"builtin": BUILTIN_FOLDER, "mobilenet-v2": other}


def bare(encoder: Path, pictures: Path, how: str, loops: str) -> float:
    """Pictures per second of a bare loop."""
    command = [sys.executable, "-m", "bench.pictures.bare_loop", str(encoder), str(pictures), how, loops]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return float(json.loads(said.stdout)["pictures_per_second"])


def served(running: Running, encoder_id: str, pictures: Sequence[bytes], name: str) -> float:
    """Pictures per second over STREAMS import streams: bytes in, durable vector out."""
    with Client(running.address, running.key) as client:
        client.create_collection(name, encoder_id=encoder_id)
        records = [NewRecord(str(i), image=p) for i, p in enumerate(pictures)]
        started = time.perf_counter()
        with ThreadPoolExecutor(STREAMS) as pool:
            done = pool.map(lambda i: list(client.import_records(name, records[i::STREAMS])), range(STREAMS))
            failed = [r for results in done for r in results if r.error is not None]
        assert not failed, failed[0]
        return len(pictures) / (time.perf_counter() - started)


def throughput(folder: Path, rounds: int) -> dict[str, Any]:
    """Served against bare, for each encoder and size, alternating."""
    encoders, sizes = encoder_folders(folder / "encoders"), picture_folders(folder)
    result: dict[str, Any] = {}
    with server_with(folder / "served", {"AFTERIMAGE_ENCODERS_DIR": str(folder / "encoders")}) as running:
        for encoder_id, encoder in encoders.items():
            for size, pictures in sizes.items():
                content = [p.read_bytes() for p in sorted(pictures.iterdir())]
                measured = []
                for number in range(rounds):
                    one, full = bare(encoder, pictures, "scaled", "one"), bare(encoder, pictures, "full", "one")
                    many = bare(encoder, pictures, "scaled", "many")
                    ours = served(running, encoder_id, content, f"{encoder_id}-{len(content)}-{number}")
                    measured.append({
                        "bare_loop": one, "bare_loop_full_decode": full, "bare_loops_in_threads": many, "served": ours,
                        "ratio": ours / one, "ratio_to_full_decode": ours / full, "ratio_to_threads": ours / many,
                    })  # fmt: skip
                result[f"{encoder_id}, {size}"] = _medians(measured)
        result["stages"] = stages(running)
    return result


def stages(running: Running) -> dict[str, float]:
    """Mean milliseconds per picture in each stage, from the server's histograms."""
    text = urllib.request.urlopen(running.metrics_url).read().decode()
    found = {}
    for stage in ("queue", "decode", "model", "store"):
        total, count = (
            float(re.search(rf'afterimage_picture_seconds_{part}{{stage="{stage}"}} (\S+)', text)[1])  # type: ignore[index]
            for part in ("sum", "count")
        )
        found[stage] = 1000 * total / max(count, 1)
    return found


def under_load(folder: Path, rounds: int) -> dict[str, Any]:
    """Latency of a search by picture at fractions of the maximum rate, and at ten times it, with the memory used."""
    found = sorted((SHARED / "data" / "clothing" / "images").glob("*.jpg"))
    pictures = [p.read_bytes() for p in found]
    measured: list[dict[str, Any]] = []
    with server_with(folder / "load", {}) as running:
        with Client(running.address, running.key) as client:
            client.create_collection(COLLECTION)
            list(client.import_records(COLLECTION, (NewRecord(str(i), image=p) for i, p in enumerate(pictures))))
        for _ in range(rounds):
            idle = asyncio.run(closed_loop(running, pictures, 1, LOAD_S / 2))
            highest = asyncio.run(closed_loop(running, pictures, 8, LOAD_S))
            rate = highest["per_second"]
            row: dict[str, Any] = {"idle": idle, "highest": highest}
            for share in LOADS:
                row[f"{share:.0%}"] = asyncio.run(open_loop(running, pictures, share * rate, LOAD_S))
            with peak_memory(running.process.pid) as memory:
                row["overload"] = asyncio.run(open_loop(running, pictures, OVERLOAD * rate, LOAD_S))
            row["overload"] |= {"admitted_p99_over_idle_p99": row["overload"]["p99_ms"] / idle["p99_ms"], **memory}
            measured.append(row)
    return {name: _medians([m[name] for m in measured]) for name in measured[0]}


def forgetting(folder: Path, rounds: int) -> dict[str, float]:
    """Throughput with and without the protections, alternating."""
    found = sorted((SHARED / "data" / "clothing" / "images").glob("*.jpg"))[:SMALL]
    content = [p.read_bytes() for p in found]
    measured = []
    for number in range(rounds):
        row = {}
        for name, settings in (("protected", {}), ("unprotected", UNPROTECTED)):
            with server_with(folder / f"{name}-{number}", settings) as running:
                served(running, "builtin", content[:100], "warm")
                row[name] = served(running, "builtin", content, "c")
        measured.append(row | {"ratio": row["protected"] / row["unprotected"]})
    return _medians(measured)


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(r.get(name, 0.0) for r in rows), 3) for name in rows[0]}


def _print(result: dict[str, Any]) -> None:
    for title, rows in result.items():
        if not all(isinstance(r, dict) for r in rows.values()):
            rows = {title: rows}
        names = list(dict.fromkeys(n for r in rows.values() for n in r))
        table = Table(title, *names, box=None)
        for name, row in rows.items():
            table.add_row(name, *(f"{row[n]:.4g}" if n in row else "" for n in names))
        Console(width=200).print(table)


def main() -> None:
    """Measures, prints and writes bench/results/pictures.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--part", choices=("throughput", "load", "forgetting"), action="append",
                        help="nothing is written")  # fmt: skip
    arguments = parser.parse_args()
    parts = {"throughput": throughput, "load": under_load, "forgetting": forgetting}
    with tempfile.TemporaryDirectory() as temporary:
        result = {
            name: measure(Path(temporary), arguments.rounds)
            for name, measure in parts.items()
            if arguments.part is None or name in arguments.part
        }
    _print(result)
    if not arguments.part:
        print(f"written to {write_result('pictures', result)}")


if __name__ == "__main__":
    main()
