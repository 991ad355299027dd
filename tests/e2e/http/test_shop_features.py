"""What shops ask of a search, over HTTP on friendly paths: it is what the Python client gets."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from afterimage.client import Boost, Client, Feedback, NewRecord, NewSource, PairJudgement, SearchResult, Term, Variant
from tests.support.servers.server import Server

Call = Callable[..., Any]
QUERY = {"query": [{"recordId": "1"}], "k": 6}


@pytest.fixture
def http(server: Server, client: Client, tenant_name: str) -> Call:
    """A collection with forty records, and how to call the server."""
    key = server.key(tenant_name)
    dimension = client.create_collection("shoes", keep_feedback=True).dimension
    records = [
        NewRecord(
            f"{n}", vector=[float(n % 6 == i) + 0.01 * (n % 13) for i in range(dimension)], product_id=f"p{n // 2}",
            attributes={"brand": ("alba", "corvo", "dara")[n % 3], "price": float(n), "sold": 10.0 * n},
        )
        for n in range(40)
    ]  # fmt: skip
    assert all(r.error is None for r in client.insert("shoes", records))

    def call(verb: str, path: str, body: Any = None, **query: object) -> Any:
        sent = urllib.request.Request(
            f"http://{server.http}/v1/{path}?{urllib.parse.urlencode(query)}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"}, method=verb,
        )  # fmt: skip
        with urllib.request.urlopen(sent, timeout=60) as response:
            lines = [json.loads(line) for line in response.read().splitlines() if line]
        return lines if response.headers["content-type"] == "application/x-ndjson" else lines[0]

    return call


SEARCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"diversity": 0.4}, {"diversity": 0.4}),
    ({"diversity": 0.4, "groupBy": "product_id"}, {"diversity": 0.4, "group_by": "product_id"}),
    (
        {"boosts": [{"weight": 0.3, "filter": 'brand = "dara"'}], "boostCap": 0.2},
        {"boosts": [Boost(0.3, filter='brand = "dara"')], "boost_cap": 0.2},
    ),
    (
        {"boosts": [{"weight": 0.5, "number": {"attribute": "sold", "origin": 300, "scale": 60}}]},
        {"boosts": [Boost(0.5, attribute="sold", origin=300, scale=60)]},
    ),
    (
        {"facets": ["brand", "price[10,20]"], "facetOver": "FACET_OVER_HITS"},
        {"facets": ["brand", "price[10,20]"], "facet_over": "hits"},
    ),
    ({"orderBy": "price desc", "offset": 2}, {"order_by": "price desc", "offset": 2}),
    ({"onlyRecordIds": ["3", "30", "17", "gone"]}, {"only_record_ids": ["3", "30", "17", "gone"]}),
    ({"excludeRecordIds": ["7", "13"]}, {"exclude_record_ids": ["7", "13"]}),
    (
        {"feedback": {"likedRecordIds": ["20"], "dislikedRecordIds": ["7"]}},
        {"feedback": Feedback(("20",), ("7",))},
    ),
]


@pytest.mark.parametrize(("body", "options"), SEARCHES, ids=[" ".join(body) for body, _ in SEARCHES])
def test_a_search_over_http_finds_what_the_client_finds(
    http: Call, client: Client, body: dict[str, Any], options: dict[str, Any]
) -> None:
    web = http("POST", "collections/shoes:search", {**QUERY, **body})
    found = client.search("shoes", Term(record_id="1"), k=6, **options)
    hits = every_hit(found)
    assert [name for name, _ in shown(web)] == [h.record_id for h in hits]
    assert [distance for _, distance in shown(web)] == pytest.approx([h.distance for h in hits], abs=1e-6)
    assert hits
    for hit, same in zip(web["hits"], found.hits, strict=True):
        assert hit["boosts"] == pytest.approx(same.boosts, abs=1e-6)
    assert [p["recordId"] for p in web["passedOver"]] == [p.record_id for p in found.passed_over]
    assert [f["attribute"] for f in web["facets"]] == [f.attribute for f in found.facets]
    counts = [[int(c["count"]) for c in f["counts"]] for f in web["facets"]]
    assert counts == [list(f.counts.values()) for f in found.facets]


def shown(web: Any) -> list[tuple[str, float]]:
    hits = [*web["hits"], *(h for g in web["groups"] for h in g["hits"])]
    return [(h["recordId"], h["distance"]) for h in hits]


def every_hit(found: SearchResult) -> list[Any]:
    return [*found.hits, *(h for g in found.groups for h in g.hits)]


def test_records_are_sampled_and_listed_in_order(http: Call, client: Client) -> None:
    web = http("GET", "collections/shoes/records:sample", count=5, seed=7, filter="price < 20")
    drawn = client.sample_records("shoes", 5, filter="price < 20", seed=7)
    assert [r["recordId"] for r in web["records"]] == [r.record_id for r in drawn.records]
    assert (web["allowedCount"], web["seed"]) == ("20", 7)
    first = http("GET", "collections/shoes/records", orderBy="price desc", pageSize=3)
    rest = http("GET", "collections/shoes/records", orderBy="price desc", pageSize=3, pageToken=first["nextPageToken"])
    assert [r["recordId"] for page in (first, rest) for r in page["records"]] == ["39", "38", "37", "36", "35", "34"]


def test_two_searches_are_compared(http: Call, client: Client) -> None:
    sides = {"first": {"collection": "shoes", "k": 6}, "second": {"collection": "shoes", "k": 6, "diversity": 0.6}}
    web = http("POST", "search:compare", {**sides, "query": [{"recordId": "1"}], "relevantIds": ["1", "7", "13"]})
    variants = Variant("shoes", {"k": 6}), Variant("shoes", {"k": 6, "diversity": 0.6})
    found = client.compare(Term(record_id="1"), *variants, relevant_ids=["1", "7", "13"])
    assert (web["overlap"], web["averageOverlap"]) == (found.overlap, found.average_overlap)
    assert (web["firstPrecision"], web["secondPrecision"]) == (found.first_precision, found.second_precision)
    assert tuple(web["onlySecond"]) == found.only_second


def test_pairs_are_judged_listed_and_left_out_of_groups(http: Call, client: Client) -> None:
    def groups() -> list[set[str]]:
        found = http("GET", "collections/shoes:duplicates", maxDistance=0.0001)
        return [set(one["recordIds"]) for one in found if one.get("recordIds")]

    ((third,), _) = client.get_records("shoes", ["3"], include_vectors=True)
    client.insert("shoes", [NewRecord("twin", vector=third.vector)])
    pair = ["3", "twin"]
    assert [group for group in groups() if "twin" in group] == [set(pair)]
    judged = {"judgements": [{"recordId": pair[0], "otherRecordId": pair[1], "verdict": "PAIR_VERDICT_DIFFERENT"}]}
    assert http("POST", "collections/shoes/judged-pairs:judge", judged)["results"][0]["changed"] is True
    (listed,) = http("GET", "collections/shoes/judged-pairs")["pairs"]
    assert {listed["recordId"], listed["otherRecordId"]} == set(pair)
    assert [p.verdict for p in client.judged_pairs("shoes")] == ["different"]
    assert not any(set(pair) <= group for group in groups())
    client.judge_pairs("shoes", [PairJudgement(pair[0], pair[1], "none")])
    assert http("GET", "collections/shoes/judged-pairs")["pairs"] == []


def test_feedback_is_added_shown_and_cleared(http: Call, client: Client) -> None:
    said = {"query": [{"recordId": "1"}], "likedRecordIds": ["7"], "dislikedRecordIds": ["2", "gone"]}
    added = http("POST", "collections/shoes/feedback:add", said)
    assert (added["kept"], added["missingRecordIds"]) == (True, ["gone"])
    web, sums = http("GET", "collections/shoes/feedback"), client.get_feedback("shoes")
    assert (web["liked"]["count"], web["disliked"]["count"], web["contrast"]["count"]) == ("1", "1", "1")
    assert web["liked"]["totals"] == pytest.approx(sums.liked.totals)
    assert http("DELETE", "collections/shoes/feedback")["count"] == "2"
    assert client.get_feedback("shoes").liked.count == 0


def test_an_item_is_deleted_by_a_push(http: Call, client: Client) -> None:
    client.create_source(NewSource("feed", "shoes", "https://shop.example/feed", paused=True))
    pushed = http("POST", "sources/feed:push", {"deleteItemId": "5"})
    assert (pushed["outcome"], pushed["itemId"], pushed["deletedCount"]) == ("unchanged", "5", "0")  # of no source
    secret = http("POST", "sources/feed:rotatePushSecret", {})
    assert secret["path"] == client.rotate_push_secret("feed").path
    assert len(client.get_records("shoes", ["5"])[0]) == 1


def test_links_to_pictures_come_in_bulk_and_say_what_has_none(http: Call) -> None:
    found = http("POST", "collections/shoes/records:picture-links", {"recordIds": ["1", "gone"]})
    assert [(one["recordId"], one["error"]["reason"]) for one in found["links"]] == [
        ("1", "PICTURE_NOT_FOUND"), ("gone", "RECORD_NOT_FOUND"),
    ]  # fmt: skip
