"""`make bench-keyed-calls`: what a saved search and an idempotency key cost, in calls per second of one caller over
gRPC beside the plain call."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np

from afterimage.client import Client, NewRecord, SearchParameter, Term
from afterimage.v1 import saved_search_service_pb2 as saved_pb
from bench.environment import write_result
from examples.demo import demo_key, running_server

ROUNDS, SECONDS, RECORDS, DIMENSION = 5, 1.5, 10_000, 448
_UPDATE = "/afterimage.v1.SavedSearchService/UpdateSavedSearch"


def rates(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Calls per second, by way: the median of alternating rounds."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            call()
            began, count = time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS:
                call()
                count += 1
            found[name].append(count / (time.perf_counter() - began))
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


def ways_of(client: Client, target: str, key: str) -> dict[str, Callable[[], object]]:
    """Calls by name."""
    rng, numbers = np.random.default_rng(1), itertools.count()
    client.create_collection("cost")
    vectors = rng.standard_normal((RECORDS, DIMENSION)).astype(np.float32)
    for start in range(0, RECORDS, 100):
        client.insert("cost", [
            NewRecord(f"{n}", vector=vectors[n].tobytes(), attributes={"brand": f"b{n % 50}", "price": float(n % 97)})
            for n in range(start, start + 100)
        ])  # fmt: skip
    filter_ = 'brand != "b7" AND price < 50'
    client.create_saved_search(
        "cost", "other", {"filter": "brand != $brand AND price < $most", "k": 10},
        parameters={"brand": SearchParameter(), "most": SearchParameter("number", 50.0)},
    )  # fmt: skip
    update = grpc.insecure_channel(target).unary_unary(
        _UPDATE,
        request_serializer=saved_pb.UpdateSavedSearchRequest.SerializeToString,
        response_deserializer=saved_pb.UpdateSavedSearchResponse.FromString,
    )
    bearer = ("authorization", f"Bearer {key}")
    request = saved_pb.UpdateSavedSearchRequest(collection="cost", saved_search=saved_pb.SavedSearch(name="other2"))
    client.create_saved_search("cost", "other2", {})

    def query() -> Term:
        return Term(vector=vectors[next(numbers) % RECORDS].tobytes())

    def keyed(name: str) -> object:
        return update(request, metadata=(bearer, ("idempotency-key", name)))

    return {
        "search with a filter": lambda: client.search("cost", query(), k=10, filter=filter_),
        "the same, saved": lambda: client.search("cost", query(), saved_search="other", parameters={"brand": "b7"}),
        "change without a key": lambda: update(request, metadata=(bearer,)),
        "change with a key": lambda: keyed(f"k{next(numbers)}"),
        "its repetition": lambda: keyed("again"),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, _):
            key = demo_key(folder)
            with Client(target, key) as client:
                found = rates(ways_of(client, target, key))
    for name, rate in found.items():
        print(f"{name:22} {rate:8.1f} per second")
    print(write_result("keyed-calls", {"records": RECORDS, "per_s": found}))


if __name__ == "__main__":
    main()
