"""`make bench-http`: processor time of a real server for a search over HTTP, relative to the same over gRPC."""

from __future__ import annotations

import base64
import http.client
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from afterimage.client import Client, NewRecord, Term
from bench.call_costs import http_address, processor_s
from bench.environment import write_result
from examples.catalogue.generate import draw_query
from examples.demo import demo_key, running_server

ROUNDS, CALLS, RECORDS = 5, 60, 2000


@dataclass(frozen=True)
class Query:
    """What is searched for. `vector`: float32, little-endian."""

    picture: bytes
    vector: bytes


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
            before = processor_s(server)
            for _ in range(CALLS):
                call()
            found[name].append((processor_s(server) - before) * 1000 / CALLS)
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def main() -> None:
    """Measures, prints, writes bench/results/http.json."""
    chosen = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, process):
            key = demo_key(folder)
            with Client(target, key) as client:
                dimension = client.create_collection("cost").dimension
                for start in range(0, RECORDS, 100):
                    vectors = chosen.standard_normal((100, dimension)).astype("<f4")
                    attributes: dict[str, Any] = {"color": "red", "price": 9.5, "new": True, "tags": ["a", "b"]}
                    records = [
                        NewRecord(f"r{start + number}", vector=vector.tobytes(), attributes=attributes)
                        for number, vector in enumerate(vectors)
                    ]
                    client.insert("cost", records)
                vector = chosen.standard_normal(dimension).astype("<f4").tobytes()
                query = Query(draw_query(1, folder).read_bytes(), vector)
                http_ = Http(http_address(folder / "server.log"), key)
                results = _compared(query, client, http_, psutil.Process(process.pid))
    print(json.dumps(results, indent=2))
    print(write_result("http", results))


def _compared(query: Query, client: Client, http_: Http, server: psutil.Process) -> dict[str, Any]:
    vector, picture = query.vector, query.picture
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
