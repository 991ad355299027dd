"""`make bench-keyed-calls`: what a saved search and an idempotency key cost one caller over gRPC, beside the plain
call."""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import psutil

from afterimage.client import Client, SearchParameter, Term
from afterimage.v1 import saved_search_service_pb2 as saved_pb
from bench.call_costs import clustered, costs, fill, markdown
from bench.environment import write_result
from examples.demo import demo_key, running_server

ROUNDS, SECONDS, RECORDS = 5, 1.5, 100_000
PLAIN = ("search with a filter", "change without a key")
_UPDATE = "/afterimage.v1.SavedSearchService/UpdateSavedSearch"


def calls_of(client: Client, target: str, key: str, records: int) -> dict[str, Callable[[], object]]:
    """Calls by name, on a collection of so many records."""
    numbers = itertools.count()
    vectors = clustered(records, client.create_collection("cost").dimension)
    fill(client, "cost", vectors, lambda n: {"brand": f"b{n % 50}", "price": float(n % 97)})
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
        return Term(vector=vectors[next(numbers) % records].tobytes())

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
    """Measures, prints, writes bench/results/keyed-calls.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, process):
            key = demo_key(folder)
            with Client(target, key) as client:
                calls = calls_of(client, target, key, chosen.records)
                found = costs(psutil.Process(process.pid), calls, rounds=chosen.rounds, seconds=SECONDS)
    print("\n".join(markdown(found, PLAIN)))
    print(write_result("keyed-calls", {"records": chosen.records, "rounds": chosen.rounds, "calls": found}))


if __name__ == "__main__":
    main()
