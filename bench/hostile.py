"""`make bench-hostile`: the service for a well-behaved tenant during attacks.

The tenant searches by vector from two threads, first alone, then during each attack, which runs in a separate process.
During attacks on the HTTP port one of the two searches over HTTP.
Attackers have an address of their own. For each it measures calls per second, p50 and p99,
and the server's memory before, at its peak, and some seconds later.
All processes share the cores, so that a part of the effect is the attacker's own work.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from afterimage.client import Client, NewRecord, RetryPolicy, Term
from afterimage.v1.search_service_pb2 import SearchRequest
from bench.environment import clean_commit, write_result
from bench.hostile_attacks import NAMES, Attacker, RunningAttack
from examples.demo import demo_key, running_server

ROWS, THREADS, SECONDS, AFTER_S = 5000, 2, 10.0, 6.0


@dataclass(frozen=True)
class Arrangement:
    """Who runs where. gives_way: whether the attacker only gets the time that the client leaves."""

    name: str
    server: frozenset[int]
    clients: frozenset[int]
    gives_way: bool


def arrangements() -> list[Arrangement]:
    """Those that this machine has cores for."""
    cores = sorted(os.sched_getaffinity(0))
    everywhere = [Arrangement("shared", frozenset(cores), frozenset(cores), False)]
    return everywhere + [Arrangement("apart", frozenset(cores[:1]), frozenset(cores[1:2]), True)] * (len(cores) > 1)


Search = Callable[[bytes], object]


def free_address() -> str:
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def _strangers() -> str:
    """The address that attackers over gRPC use, and that the tenant does not; its own where there is no IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return "127.0.0.1"
    return "[::1]"


def over_grpc(client: Client) -> Search:
    """A search by vector with the client."""
    return lambda vector: client.search("own", Term(vector=vector), k=10)


