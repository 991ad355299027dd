"""Maps, reports of searches and of privacy, over a real server."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from typing import Any

import grpc
import numpy as np
import pytest

from afterimage.client import Client, InvalidArgument, NewRecord, NotFound, PairJudgement, PermissionDenied, Term
from afterimage.v1 import search_service_pb2 as pb
from service.tenancy.apikeys import Scope
from tests.support.data.pictures import png
from tests.support.servers.server import Server
from tests.support.several_processes import told

DIMENSION = 384


def vectors(count: int, seed: int = 0) -> list[list[float]]:
    """Five groups of vectors."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, DIMENSION))
    found: list[list[float]] = (centres[np.arange(count) % 5] + rng.normal(0, 0.2, (count, DIMENSION))).tolist()
    return found


def fill(client: Client, count: int, name: str = "shoes") -> None:
    client.create_collection(name)
    records = [
        NewRecord(str(n), vector=v, product_id=f"p{n % 7}", attributes={"group": f"g{n % 5}", "price": float(n)})
        for n, v in enumerate(vectors(count))
    ]
    for start in range(0, count, 100):
        client.insert(name, records[start : start + 100])


def over_http(server: Server, key: str, path: str, verb: str = "GET", body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://{server.http}{path}", method=verb, headers={"authorization": f"Bearer {key}"},
        data=None if body is None else json.dumps(body).encode(),
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_map_draws_matching_records_with_an_attribute_and_the_seed_draws_it_again(
    server: Server, client: Client, tenant_name: str
) -> None:
    fill(client, 200)
    found = client.project_records("shoes", count=60, filter="price < 150", attribute="group", seed=7)
    assert (len(found.records), found.allowed_count, found.seed) == (60, 150, 7)
    assert all(r.value == f"g{int(r.record_id) % 5}" and r.product_id for r in found.records)
    assert max(abs(v) for r in found.records for v in (r.x, r.y)) == pytest.approx(1)
    assert found.kept_neighbors > 0.5
    assert client.project_records("shoes", count=60, filter="price < 150", attribute="group", seed=7) == found
    path = "/v1/collections/shoes/records:project?count=60&seed=7&attribute=group&filter=price%20%3C%20150"
    web = over_http(server, server.key(tenant_name, [Scope.SEARCH]), path)
    assert web["seed"] == 7
    assert [r["recordId"] for r in web["records"]] == [r.record_id for r in found.records]
    assert web["records"][0]["value"] == found.records[0].value
    assert len(client.project_records("shoes").records) == 200
    assert client.project_records("shoes", attribute="colour", count=1).records[0].value is None
    assert client.project_records("shoes", filter="colour = 1").unknown_attributes == ("colour",)


def test_maps_of_nothing_and_wrong_wishes(client: Client) -> None:
    client.create_collection("shoes")
    assert client.project_records("shoes").records == ()
    for wrong in ({"count": 5001}, {"count": -1}, {"filter": "price <"}):
        with pytest.raises(InvalidArgument):
            client.project_records("shoes", **wrong)
    with pytest.raises(NotFound):
        client.project_records("boots")


def test_a_cancelled_map_frees_its_place_for_the_next(server: Server, client: Client, tenant_name: str) -> None:
    fill(client, 1500)
    metadata = (("authorization", f"Bearer {server.key(tenant_name)}"),)
    with grpc.insecure_channel(server.target) as channel:
        call = channel.unary_unary(
            "/afterimage.v1.SearchService/ProjectRecords",
            request_serializer=pb.ProjectRecordsRequest.SerializeToString,
            response_deserializer=pb.ProjectRecordsResponse.FromString,
        )
        begun = [call.future(pb.ProjectRecordsRequest(collection="shoes", count=1500), metadata=metadata) for _ in "12"]
        ended = threading.Event()
        begun[0].add_done_callback(lambda _: ended.set())
        assert client.count_records("shoes") == 1500
        for one in begun:
            one.cancel()  # type: ignore[no-untyped-call]
        assert ended.wait(30)
    assert len(client.project_records("shoes", count=30).records) == 30


def test_the_report_of_searches_is_that_of_a_plain_count(server: Server, client: Client, tenant_name: str) -> None:
    fill(client, 60)
    plain, without, rng = Counter[int](), 0, np.random.default_rng(3)
    for number in range(40):
        query = Term(vector=(np.array(vectors(60)[number]) + rng.normal(0, number / 10, DIMENSION)).tolist())
        found = client.search("shoes", query, k=3, min_score=0.5 if number % 3 == 0 else None)
        if found.hits:
            plain[min(int(found.hits[0].score * 20), 19)] += 1
        else:
            without += 1
    client.search("shoes", Term(record_id="1"), k=3, offset=3)  # a later page
    client.search("shoes", Term(record_id="1"), k=3, only_record_ids=["2"])
    report = told(lambda: client.search_report("shoes"), lambda found: sum(d.search_count for d in found.days) >= 40)
    (day,) = report.days
    assert without > 0
    assert (report.enabled, day.search_count, day.without_hit_count) == (True, 40, without)
    assert {place: n for place, n in enumerate(day.best_score_counts) if n} == plain
    web = over_http(server, server.key(tenant_name, [Scope.ADMIN]), "/v1/collections/shoes/search-report?days=1")
    assert web["days"][0]["searchCount"] == "40"
    client.set_search_report("shoes", enabled=False)
    client.search("shoes", Term(record_id="1"))
    assert client.search_report("shoes") == type(report)(False, ())
    assert "search_report.set" in [e.action for e in client.list_audit_entries(0)]


def test_the_report_is_for_the_owner_alone(server: Server, client: Client, tenant_name: str) -> None:
    fill(client, 5)
    with server.client(server.key(f"{tenant_name}-other")) as other, pytest.raises(NotFound):
        other.search_report("shoes")
    with server.client(server.key(tenant_name, [Scope.SEARCH])) as reader:
        with pytest.raises(PermissionDenied):
            reader.search_report("shoes")
        with pytest.raises(PermissionDenied):
            reader.privacy_report()
    for days in (-1, 91):
        with pytest.raises(InvalidArgument):
            client.search_report("shoes", days=days)


def test_the_report_of_privacy_counts_what_is_kept_of_this_tenant_alone(
    server: Server, client: Client, tenant_name: str
) -> None:
    client.create_collection("copies", picture_policy="ENCRYPTED_COPY")
    client.insert("copies", [NewRecord("1", image=png(1)), NewRecord("2", image=png(2))])
    client.create_collection("plain", keep_feedback=True)
    client.insert("plain", [NewRecord(str(n), image=png(n)) for n in range(4)])
    client.create_snapshot("plain")
    client.judge_pairs("plain", [PairJudgement("0", n, "different") for n in "123"])
    client.add_feedback("plain", Term(record_id="0"), liked=["1", "2"], disliked=["3"])
    client.erase_records("plain", record_ids=["3"])
    client.set_read_audit(15)
    with server.client(server.key(f"{tenant_name}-other")) as other:
        other.create_collection("theirs")
        assert [c.collection for c in other.privacy_report().collections] == ["theirs"]
    report = client.privacy_report()
    copies, plain = report.collections
    assert (copies.collection, copies.picture_policy, copies.copy_count, copies.record_count) == (
        "copies", "ENCRYPTED_COPY", 2, 2,
    )  # fmt: skip
    assert copies.copy_bytes > 0
    assert (plain.picture_policy, plain.copy_count, plain.snapshot_count) == ("DISCARD", 0, 1)
    assert (plain.judged_pair_count, plain.feedback_count) == (2, 3)  # sums name no record, and stay
    assert (copies.judged_pair_count, copies.feedback_count) == (0, 0)
    assert report.read_audit_minutes == 15
    states = {p.name: p.state for p in report.protections}
    assert states["no core, no debugger"] == "ok"
    assert any(name.startswith("decoders: ") for name in states)
    web = over_http(server, server.key(tenant_name, [Scope.ADMIN]), "/v1/privacy")
    assert len(web["protections"]) == len(report.protections)
    assert (web["collections"][1]["judgedPairCount"], web["collections"][1]["feedbackCount"]) == ("2", "3")
