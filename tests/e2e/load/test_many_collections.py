"""Ten thousand collections on one server with its default limits: each is served, whatever fits into memory."""

from __future__ import annotations

import signal
import statistics
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from afterimage.client import Client, NewRecord, Term
from tests.support.reliability import FaultResult, say, told
from tests.support.servers.server import Server, start_server

_COLLECTIONS, _TENANTS, _SEARCHES = 10_000, 10, 1_000
_FEW_FILES = 4096  # as many systems allow a service, of which half are for collections: room for about 700
_DIM = 384


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("files", [None, _FEW_FILES], ids=["default", "few files"])
def test_each_of_ten_thousand_collections_is_served(
    tmp_path: Path, report_faults: Callable[[FaultResult], None], files: int | None
) -> None:
    vectors = np.random.default_rng(1).standard_normal((_COLLECTIONS, _DIM)).astype("<f4")
    wrapper = () if files is None else ("prlimit", f"--nofile=1024:{files}")
    server = start_server(tmp_path, anew=True, wrapper=wrapper)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client(server.key(f"t{n}"))) for n in range(_TENANTS)]
        for n in told(range(_COLLECTIONS), _COLLECTIONS, "create"):
            clients[n % _TENANTS].create_collection(f"c{n}")
            clients[n % _TENANTS].insert(f"c{n}", [NewRecord("only", vector=vectors[n].tobytes())])
        measured = gauges(server)
        some = np.random.default_rng(2).permutation(_COLLECTIONS)[:_SEARCHES]
        took = [duration_ms(clients, int(n), vectors) for n in told(some, _SEARCHES, "search")]
    assert measured["afterimage_open_files"] < measured["afterimage_open_files_limit"]
    mib = psutil.Process(server.process.pid).memory_info().rss >> 20
    assert stop(server) == 0
    began = time.monotonic()
    again = start_server(tmp_path, anew=True, wrapper=wrapper)
    ready_s = time.monotonic() - began
    with ExitStack() as stack:
        clients = [stack.enter_context(again.client(again.key(f"t{n}"))) for n in range(_TENANTS)]
        assert sum(len(list(client.collections())) for client in clients) == _COLLECTIONS
        for n in some[:50]:
            duration_ms(clients, int(n), vectors)
    assert stop(again) == 0
    report_faults(outcome_of(measured, sorted(took), mib, ready_s, files))


def outcome_of(
    measured: dict[str, float], took: Sequence[float], mib: int, ready_s: float, files: int | None
) -> FaultResult:
    """The row for docs/reliability.md."""
    say(f"searches {took[0]:.0f} to {took[-1]:.0f} ms")
    return FaultResult(
        f"{_COLLECTIONS:,} collections on one server" + (f", at most {files:,} open files" if files else ""),
        2 * _COLLECTIONS + _SEARCHES,
        0,
        f"no call failed; {measured['afterimage_collections_open']:,.0f} in memory,"
        f" {measured['afterimage_open_files']:,.0f} of {measured['afterimage_open_files_limit']:,.0f} files open,"
        f" {mib:,} MiB; a search of any of them takes"
        f" {statistics.median(took):.0f} ms, {took[len(took) * 99 // 100]:.0f} ms at most for 99 %;"
        f" ready {ready_s:.0f} s after a start",
    )


def stop(server: Server) -> int:
    """Asks the server to stop. It writes a snapshot of each changed collection in memory before it does."""
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(600)


def duration_ms(clients: Sequence[Client], number: int, vectors: np.ndarray) -> float:
    """The time of a search of a collection, which must find its record."""
    began = time.perf_counter()
    found = clients[number % _TENANTS].search(f"c{number}", Term(vector=vectors[number].tobytes()), k=1)
    assert [hit.record_id for hit in found.hits] == ["only"]
    return (time.perf_counter() - began) * 1000


def gauges(server: Server) -> dict[str, float]:
    """The server's metrics without labels."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as response:
        families = text_string_to_metric_families(response.read().decode())
    return {s.name: s.value for family in families for s in family.samples if not s.labels}