def over_http(http: str, key: str) -> Search:
    """The same over a connection to the HTTP port."""
    connection = HTTPConnection(http, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/proto"}

    def search(vector: bytes) -> None:
        request = SearchRequest(collection="own", k=10)
        request.query.add(vector=vector)
        connection.request("POST", "/afterimage.v1.SearchService/Search", request.SerializeToString(), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()[:500]
        answer.read()

    return search


def searches(each: Sequence[Search], seconds: float) -> list[float]:
    """The duration of each search, in milliseconds. Each of the functions is called by a thread of its own.

    Raises what a search raised.
    """
    until, taken, failures = time.perf_counter() + seconds, list[float](), list[Exception]()
    vectors = np.random.default_rng(1).standard_normal((100, 384)).astype("<f4")

    def run(search: Search) -> None:
        number, started = 0, 0.0
        while started < until and not failures:  # at least one, however busy the machine is
            started = time.perf_counter()
            try:
                search(vectors[number % 100].tobytes())
            except Exception as failure:  # raised again in the thread that waits
                failures.append(failure)
            taken.append((time.perf_counter() - started) * 1000)
            number += 1

    threads = [threading.Thread(target=run, args=(search,)) for search in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return taken


def measured(each: Sequence[Search], process: psutil.Process, seconds: float) -> dict[str, float]:
    """Searches for the given time, and the server's peak memory meanwhile."""
    most, over = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    before = process.cpu_times()
    taken = searches(each, seconds)
    after = process.cpu_times()
    over.set()
    looking.join()
    cpu_s = after.user + after.system - before.user - before.system
    p50, p99 = (float(p) for p in np.percentile(taken, [50, 99]))
    return {
        "per_second": round(len(taken) / seconds, 1), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2),
        "server_cpu": round(cpu_s / seconds, 3), "server_cpu_ms_per_search": round(cpu_s * 1000 / len(taken), 3),
        "most_mib": most[0] >> 20,
    }  # fmt: skip


def _filled(client: Client) -> None:
    client.create_collection("own")
    vectors = np.random.default_rng(0).standard_normal((ROWS, 384)).astype("<f4")
    list(client.import_records("own", (NewRecord(str(n), vector=v.tobytes()) for n, v in enumerate(vectors))))


def run(folder: Path, seconds: float, arrangement: Arrangement, only: str = "") -> dict[str, Any]:
    """Runs all attacks in sequence, each beside a measurement without attack. Raises what a search raised."""
    here, found, spawn = os.sched_getaffinity(0), dict[str, Any](), multiprocessing.get_context("spawn")
    http = free_address()
    os.sched_setaffinity(0, arrangement.server)  # the server inherits it, and sizes itself by it
    try:
        with running_server(folder, "localhost:0", http) as (address, server):
            port = address.rpartition(":")[2]
            target, process, key = f"127.0.0.1:{port}", psutil.Process(server.pid), demo_key(folder)
            attacker = Attacker(
                f"{_strangers()}:{port}", http, _hostile_key(folder), arrangement.clients, arrangement.gives_way
            )
            os.sched_setaffinity(0, arrangement.clients)
            with Client(target, key, retry=RetryPolicy(1)) as client, Client(target, attacker.key) as other:
                _filled(client)
                _filled(other)
                tenants = {
                    False: [over_grpc(client)] * THREADS,
                    True: [over_grpc(client), *(over_http(http, key) for _ in range(THREADS - 1))],
                }
                searches(tenants[False], 2)
                for over, names in groupby(NAMES, lambda name: name.startswith("http_")):
                    each, chosen = tenants[over], [name for name in names if only in ("", name)]
                    before = measured(each, process, seconds) if chosen else {}
                    for name in chosen:
                        beside = _beside(each, process, seconds, RunningAttack(attacker, name, spawn))
                        after = measured(each, process, seconds)
                        found[name] = {"alone": _mean(before, after), **beside}
                        Console().print(arrangement.name, name, found[name])
                        before = after
    finally:
        os.sched_setaffinity(0, here)
    return found


def _mean(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Of what was measured before and after an attack; but the memory before it."""
    means = {name: round((value + after[name]) / 2, 3) for name, value in before.items()}
    return {**means, "most_mib": before["most_mib"]}


def _beside(each: Sequence[Search], process: psutil.Process, seconds: float, attack: RunningAttack) -> dict[str, Any]:
    time.sleep(3)  # until it has imported what it needs
    calls = attack.calls
    try:
        beside = measured(each, process, seconds)
        calls = attack.calls - calls
    finally:
        attack.stop()
    time.sleep(AFTER_S)
    after = process.memory_info().rss >> 20
    return {"beside": beside, "attack_calls_per_second": round(calls / seconds, 1), "after_mib": after}


def _hostile_key(folder: Path) -> str:
    from service.composition.data_directory import open_registry
    from service.config import load_settings
    from service.tenancy.apikeys import Scope
    from service.tenancy.stored_keys import NewKey

    registry = open_registry(load_settings({"data_dir": folder / "data"}).settings)
    try:
        return registry.api_keys.create(registry.create_tenant("hostile").uid, NewKey(frozenset(Scope)))
    finally:
        registry.close()


def show(name: str, found: dict[str, Any]) -> None:
    """A table for people."""
    heads = (
        "attack", "calls/s", "alone /s", "beside /s", "kept", "alone p99", "beside p99", "server CPU alone", "beside",
        "MiB before", "at most", "after",
    )  # fmt: skip
    table = Table(*heads, box=None, title=name)
    for attack, figures in found.items():
        alone, beside = figures["alone"], figures["beside"]
        table.add_row(
            attack, f"{figures['attack_calls_per_second']:.0f}", f"{alone['per_second']:.0f}",
            f"{beside['per_second']:.0f}", f"{beside['per_second'] / alone['per_second']:.0%}",
            f"{alone['p99_ms']:.1f}", f"{beside['p99_ms']:.1f}", f"{alone['server_cpu']:.0%}",
            f"{beside['server_cpu']:.0%}", str(alone["most_mib"]), str(beside["most_mib"]), str(figures["after_mib"]),
        )  # fmt: skip
    Console(width=160).print(table)


def main() -> None:
    """Measures, prints and writes bench/results/hostile.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", choices=NAMES, help="one attack; nothing is written")
    options, found = parser.parse_args(), {}
    measured_at = "" if options.only else clean_commit()
    for arrangement in arrangements():
        with tempfile.TemporaryDirectory() as temporary:
            found[arrangement.name] = run(Path(temporary), options.seconds, arrangement, options.only or "")
        show(arrangement.name, found[arrangement.name])
    if not options.only:
        result = {"seconds": options.seconds, "attacks": found}
        print(f"written to {write_result('hostile', result, measured_at)}")


if __name__ == "__main__":
    main()
