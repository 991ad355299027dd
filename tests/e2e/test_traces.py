"""Traces of a real server: each door, each stage, and a run that goes through Redis to a worker and back."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from afterimage.client import NewRecord, NewSource, Term
from afterimage.v1 import search_service_pb2 as search_pb
from afterimage.v1 import search_service_pb2_grpc as search_grpc
from afterimage.v1 import sync_service_pb2 as sync_pb
from afterimage.v1 import sync_service_pb2_grpc as sync_grpc
from tests.support.collector import Collector, Received, running_collector
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.redis_server import running_redis
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop
from tests.support.servers.worker import SECRET, start_worker

TRACE, CALLER = "ab" * 16, "cd" * 8
CALLERS = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "shop=secret"), ("baggage", "user=secret"))
STAGES = {"fetch", "queue", "decode", "encode", "filter", "search", "store", "audit"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[tuple[Server, str]]:
    """A server that traces every call, with a collection of a few records; and a key."""
    folder = tmp_path_factory.mktemp("traced")
    with running_redis(folder / "redis") as redis:
        environment = {
            **FETCHING, **SECRET, "AFTERIMAGE_TRACE_ENDPOINT": collector.url, "AFTERIMAGE_TRACE_SHARE": "1"
        }  # fmt: skip
        of_server = {"AFTERIMAGE_XIMILAR_DOOR": "true", "AFTERIMAGE_SYNC_RUNS": "0"}
        server = share(start_server(folder, "--redis-url", redis.url, environment=environment | of_server))
        key = server.key("acme")
        worker = share(Server(folder, start_worker(server, redis.url, environment=environment), "", ""))
        with server.client(key) as client:
            client.create_collection("c")
        yield server, key
        assert worker.stop() == server.stop() == 0


def by_parent(spans: list[Received], top: Received) -> list[Received]:
    return [s for s in spans if s.parent == top.span_id]


def unit_vector(server: Server, key: str) -> bytes:
    """A vector of the collection's dimension."""
    with server.client(key) as client:
        return b"\0\0\x80?" + bytes(4 * (client.get_collection("c").dimension - 1))


def metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"), *CALLERS)


def test_every_stage_is_a_child_of_its_call(traced: tuple[Server, str], collector: Collector, shop: Shop) -> None:
    server, key = traced
    shop.pictures["/1.png"] = png(1)
    with server.client(key) as client:
        client.insert("c", [NewRecord("1", url=f"{shop.address}/1.png", attributes={"color": "red"})])
        client.insert("c", [NewRecord(f"n{n}", image=png(n)) for n in range(2, 7)])
        client.search("c", Term(image=png(2)), filter='color = "red"')
        client.delete_records("c", record_ids=["n6"], force=True)
    found = collector.wait_for(lambda spans: "RecordService/DeleteRecords" in {s.name for s in spans})
    calls = {s.name: [c for c in found if c.name == s.name] for s in found if s.parent == ""}
    one, five = calls["RecordService/InsertRecords"]
    assert {s.name for s in by_parent(found, one)} == {"fetch", "queue", "decode", "encode", "store"}
    assert {s.name: s.attributes["afterimage.count"] for s in by_parent(found, five)} == {
        "queue": 5, "decode": 5, "encode": 5, "store": 1,
    }  # fmt: skip
    (search,) = calls["SearchService/Search"]
    children = {s.name: s for s in by_parent(found, search)}
    assert children.keys() == {"queue", "decode", "encode", "filter", "search"}
    assert search.attributes | {"afterimage.bytes": 0} == {
        "rpc.service": "afterimage.v1.SearchService", "rpc.method": "Search", "rpc.grpc.status_code": 0,
        "afterimage.transport": "grpc", "afterimage.path": "exact_filtered", "afterimage.bytes": 0,
    }  # fmt: skip
    assert search.attributes["afterimage.bytes"] > 0
    for child in children.values():
        assert search.began_ns <= child.began_ns
        assert child.began_ns + child.seconds * 1e9 <= search.began_ns + search.seconds * 1e9 + 2000
    (deleted,) = calls["RecordService/DeleteRecords"]
    assert {"store", "audit"} <= {s.name for s in by_parent(found, deleted)}
    for name, value in shop.headers:
        assert not name.startswith(("trace", "baggage")), value
    assert {s.name for s in found} >= STAGES


