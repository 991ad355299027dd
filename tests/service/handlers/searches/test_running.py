"""Searches of a batch, hits that are kept, and records that are kept: the same as without."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from afterimage.client import Client, NewRecord
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import record_service_pb2_grpc as records_grpc
from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import search_service_pb2_grpc as pb_grpc
from tests.support import several_processes
from tests.support.servers.server import Server

COLLECTION, DIMENSION, ROWS = "kept", 384, 80
Stubs = tuple[Any, Any]


def vector(seed: int) -> bytes:
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype("<f4").tobytes()


def insert(client: Client, *numbers: int) -> None:
    results = client.import_records(
        COLLECTION,
        [NewRecord(str(n), vector=vector(n), product_id=f"p{n % 9}", attributes=attributes(n)) for n in numbers],
    )
    assert all(r.error is None for r in results)


def attributes(number: int) -> dict[str, Any]:
    drawn = random.Random(number)
    every = {"color": drawn.choice("abc"), "price": drawn.random(), "new": bool(number % 2), "tags": ("x", str(number))}
    return {name: every[name] for name in drawn.sample(sorted(every), drawn.randrange(5))}


@pytest.fixture
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    with server.client(server.key(f"kept-{abs(hash(request.node.name)) % 10**9}")) as opened:
        opened.create_collection(COLLECTION)
        insert(opened, *range(ROWS))
        yield opened


@pytest.fixture
def stubs(server: Server, client: Client, request: pytest.FixtureRequest) -> Iterator[Stubs]:
    key = server.key(f"kept-{abs(hash(request.node.name)) % 10**9}")
    with grpc.insecure_channel(server.target) as channel:
        searches, records = pb_grpc.SearchServiceStub(channel), records_grpc.RecordServiceStub(channel)

        def keyed(method: Any) -> Any:
            return lambda message: method(message, metadata=(("authorization", f"Bearer {key}"),), timeout=30)

        yield (keyed(searches.Search), keyed(searches.BatchSearch)), keyed(records.GetRecords)


def drawn_search(drawn: random.Random) -> pb.SearchRequest:
    """A request, of ten one that is refused."""
    term = pb.QueryTerm(vector=vector(1000 + drawn.randrange(50)))
    request = pb.SearchRequest(collection=COLLECTION, query=[term], k=drawn.choice((1, 5, 10, 60)))
    if drawn.random() < 0.5:
        return request
    for change in drawn.sample(CHANGES, drawn.randrange(1, 3)):
        request.MergeFrom(change)
    return request


CHANGES = [
    pb.SearchRequest(filter='color = "a"'), pb.SearchRequest(group_by="product_id"), pb.SearchRequest(offset=3),
    pb.SearchRequest(fields=["price"]), pb.SearchRequest(fields=["-"]), pb.SearchRequest(include_vectors=True),
    pb.SearchRequest(query=[pb.QueryTerm(record_id="4", weight=0.5)]), pb.SearchRequest(max_distance=1.0),
    pb.SearchRequest(exclude_record_ids=["1", "2"]), pb.SearchRequest(facets=["color"]), pb.SearchRequest(k=900),
    pb.SearchRequest(diversity=0.3), pb.SearchRequest(order_by="price"), pb.SearchRequest(exact=True),
    pb.SearchRequest(k=1001), pb.SearchRequest(filter="color ="), pb.SearchRequest(collection="missing"),
    pb.SearchRequest(query=[pb.QueryTerm(record_id="missing")]), pb.SearchRequest(query=[pb.QueryTerm(vector=b"1234")]),
]  # fmt: skip


def outcome(search: Any, request: pb.SearchRequest) -> tuple[pb.SearchResponse | None, str]:
    try:
        return untimed(search(request)), ""
    except grpc.RpcError as error:
        return None, error.details() or ""


def untimed(response: pb.SearchResponse) -> pb.SearchResponse:
    response.ClearField("timings")
    if several_processes.COUNT:
        response.ClearField("index_time")  # when this process has seen the last write
    return response


def test_a_batch_finds_what_its_searches_find_one_by_one_and_fails_where_they_do(stubs: Stubs) -> None:
    (search, batch), _ = stubs
    drawn = random.Random(1)
    failed = 0
    for _ in range(12):
        requests = [drawn_search(drawn) for _ in range(drawn.randrange(1, 33))]
        results = batch(pb.BatchSearchRequest(searches=requests)).results
        for request, result in zip(requests, results, strict=True):
            alone, message = outcome(search, request)
            failed += alone is None
            if alone is None:
                assert result.error.message == message
            else:
                assert untimed(result.response) == alone
    assert failed > 10


def test_hits_that_are_kept_are_those_that_are_read(stubs: Stubs, client: Client) -> None:
    (search, _), _ = stubs
    drawn = random.Random(2)
    for number in range(60):
        request = drawn_search(drawn)
        request.ClearField("fields")
        found = outcome(search, request)
        request.fields.extend(["color", "price", "new", "tags"])  # all: such hits are not kept
        assert outcome(search, request) == found
        if number % 10 == 0:
            insert(client, *drawn.sample(range(ROWS), 3))
            client.delete_records(COLLECTION, [str(drawn.randrange(ROWS))], force=True)


def test_records_that_are_kept_are_those_that_are_stored(stubs: Stubs, client: Client) -> None:
    _, get = stubs
    drawn = random.Random(3)
    for number in range(30):
        ids = [str(drawn.randrange(ROWS + 10)) for _ in range(drawn.randrange(1, 12))]
        answers = [get(records_pb.GetRecordsRequest(collection=COLLECTION, record_ids=ids)) for _ in range(2)]
        whole = get(records_pb.GetRecordsRequest(collection=COLLECTION, record_ids=ids, include_vectors=True))
        for record in whole.records:
            record.ClearField("vector")
        assert answers == [whole, whole]
        assert [r.record_id for r in whole.records] + list(whole.missing_record_ids) == sorted(
            ids, key=lambda i: i in whole.missing_record_ids
        )
        if number % 3 == 0:
            insert(client, *drawn.sample(range(ROWS), 3))
            client.delete_records(COLLECTION, [str(drawn.randrange(ROWS))], force=True)


COUNTED = ("afterimage_searches_total", "afterimage_calls_total", "afterimage_call_seconds_count")


def counted(server: Server) -> dict[str, float]:
    """Counts of searches and calls, by name and labels."""
    text = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30).read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(COUNTED)]
    return {name: float(value) for name, _, value in lines}


def test_a_plain_search_is_answered_refused_and_counted_like_one_with_its_default_weight(
    server: Server, stubs: Stubs
) -> None:
    (search, _), _ = stubs
    outcomes, moved = [], []
    for weight in (0.0, 1.0):
        drawn = random.Random(4)
        before, found = counted(server), []
        for _ in range(40):
            good = vector(drawn.randrange(99))
            content = drawn.choice((good, good, good, good, vector(1)[:-4], vector(1)[:-1], bytes(4 * DIMENSION)))
            name = drawn.choice((COLLECTION, COLLECTION, COLLECTION, "missing"))
            request = pb.SearchRequest(collection=name, k=drawn.choice((1, 10, 1000, 1001)))
            request.query.add(vector=content, weight=weight)
            found.append(outcome(search, request))
        outcomes.append(found)
        moved.append({name: value - before.get(name, 0.0) for name, value in counted(server).items()})
    assert outcomes[0] == outcomes[1]
    assert 5 < sum(response is not None for response, _ in outcomes[0]) < 35
    assert moved[0] == moved[1]
