"""The straight path of plain searches: what it returns is what the long way returns for the same search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from afterimage.client import Client, NewRecord
from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import search_service_pb2_grpc as pb_grpc
from tests.support.servers.server import Server

COLLECTION, DIMENSION, ROWS = "straight", 384, 120
INVALID = (b"123", b"12345678", np.full(DIMENSION, np.nan, "<f4").tobytes(), bytes(4 * DIMENSION))


def vector(seed: int) -> bytes:
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype("<f4").tobytes()


def request(content: bytes, k: int, collection: str = COLLECTION) -> pb.SearchRequest:
    return pb.SearchRequest(collection=collection, query=[pb.QueryTerm(vector=content)], k=k)


def the_long_way(plain: pb.SearchRequest) -> pb.SearchRequest:
    """The same search, with the weight that a term has anyway."""
    same = pb.SearchRequest()
    same.CopyFrom(plain)
    same.query[0].weight = 1.0
    return same


def insert(client: Client, *numbers: int, price: float = 1.0) -> None:
    rows = [NewRecord(str(n), vector=vector(n), product_id=f"p{n % 9}", attributes={"price": price}) for n in numbers]
    assert all(result.error is None for result in client.import_records(COLLECTION, rows))


@pytest.fixture
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    with server.client(server.key(f"straight-{abs(hash(request.node.name)) % 10**9}")) as opened:
        opened.create_collection(COLLECTION)
        insert(opened, *range(ROWS))
        yield opened


@pytest.fixture
def searches(server: Server, client: Client, request: pytest.FixtureRequest) -> Iterator[Any]:
    key = server.key(f"straight-{abs(hash(request.node.name)) % 10**9}")
    with grpc.insecure_channel(server.target) as channel:
        stub = pb_grpc.SearchServiceStub(channel)
        metadata = (("authorization", f"Bearer {key}"),)

        def called(message: Any) -> Any:
            method = stub.Search if isinstance(message, pb.SearchRequest) else stub.BatchSearch
            return method(message, metadata=metadata, timeout=30)

        yield called


def outcome(searches: Any, message: pb.SearchRequest) -> tuple[pb.SearchResponse | None, Any]:
    try:
        response: pb.SearchResponse = searches(message)
    except grpc.RpcError as error:
        return None, (error.code(), error.details())
    assert 0 <= response.timings.encode_ms <= response.timings.total_ms
    assert 0 < response.timings.search_ms <= response.timings.total_ms
    response.ClearField("timings")
    return response, None


def compare(searches: Any, plain: pb.SearchRequest) -> pb.SearchResponse | None:
    for _ in range(2):  # the second time with what is kept
        found = outcome(searches, plain)
        assert found == outcome(searches, the_long_way(plain))
    return found[0]


def test_a_plain_search_returns_what_it_returns_with_an_option_that_changes_nothing(searches: Any) -> None:
    for number, k in enumerate((1, 5, 10, 16, 17, 100, 101, 1000, 1001)):
        response = compare(searches, request(vector(500 + number), k))
        assert response is None if k > 1000 else response is not None and len(response.hits) == min(k, ROWS)
    for content in INVALID:
        assert compare(searches, request(content, 5)) is None
    assert compare(searches, request(vector(1), 5, "missing")) is None


def test_what_is_written_or_deleted_is_in_the_next_answer(searches: Any, client: Client) -> None:
    asked = request(vector(7), 3)
    first = compare(searches, asked)
    assert first is not None
    assert first.hits[0].record_id == "7"
    insert(client, 7, price=2.5)
    changed = compare(searches, asked)
    assert changed is not None
    assert changed.hits[0].attributes["price"].number_value == 2.5
    assert (changed.sequence, changed.allowed_count) == (first.sequence + 1, ROWS)
    client.delete_records(COLLECTION, ["7"], force=True)
    gone = compare(searches, asked)
    assert gone is not None
    assert "7" not in {hit.record_id for hit in gone.hits}
    assert (gone.sequence, gone.allowed_count) == (first.sequence + 2, ROWS - 1)


@pytest.mark.parametrize("invalid", [(), (3, 30)])
def test_a_batch_of_plain_searches_returns_what_each_returns_alone(searches: Any, invalid: tuple[int, ...]) -> None:
    wanted = [request(INVALID[n % 4] if n in invalid else vector(600 + n), 10) for n in range(32)]
    results = searches(pb.BatchSearchRequest(searches=wanted)).results
    for number, (asked, result) in enumerate(zip(wanted, results, strict=True)):
        alone, error = outcome(searches, asked)
        assert (alone is None) == (number in invalid)
        if alone is None:
            assert result.error.message == error[1]
        else:
            result.response.ClearField("timings")
            assert result.response == alone