@pytest.mark.parametrize("door", ["grpc", "http", "embeddings", "ximilar"])
def test_a_callers_trace_goes_on_through_every_door(
    traced: tuple[Server, str], collector: Collector, door: str
) -> None:
    server, key = traced
    vector = unit_vector(server, key)
    picture = base64.b64encode(png(3)).decode()
    if door == "grpc":
        with grpc.insecure_channel(server.target) as channel:
            stub = search_grpc.SearchServiceStub(channel)
            query = search_pb.QueryTerm(vector=vector)
            stub.Search(search_pb.SearchRequest(collection="c", query=[query], k=1), metadata=metadata(key))
    elif door == "http":
        body = {"query": [{"vector": base64.b64encode(vector).decode()}], "k": 1}
        post(server, key, "/v1/collections/c:search", body)
    elif door == "embeddings":
        post(server, key, "/v1/embeddings", {"input": f"data:image/png;base64,{picture}"})
    else:
        post(server, key, "/ximilar/similarity/photos/v2/visualKNN", {"query_record": {"_base64": picture}})

    def arrived(spans: list[Received]) -> bool:
        return any(s.parent == CALLER and s.attributes.get("afterimage.transport") == door for s in spans)

    found = [s for s in collector.wait_for(arrived) if s.trace_id == TRACE]
    top = next(s for s in found if s.parent == CALLER and s.attributes["afterimage.transport"] == door)
    inner = next(s for s in by_parent(found, top) if "/" in s.name) if door == "ximilar" else top
    assert inner.attributes["afterimage.transport"] == door
    assert inner.attributes["rpc.method"] == ("Encode" if door == "embeddings" else "Search")
    assert b"secret" not in collector.raw


def post(server: Server, key: str, path: str, body: dict[str, Any]) -> None:
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "collection-id": "c",
        **dict(CALLERS),
    }
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.request("GET", "/v1/collections", headers={"Authorization": f"Bearer {key}"})  # on the same connection
    assert connection.getresponse().status == 200
    connection.close()


def test_a_request_does_not_belong_to_the_one_before_it_on_the_connection(
    traced: tuple[Server, str], collector: Collector
) -> None:
    server, key = traced
    post(server, key, "/v1/embeddings", {"input": f"data:image/png;base64,{base64.b64encode(png(4)).decode()}"})
    found = collector.wait_for(lambda spans: any(s.name == "CollectionService/ListCollections" for s in spans))
    listed = [s for s in found if s.name == "CollectionService/ListCollections"]
    assert {s.parent for s in listed} == {""}
    assert TRACE not in {s.trace_id for s in listed}


def test_a_failed_call_says_why_by_its_reason_alone(traced: tuple[Server, str], collector: Collector) -> None:
    server, key = traced
    with grpc.insecure_channel(server.target) as channel:
        stub = search_grpc.SearchServiceStub(channel)
        for sent in (metadata(key), (("authorization", "Bearer secret"), *CALLERS)):
            with pytest.raises(grpc.RpcError):
                stub.Search(search_pb.SearchRequest(collection="secret"), metadata=sent)
    found = collector.wait_for(
        lambda spans: {"ARGUMENT_INVALID", "KEY_INVALID"} <= {s.attributes.get("error.type") for s in spans}
    )
    refused = next(s for s in found if s.attributes.get("error.type") == "KEY_INVALID")
    assert (refused.parent, refused.trace_id == TRACE, refused.failed) == ("", False, False)
    assert b"secret" not in collector.raw


def test_a_run_goes_on_in_the_trace_of_its_call_through_redis_and_a_worker(
    traced: tuple[Server, str], collector: Collector, shop: Shop
) -> None:
    server, key = traced
    shop.pictures |= {f"/w{n}.png": png(20 + n) for n in range(4)}
    shop.pictures["/feed"] = jsonl([{"id": f"w{n}", "image_link": f"{shop.address}/w{n}.png"} for n in range(4)])
    with server.client(key) as client:
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed", max_delete_share=1.0))
        with grpc.insecure_channel(server.target) as channel:
            stub = sync_grpc.SyncServiceStub(channel)
            run = stub.StartRun(sync_pb.StartRunRequest(source="feed"), metadata=metadata(key)).run
        *_, last = client.watch_run(run.run_id)
        assert (last.state, last.created_count) == ("succeeded", 4)
    names = ("SyncService/StartRun", "sync run on a worker", "WorkerService/WorkOnRun", "sync run")

    def of_trace(spans: list[Received]) -> dict[str, Received]:
        return {s.name: s for s in spans if s.trace_id == TRACE and s.name in names}

    chain = of_trace(collector.wait_for(lambda spans: len(of_trace(spans)) == len(names)))
    parents = [chain[name].parent for name in names]
    assert parents == [CALLER, *(chain[name].span_id for name in names[:-1])]
    spans = collector.spans()
    assert {"fetch", "queue", "decode", "encode"} <= {s.name for s in by_parent(spans, chain["sync run on a worker"])}
    assert {"store"} <= {s.name for s in by_parent(spans, chain["sync run"])}
    assert chain["sync run"].attributes == {"afterimage.state": "succeeded"}
    assert not [n for n, _ in shop.headers if n.startswith(("trace", "baggage"))]


def test_the_log_names_the_trace_of_a_call(traced: tuple[Server, str]) -> None:
    server, key = traced
    with grpc.insecure_channel(server.target) as channel:
        stub = search_grpc.SearchServiceStub(channel)
        query = search_pb.QueryTerm(vector=unit_vector(server, key))
        request = search_pb.SearchRequest(collection="c", query=[query], k=1)
        stub.Search(request, metadata=(*metadata(key), ("x-request-id", "my-request")))
    lines = [json.loads(line) for line in server.settled_log().splitlines()]
    assert [line["trace_id"] for line in lines if line.get("request_id") == "my-request"] == [TRACE]
