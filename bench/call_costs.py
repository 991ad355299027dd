"""What calls of one client cost a real server: calls per second, and processor time of the server for one."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from afterimage.client import AttributeValue, Client, NewRecord
from bench.calls.load import scheduled_ns

Calls = Mapping[str, Callable[[], object]]
Costs = dict[str, dict[str, float]]
_CENTRES = 2000


def processor_s(server: psutil.Process) -> float:
    """Processor time of all threads of a server and its decoders, by the scheduler."""
    pids = [p.pid for p in (server, *server.children(recursive=True))]
    return sum(scheduled_ns(pid) for pid in pids) / 1e9


def costs(server: psutil.Process, calls: Calls, *, rounds: int, seconds: float) -> Costs:
    """Calls per second (`per_s`) and milliseconds of processor time of one (`cpu_ms`), by name: medians of alternating
    rounds. Work of the server in the background counts too."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            count, processor, began = 0, processor_s(server), time.perf_counter()
            while time.perf_counter() - began < seconds:
                call()
                count += 1
            taken = time.perf_counter() - began
            found[name].append((count / taken, (processor_s(server) - processor) * 1000 / count))
    return {
        name: {"per_s": round(statistics.median(rates), 1), "cpu_ms": round(statistics.median(times), 2)}
        for name, (rates, times) in ((n, zip(*pairs, strict=True)) for n, pairs in found.items())
    }


def markdown(found: Costs, plain: Sequence[str]) -> Iterator[str]:
    """The rows of a table. plain: the calls that are 1.0; each other is compared with the last one before it."""
    base = 0.0
    for name, cost in found.items():
        base = cost["cpu_ms"] if name in plain else base
        yield f"| {name} | {cost['per_s']:,.1f} | {cost['cpu_ms']:.2f} | {cost['cpu_ms'] / base:.2f} |"


def clustered(count: int, dimension: int) -> NDArray[np.float32]:
    """Vectors around random centres, shape (count, dimension), so that a graph finds near ones."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((_CENTRES, dimension)).astype(np.float32)
    made = 0.5 * rng.standard_normal((count, dimension), np.float32)
    made += centres[rng.integers(0, _CENTRES, count)]
    return made


def fill(
    client: Client,
    collection: str,
    vectors: NDArray[np.float32],
    attributes: Callable[[int], dict[str, AttributeValue]],
) -> None:
    """Inserts records with the ids 0, 1, … and waits until the index over them is built."""
    results = client.import_records(collection, _records(vectors, attributes))
    assert all(r.error is None for r in results)
    client.rebuild_index(collection)


def http_address(log: Path) -> str:
    """Where a server listens for HTTP, by its log."""
    found = re.search(r'"http": ?"([^"]+)"', log.read_text())
    assert found is not None
    return found[1]


def _records(
    vectors: NDArray[np.float32], attributes: Callable[[int], dict[str, AttributeValue]]
) -> Iterable[NewRecord]:
    for number, vector in enumerate(vectors):
        yield NewRecord(str(number), vector=vector.tobytes(), attributes=attributes(number))
