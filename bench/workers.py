"""`make bench-workers`: the gain from remote workers in catalogue syncs.

Two sources, each with the drawn catalogue over HTTP, are synced by one worker and by two, each bound to one core. The
server works on no run itself. On two cores, the server and the shop's web server share them.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewSource
from bench.environment import write_result
from bench.sync import shop, sync_key
from examples.catalogue.generate import TABLE_NAME, generate
from examples.demo import AFTERIMAGE, demo_key, running_server
from service.cli.collections.pictures import plan_insert
from service.coordination.embedded import socket_path

SETTINGS = {
    "AFTERIMAGE_FETCH_NETWORKS": '["127.0.0.1/32"]', "AFTERIMAGE_FETCH_RATE_PER_HOST": "100000",
    "AFTERIMAGE_SYNC_RUNS": "0",
}  # fmt: skip


def main() -> None:
    """Measures, prints, writes bench/results/workers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(SETTINGS, AFTERIMAGE_WORKER_SECRET=secrets.token_hex(32))
    with tempfile.TemporaryDirectory() as temporary:
        result = measured(Path(temporary), options.rounds)
    show(result)
    print(f"written to {write_result('workers', result)}")


def measured(folder: Path, rounds: int) -> dict[str, Any]:
    """Pictures per second with one worker and with two, from a fast shop and from a slow, distant one."""
    generate(folder / "shop")
    found = {}
    for name, delay_s, copies, per_host in (("near", 0.0, 4, "16"), ("slow", 0.2, 1, "4")):
        os.environ["AFTERIMAGE_FETCH_PER_HOST"] = per_host
        found[name] = compared(
            folder / name, shop_folder=folder / "shop", delay_s=delay_s, copies=copies, rounds=rounds
        )
    return {"cores": len(os.sched_getaffinity(0)), "rounds": rounds, **found}


def compared(folder: Path, *, shop_folder: Path, delay_s: float, copies: int, rounds: int) -> dict[str, Any]:
    """One worker and two, in alternating rounds."""
    folder.mkdir()
    pictures = [f.path for f in plan_insert([], shop_folder / TABLE_NAME)]
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with (
        shop(shop_folder, delay_s) as address,
        running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, _),
        Client(target, demo_key(folder)) as owner,
        Client(target, sync_key(folder)) as sync,
    ):
        publish(shop_folder, pictures, address, copies)
        for number in range(rounds):
            for count in speeds:
                for half in "ab":
                    owner.create_collection(f"{half}-{number}-{count}")
                with workers(folder, target, count):
                    seconds = synced(sync, address, f"{number}-{count}")
                speeds[count].append(round(2 * copies * len(pictures) / seconds, 1))
    ratios = [round(two / one, 2) for one, two in zip(speeds[1], speeds[2], strict=True)]
    return {
        "pictures": 2 * copies * len(pictures), "delay_s": delay_s,
        "one_worker_pictures_per_s": statistics.median(speeds[1]),
        "two_workers_pictures_per_s": statistics.median(speeds[2]), "two_over_one": statistics.median(ratios),
        "speeds": {str(count): found for count, found in speeds.items()}, "ratios": ratios,
    }  # fmt: skip


def publish(folder: Path, pictures: list[Path], address: str, copies: int) -> None:
    """A feed that contains the catalogue several times, under different links."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "image_link"])
    for copy in range(copies):
        for i, path in enumerate(pictures):
            writer.writerow([f"{copy}-{i}", f"{address}/{path.relative_to(folder)}?{copy}"])
    (folder / "feed.tsv").write_text(out.getvalue())


@contextmanager
def workers(folder: Path, target: str, count: int) -> Iterator[None]:
    """Workers, each on its own core, that together work on two runs."""
    redis_url = f"unix://{socket_path((folder / 'data' / 'redis').resolve())}"
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        for number in range(count):
            core = str(cores[number % len(cores)])
            command = ["taskset", "-c", core, *AFTERIMAGE, "worker", "--server", target, "--redis-url", redis_url]
            log = stack.enter_context((folder / "worker.log").open("a"))
            process = subprocess.Popen(
                [*command, "--sync-runs", str(2 // count)], stdout=subprocess.PIPE, stderr=log, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout is not None
            assert "is ready" in process.stdout.readline(), (folder / "worker.log").read_text()[-2000:]
        yield


def synced(sync: Client, address: str, suffix: str) -> float:
    """Seconds until both sources are synced."""
    for half in "ab":
        sync.create_source(NewSource(f"{half}-{suffix}", f"{half}-{suffix}", f"{address}/feed.tsv"))
    started = time.monotonic()
    runs = [sync.start_run(f"{half}-{suffix}").run_id for half in "ab"]
    for run_id in runs:
        *_, run = sync.watch_run(run_id)
        assert run.state == "succeeded", run
    return time.monotonic() - started


def show(result: dict[str, Any]) -> None:
    """Prints a table."""
    table = Table("shop", "pictures/s, one worker", "two workers", "two over one", box=None)
    for name in ("near", "slow"):
        found = result[name]
        one, two = found["one_worker_pictures_per_s"], found["two_workers_pictures_per_s"]
        table.add_row(name, f"{one:.0f}", f"{two:.0f}", f"{found['two_over_one']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
