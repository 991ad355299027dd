"""Nothing blocks the server's event loop.

A real server in asyncio's debug mode takes calls of every kind, while its loop's thread is watched for disk, locks and
processor time; `tests.support.servers.loop_watch` says how.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterimage.client import Client, NewExample, NewRecord, NewSource, Patch, Term, Unavailable
from service.composition.data_directory import open_registry
from service.config import load_settings
from service.tenancy.apikeys import Scope
from service.tenancy.stored_keys import NewKey
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import NOT_MEASURED, ONE_DECODER, Server, adopt, clean_environment, prepared
from tests.support.servers.shop import FETCHING, Shop
from tests.support.shared import clothing


@dataclass
class Watched:
    """A watched server and, once it has stopped, what was found."""

    server: Server
    report: Path
    key: str

    def found(self) -> dict[str, Any]:
        assert self.server.stop() == 0
        found: dict[str, Any] = json.loads(self.report.read_text())
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    report = tmp_path / "report.json"
    settings = load_settings({"data_dir": tmp_path / "data"}).settings
    with closing(open_registry(settings, create=True)) as registry:  # before the server, which notes changes at once
        uid = registry.create_tenant("acme").uid
        key = registry.api_keys.create(uid, NewKey(frozenset(Scope)))
    command = [sys.executable, "-m", "tests.support.servers.watched_server", str(report), str(tmp_path / "data")]
    environment = prepared({**clean_environment(), **NOT_MEASURED, **ONE_DECODER, **FETCHING})
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    adopt(process)
    assert process.stdout is not None
    ready = re.search(r"gRPC on (\S+), HTTP on (\S+)", process.stdout.readline())
    assert ready is not None, (tmp_path / "server.log").read_text()[-2000:]
    return Watched(Server(tmp_path, process, ready[1], ready[2]), report, key)


def said(faults: Sequence[dict[str, Any]]) -> str:
    return "\n".join(f"{f['kind']} {f['what']} {f['cost']:.1f}\n    " + "\n    ".join(f["where"]) for f in faults)


def test_nothing_blocks_the_event_loop_while_calls_of_every_kind_are_made(watched: Watched, shop: Shop) -> None:
    server = watched.server
    with Client(server.target, watched.key) as client:  # which comes again where a busy machine refuses
        write_and_search(client)
        keep_and_administer(client, server)
        synchronise(client, shop)
        train(client, [NewExample(str(i), f"label {i % 2}", image=png(i)) for i in range(200, 212)])
        client.erase_records("shoes", record_ids=["3"])
        erase_collection(client, "kept")
    found = watched.found()
    assert found["faults"] == [], said(found["faults"])
    assert found["callbacks"] > 1000
    assert {"fsync()", "SQLite execute", "pwrite()"} <= set(found["elsewhere"])  # the watch sees what it looks for


@pytest.mark.long
def test_nothing_blocks_the_event_loop_while_a_model_of_real_pictures_is_published(watched: Watched) -> None:
    server = watched.server
    by_label: dict[str, list[Path]] = {}
    for path, label in clothing():
        by_label.setdefault(label, []).append(path)
    chosen = [(p, label) for label, paths in by_label.items() for p in paths[:40]]
    with Client(server.target, watched.key) as client:  # which comes again where a busy machine refuses
        state = train(client, [NewExample(p.stem, label, image=p.read_bytes()) for p, label in chosen])
        assert state == "published"
        client.create_collection("own", encoder_id="own-model")
        client.insert("own", [NewRecord("1", image=chosen[0][0].read_bytes())])
        client.delete_model("own-model", force=True)
    found = watched.found()
    assert found["faults"] == [], said(found["faults"])


def erase_collection(client: Client, name: str) -> None:
    """Upkeep, which here comes twenty times as often as it does, may be at work on the collection just then."""
    for _ in range(10):
        with suppress(Unavailable):
            client.erase_collection(name)
            return
    raise AssertionError(f"{name} could not be erased")


def write_and_search(client: Client) -> None:
    client.create_collection("shoes")
    records = [NewRecord(str(i), image=png(i), attributes={"color": "red", "n": i}) for i in range(12)]
    assert all(r.error is None for r in client.import_records("shoes", records))
    client.insert("shoes", records[:3])
    for number in range(5):
        client.search("shoes", png(number), k=5, filter='color = "red"', facets=["color"])
    client.update_records("shoes", [Patch("1", set_attributes={"color": "blue"})])
    client.get_records("shoes", ["1", "2"])
    client.count_records("shoes", filter="n > 3")
    client.encode([png(50)])
    client.rank(png(1), [png(2), png(3)])
    client.create_collection("vectors")
    vectors = [NewRecord(f"v{i}", vector=[float((i * j) % 7) + 0.1 for j in range(384)]) for i in range(120)]
    assert all(r.error is None for r in client.import_records("vectors", vectors))
    client.insert("vectors", vectors[:100])
    assert len(list(client.records("vectors", include_vectors=True))) == 120
    client.search("vectors", Term(vector=vectors[0].vector), k=100)
    list(client.find_duplicates("vectors"))
    client.delete_records("vectors", record_ids=["v1"])
    client.delete_collection("vectors", force=True)


def keep_and_administer(client: Client, server: Server) -> None:
    client.create_collection("kept")
    client.set_picture_policy("kept", "ENCRYPTED_COPY", force=True)
    client.insert("kept", [NewRecord(str(i), image=png(i)) for i in range(3)])
    pages = [f"http://{server.http}/{page}" for page in ("metrics", "healthz", "readyz")]
    for url in (client.picture_link("kept", "1").url, *pages):
        with urllib.request.urlopen(url) as answer:
            assert answer.read()
    client.exchange_collections("kept", "shoes")
    client.exchange_collections("kept", "shoes")
    client.update_collection("shoes", description="for feet")
    snapshot = client.create_snapshot("shoes")
    client.list_snapshots("shoes")
    assert client.verify_snapshot("shoes", snapshot.snapshot_id) == []
    client.restore_snapshot("shoes", snapshot.snapshot_id, target="back")
    client.delete_snapshot("shoes", snapshot.snapshot_id)
    client.verify_index("shoes")
    client.rebuild_index("shoes")
    client.index_stats("shoes")
    client.usage()
    client.server_info()
    client.set_read_audit(1)
    client.search("shoes", png(1), k=1)
    client.list_audit_entries()
    client.audit_head()
    client.list_access_requests()
    assert {c.name for c in client.collections()} == {"back", "kept", "shoes"}


def synchronise(client: Client, shop: Shop) -> None:
    numbers = range(100, 108)
    shop.pictures = {f"/{n}.png": png(n) for n in numbers}
    long = "x" * 200_000  # more than a block in all, so that some is on the disk before the rest has come
    items = [{"id": str(n), "image_link": f"{shop.address}/{n}.png", "description": long} for n in numbers]
    shop.pictures["/feed"] = jsonl(items)
    client.create_collection("followed")
    client.preview_feed(f"{shop.address}/feed")
    client.create_source(NewSource("feed", "followed", f"{shop.address}/feed", max_delete_share=1.0))
    for full in (False, True):
        *_, last = client.watch_run(client.start_run("feed", full=full).run_id)
        assert last.state == "succeeded"
    client.list_runs()
    client.list_sources()


def train(client: Client, examples: list[NewExample]) -> str:
    client.create_training_set("set")
    assert {r.outcome for r in client.add_examples("set", examples)} == {"added"}
    client.get_training_set("set")
    with urllib.request.urlopen(client.example_link("set", examples[0].example_id).url) as answer:
        assert answer.read() == examples[0].image
    *_, last = client.watch_training(client.train_model("set", "model").training_id)
    client.delete_training_set("set", force=True)
    return last.state


def test_the_watch_finds_what_blocks_a_loop(tmp_path: Path) -> None:
    """Each kind of fault, planted in a file of a room that is watched."""
    room = tmp_path / "service"
    room.mkdir()
    (room / "planted.py").write_text(
        "import os, threading, time, asyncio\n"
        "lock, quick = threading.Lock(), threading.Lock()\n"
        "def sync(path):\n"
        "    with open(path, 'wb') as file: os.fsync(file.fileno())\n"
        "def locked(path):\n"
        "    with lock: sync(path)\n"
        "def wait_for_lock():\n"
        "    with lock, quick: pass\n"
        "def compute():\n"
        "    until = time.thread_time() + 0.05\n"
        "    while time.thread_time() < until: pass\n"
    )
    program = (
        "import asyncio, json, sys\n"
        "from tests.support.servers.loop_watch import LoopWatch\n"
        "watch = LoopWatch(0.005); watch.install()\n"
        f"sys.path.insert(0, {str(room)!r}); import planted\n"
        "async def main():\n"
        "    watch.begin(); watch.judge_slowness(); await asyncio.sleep(0)\n"
        f"    await asyncio.to_thread(planted.locked, {str(tmp_path / 'a')!r})\n"
        f"    for call in ({{calls}}): call()\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main()); print(json.dumps(sorted({f.kind for f in watch.end()})))\n"
    )
    for calls, kinds in {
        "": [],
        f"lambda: planted.sync({str(tmp_path / 'b')!r})": ["disk"],
        "planted.wait_for_lock": ["lock"],
        "planted.compute": ["slow"],
    }.items():
        code = program.replace("{calls}", f"{calls}," if calls else "")
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ran.stdout.strip() == json.dumps(kinds), ran.stderr
