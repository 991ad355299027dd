"""`make bench-http`: processor time of a real server for a search over HTTP, relative to the same over gRPC."""

from __future__ import annotations

import base64
import http.client
import json
import re
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from afterimage.client import Client, NewRecord, Term
from bench.environment import write_result
from examples.catalogue.generate import draw_query
from examples.demo import demo_key, running_server

ROUNDS, CALLS, RECORDS, DIMENSION = 5, 60, 2000, 384


class Http:
    """Searches over one connection."""

    def __init__(self, address: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._authorization = f"Bearer {key}"

    def search(self, body: bytes, kind: str, query: str = "") -> None:
        """One search; `query`: the query string."""
        headers = {"Authorization": self._authorization, "Content-Type": kind}
        self._connection.request("POST", f"/v1/collections/cost:search{query}", body, headers)
        answer = self._connection.getresponse()
        found = answer.read()
        assert answer.status == 200, found


def measured(server: psutil.Process, ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of processor time of a call, by way: the median of alternating rounds. Decoders count too."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            call()
            before = _seconds(server)
            for _ in range(CALLS):
                call()
            found[name].append((_seconds(server) - before) * 1000 / CALLS)
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def _seconds(server: psutil.Process) -> float:
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def main() -> None:
    """Measures, prints, writes bench/results/http.json."""
    chosen = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, process):
            key = demo_key(folder)
            port = re.search(r'"http": "([^"]+)"', (folder / "server.log").read_text())
            assert port is not None
            with Client(target, key) as client:
                client.create_collection("cost")
                for start in range(0, RECORDS, 100):
                    vectors = chosen.standard_normal((100, DIMENSION)).astype("<f4")
                    attributes: dict[str, Any] = {"color": "red", "price": 9.5, "new": True, "tags": ["a", "b"]}
                    records = [
                        NewRecord(f"r{start + number}", vector=vector.tobytes(), attributes=attributes)
                        for number, vector in enumerate(vectors)
                    ]
                    client.insert("cost", records)
                picture = draw_query(1, folder).read_bytes()
                results = _compared(picture, client, Http(port[1], key), psutil.Process(process.pid))
    print(json.dumps(results, indent=2))
    print(write_result("http", results))


def _compared(picture: bytes, client: Client, http_: Http, server: psutil.Process) -> dict[str, Any]:
    vector = np.random.default_rng(2).standard_normal(DIMENSION).astype("<f4").tobytes()
    by_vector = json.dumps({"query": [{"vector": base64.b64encode(vector).decode()}], "k": 10}).encode()
    by_picture = json.dumps({"query": [{"image": base64.b64encode(picture).decode()}], "k": 10}).encode()
    vectors = measured(server, {
        "gRPC": lambda: client.search("cost", Term(vector=vector), k=10),
        "HTTP, JSON": lambda: http_.search(by_vector, "application/json"),
    })  # fmt: skip
    pictures = measured(server, {
        "gRPC": lambda: client.search("cost", picture, k=10),
        "HTTP, base64": lambda: http_.search(by_picture, "application/json"),
        "HTTP, bytes": lambda: http_.search(picture, "image/jpeg", "?k=10"),
    })  # fmt: skip
    return {"picture_bytes": len(picture), "by_vector_ms": vectors, "by_picture_ms": pictures}


if __name__ == "__main__":
    main()
