"""`make bench-sync`: the cost of a catalogue sync.

1. A million unchanged items are planned again: seconds, and memory beside the index. The records have short vectors,
because planning reads none.

2. A sync of the drawn catalogue over HTTP on this machine, beside a bulk insert of the same pictures. Then a sync with
a hundredth of them changed, beside one that only reads and compares.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewRecord, NewSource, Run
from bench.environment import write_result
from examples.catalogue.generate import TABLE_NAME, generate
from examples.demo import AFTERIMAGE, TENANT, demo_key, running_server
from index import CollectionSpec, DataDirectory, Origin, RecordWrite, SourceBatch, SourceMark, TenantDirectory
from service.cli.collections.pictures import plan_insert
from service.sync.feed_input.spool import Spool
from service.sync.feeds.model import FeedOptions
from service.sync.feeds.reader import read_feed
from service.sync.runs.plan import Difference, make_plan
from service.sync.runs.staging import Staging
from service.sync.source_model import SourceConfig, SourceState

ROUNDS = 3
KEY = bytes(32)
CONFIG = SourceConfig("feed", "c", "https://shop.example/feed")


def main() -> None:
    """Measures, prints, writes bench/results/sync.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--replan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replan:
        print(json.dumps(replanned(options.replan)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fill(folder / "big", options.items)
        command = [sys.executable, "-m", "bench.sync", "--replan", str(folder / "big")]
        done = [json.loads(subprocess.check_output(command, text=True)) for _ in range(options.rounds)]
        replan = {name: round(statistics.median(d[name] for d in done), 1) for name in done[0]}
        result = {"items": options.items, "rounds": options.rounds, "replan": replan, "replan_rounds": done}
        result["catalogue"] = catalogue(folder, options.rounds)
    show(result)
    print(f"written to {write_result('sync', result)}")


# ---- a million items


def big_feed(items: int) -> Iterator[bytes]:
    """A table like those of large shops, in parts."""
    yield b"id\titem_group_id\ttitle\tbrand\tprice\tcolor\tavailability\tlink\timage_link\n"
    for start in range(0, items, 1000):
        yield "".join(
            f"{n}\tg{n // 3}\tShoe number {n} in leather\tAcme\t{n % 90}.50 EUR\tred\tin_stock\t"
            f"https://shop.example/p/{n}\thttps://cdn.shop.example/pictures/{n}.jpg\n"
            for n in range(start, min(items, start + 1000))
        ).encode()


def staged(folder: Path, items: int, collection: Any) -> Staging:
    """The feed, read into a staging database as a run does."""
    spool = Spool(folder)
    for part in big_feed(items):
        spool.take(part)
    digest = spool.finish()
    staging = Staging(folder / "staging.db", KEY)
    _, found = read_feed(spool.reader(), spool.size, FeedOptions())
    after = SourceState(feed_digest=digest)
    staging.fill(found, after, collection.picture_digests.of_url, lambda _: None)
    return staging


def fill(folder: Path, items: int) -> None:
    """A collection in the state after its first run."""
    directory = TenantDirectory(DataDirectory(folder).tenant("a" * 32), KEY)
    collection = directory.create(CollectionSpec("c", "e", "f" * 16, 8, learning=False))
    staging = staged(folder, items, collection)
    collection.sourced.claim(1)
    batch, writes = SourceBatch(1, "feed", "run"), []
    vectors = np.random.default_rng(1).standard_normal((items, 8)).astype(np.float32)
    for number, row in enumerate(staging.records()):
        mark = SourceMark("feed", row.item_digest)
        writes.append(
            RecordWrite(row.record_id, vectors[number], row.product_id, {}, None, b"d", Origin(row.url_digest), mark)
        )
        if len(writes) == 1000:
            collection.sourced.apply(batch, writes)
            writes = []
    if writes:
        collection.sourced.apply(batch, writes)
    staging.close()
    (folder / "staging.db").unlink()
    (folder / "items").write_text(str(items))
    directory.close()


def replanned(folder: Path) -> dict[str, float]:
    """Reads the feed and plans with the collection in memory. Runs in its own process, to measure its peak memory."""
    items = int((folder / "items").read_text())
    directory = TenantDirectory(DataDirectory(folder).tenant("a" * 32), KEY)
    collection = directory.collection("c")
    collection.count()
    before, started = memory_mb("VmRSS"), time.monotonic()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    staging = staged(folder, items, collection)
    read = time.monotonic()
    summary = staging.summary()
    assert summary is not None
    plan = make_plan(
        Difference(CONFIG, {}).steps(staging.records(), collection.sourced.marks("feed")),
        summary,
        CONFIG,
        summary.after,
    )
    assert (plan.unchanged, plan.changes) == (items, 0), plan
    ended = time.monotonic()
    staging.close()
    (folder / "staging.db").unlink()
    directory.abandon()
    return {"seconds": ended - started, "reading_s": read - started, "comparing_s": ended - read,
            "memory_mb": memory_mb("VmHWM") - before}  # fmt: skip


def memory_mb(name: str) -> float:
    """Memory of this process now (VmRSS), or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


# ---- a catalogue over HTTP


@contextmanager
def shop(folder: Path, delay_s: float = 0.0) -> Iterator[str]:
    """A web server for a folder with a delay for each answer. Yields its address."""
    code = (
        "import http.server as h, functools, sys, time\n"
        "class Q(h.SimpleHTTPRequestHandler):\n protocol_version='HTTP/1.1'\n def log_message(*a): pass\n"
        " def do_GET(self): time.sleep(float(sys.argv[2])); super().do_GET()\n"
        "s = h.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Q, directory=sys.argv[1]))\n"
        "print(s.server_port, flush=True)\ns.serve_forever()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(delay_s)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.wait()


def catalogue(folder: Path, rounds: int) -> dict[str, Any]:
    """A sync beside a bulk insert, and the cost of a hundredth of changes."""
    os.environ["AFTERIMAGE_FETCH_NETWORKS"] = '["127.0.0.1/32"]'
    os.environ["AFTERIMAGE_FETCH_RATE_PER_HOST"] = "100000"
    os.environ["AFTERIMAGE_FETCH_PER_HOST"] = "16"
    generate(folder / "shop")
    pictures = [f.path for f in plan_insert([], folder / "shop" / TABLE_NAME)]
    measured: list[dict[str, float]] = []
    with (
        shop(folder / "shop") as address,
        running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, _),
        Client(target, demo_key(folder)) as client,
        Client(target, sync_key(folder)) as sync,
    ):
        for number in range(rounds):
            measured.append(one_round(client, sync, folder / "shop", pictures, address, number))
    return {"pictures": len(pictures), **{n: round(statistics.median(m[n] for m in measured), 2) for n in measured[0]},
            "rounds": measured}  # fmt: skip


def one_round(
    client: Client, sync: Client, folder: Path, pictures: list[Path], address: str, number: int
) -> dict[str, float]:
    """All runs once, in collections of this round."""
    for name in ("bulk", "feed"):
        client.create_collection(f"{name}-{number}")
    started = time.monotonic()
    records = [NewRecord(str(i), image=path.read_bytes()) for i, path in enumerate(pictures)]
    list(client.import_records(f"bulk-{number}", records))
    bulk_s = time.monotonic() - started
    source = f"feed-{number}"
    publish(folder, pictures, address, 0)
    sync.create_source(NewSource(source, f"feed-{number}", f"{address}/feed.tsv", max_delete_share=1.0))
    full_s = timed(sync, source, created=len(pictures))
    compared_s = timed(sync, source, full=True)
    changed = max(1, len(pictures) // 100)
    publish(folder, pictures, address, changed)
    changed_s = timed(sync, source, updated=changed)
    return {
        "bulk_s": bulk_s, "full_sync_s": full_s, "compared_s": compared_s, "changed_s": changed_s,
        "sync_over_bulk_speed": bulk_s / full_s,
        "changed_share_of_full": max(0.0, changed_s - compared_s) / max(1e-9, full_s - compared_s),
    }  # fmt: skip


def publish(folder: Path, pictures: list[Path], address: str, changed: int) -> None:
    """Writes the feed; the first `changed` items show another item's picture."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "title", "image_link"])
    shown = [*pictures[-changed:], *pictures[changed:]] if changed else pictures
    for i, path in enumerate(shown):
        writer.writerow([i, f"item {i}", f"{address}/{path.relative_to(folder)}?{changed if i < changed else 0}"])
    (folder / "feed.tsv").write_text(out.getvalue())


def timed(sync: Client, source: str, *, full: bool = False, created: int = 0, updated: int = 0) -> float:
    """Seconds from start to end of a run, which must have had exactly this result."""
    *_, run = sync.watch_run(sync.start_run(source, full=full).run_id)
    assert (run.state, run.created_count, run.updated_count) == ("succeeded", created, updated), run
    return seconds(run)


def seconds(run: Run) -> float:
    """The working time of a run."""
    assert run.start_time is not None
    assert run.end_time is not None
    return (run.end_time - run.start_time).total_seconds()


def sync_key(folder: Path) -> str:
    """A key for syncs of the demo's tenant."""
    command = [*AFTERIMAGE, "keys", "create", TENANT, "--scopes", "sync", "--data-dir", str(folder / "data"), "--json"]
    return str(json.loads(subprocess.check_output(command, text=True))["api_key"])


def show(result: dict[str, Any]) -> None:
    """Prints a table."""
    table = Table("measurement", "figure", box=None)
    replan, found = result["replan"], result["catalogue"]
    table.add_row(f"{result['items']:,} unchanged items planned again, s", f"{replan['seconds']:.1f}")
    table.add_row("memory for it, MB", f"{replan['memory_mb']:.0f}")
    table.add_row(f"bulk insert of {found['pictures']} pictures, s", f"{found['bulk_s']:.2f}")
    table.add_row("sync of the same, s", f"{found['full_sync_s']:.2f}")
    table.add_row("only reading and comparing, s", f"{found['compared_s']:.2f}")
    table.add_row("sync with a hundredth changed, s", f"{found['changed_s']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
