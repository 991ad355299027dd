"""Saved searches on a server: by the clients, over HTTP and by commands."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from afterimage.client import (
    Aborted,
    AlreadyExists,
    Boost,
    Client,
    InvalidArgument,
    NewRecord,
    NotFound,
    SearchParameter,
    Term,
    Variant,
)
from tests.support.servers.server import Server

DIMENSION = 384
BRANDS = ("alba", "corvo", "dara")


@pytest.fixture
def shop(server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Client, str]]:
    key = server.key(re.sub(r"[^a-z0-9]", "-", f"saved-{request.node.name[-40:]}"))
    with server.client(key) as client:
        client.create_collection("shoes")
        records = [
            NewRecord(
                f"{n}", vector=[float(n % 7 == i) + 0.01 * n for i in range(DIMENSION)],
                attributes={"brand": BRANDS[n % 3], "price": float(n), "sold": 10.0 * n, "in_stock": n % 2 == 0},
            )
            for n in range(40)
        ]  # fmt: skip
        assert all(r.error is None for r in client.insert("shoes", records))
        yield client, key


def hits(client: Client, **options: Any) -> list[str]:
    return [h.record_id for h in client.search("shoes", Term(record_id="1"), **options).hits]


def test_a_saved_search_finds_what_its_options_find(shop: tuple[Client, str]) -> None:
    client, _ = shop
    options: dict[str, Any] = {
        "k": 7, "diversity": 0.25, "boosts": [Boost(0.5, attribute="sold", origin=400, scale=100, side="more")],
        "exclude_record_ids": ["2"], "facets": ["brand"],
    }  # fmt: skip
    text = "brand != $brand AND price < $most"
    made = client.create_saved_search(
        "shoes", "other-brand", {"filter": text, **options},
        parameters={"brand": SearchParameter(), "most": SearchParameter("number", 1000.0)}, description="of others",
    )  # fmt: skip
    assert (made.version, made.description, made.hints, dict(made.options)["filter"]) == (1, "of others", (), text)
    plain = hits(client, filter='brand != "alba" AND price < 30', **options)
    assert hits(client, saved_search="other-brand", parameters={"brand": "alba", "most": 30.0}) == plain
    assert len(plain) == 7
    found = client.search("shoes", Term(record_id="1"), saved_search="other-brand", parameters={"brand": "x"})
    assert (found.saved_search_version, found.facets[0].attribute, len(found.hits)) == (1, "brand", 7)
    narrowed = hits(client, saved_search="other-brand", parameters={"brand": "alba"}, filter="price > 10", k=3)
    assert narrowed == hits(client, **{**options, "k": 3}, filter='brand != "alba" AND price > 10')
    sides = [Variant("shoes", {"saved_search": "other-brand", "parameters": {"brand": b}}) for b in ("alba", "alba")]
    assert client.compare(Term(record_id="1"), *sides).overlap == 1.0
    plain_order = hits(client, saved_search="other-brand", saved_search_without=["diversity", "filter"], k=5)
    assert plain_order == hits(client, **{**options, "k": 5, "diversity": 0.0})


def test_versions_go_forth_and_back_and_etags_keep_two_from_overwriting(shop: tuple[Client, str]) -> None:
    client, _ = shop
    first = client.create_saved_search("shoes", "s", {"filter": "price < 5", "k": 3})
    with pytest.raises(AlreadyExists):
        client.create_saved_search("shoes", "s", {})
    second = client.update_saved_search("shoes", "s", {"filter": "price > 30"}, etag=first.etag)
    with pytest.raises(Aborted) as moved:
        client.update_saved_search("shoes", "s", {}, etag=first.etag)
    assert moved.value.reason == "SAVED_SEARCH_CHANGED"
    assert (
        max(map(int, hits(client, saved_search="s", saved_search_version=1)))
        < 5
        < 30
        < min(map(int, hits(client, saved_search="s")))
    )
    restored = client.restore_saved_search("shoes", "s", 1, etag=second.etag)
    assert (restored.version, dict(restored.options)) == (3, dict(first.options))
    assert [v.version for v in client.saved_search_versions("shoes", "s")] == [3, 2, 1]
    assert [s.name for s in client.saved_searches("shoes")] == ["s"]
    assert client.delete_saved_search("shoes", "s") == 3
    for gone in (lambda: hits(client, saved_search="s"), lambda: client.get_saved_search("shoes", "s")):
        with pytest.raises(NotFound) as missing:
            gone()
        assert missing.value.reason == "SAVED_SEARCH_NOT_FOUND"
    entries = [
        (e.action, e.details.get("version")) for e in client.list_audit_entries(0) if e.action.startswith("saved_")
    ]
    assert ("saved_search.restore", 3) in [(a, int(v) if v else 0) for a, v in entries]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"filter": "price <"}, "filter"),
        ({"emphasis": {"smell": 2.0}}, "emphasis"),
        ({"diversity": 2.0}, "diversity"),
        ({"facets": ["price[3,1]"]}, "facets"),
        ({"order_by": "price up"}, "order_by"),
        ({"order_by": "price", "diversity": 0.5}, "order_by"),
        ({"boosts": [Boost(0.5, filter="price <")]}, "boosts.filter"),
        ({"filter": "record_id = 5"}, "filter"),
    ],
)
def test_a_search_that_cannot_be_run_is_not_saved(
    shop: tuple[Client, str], options: dict[str, Any], field: str
) -> None:
    client, _ = shop
    with pytest.raises(InvalidArgument) as refused:
        client.create_saved_search("shoes", "s", options)
    assert refused.value.field == field
    assert not list(client.saved_searches("shoes"))


def test_attributes_of_another_type_are_told_when_the_search_is_saved(shop: tuple[Client, str]) -> None:
    client, _ = shop
    made = client.create_saved_search(
        "shoes", "s", {"filter": "price = $p AND colour = red"}, parameters={"p": SearchParameter("string")}
    )
    assert len(made.hints) == 2
    with pytest.raises(InvalidArgument) as refused:
        client.search("shoes", Term(record_id="1"), saved_search_version=1)
    assert refused.value.field == "saved_search_version"


def test_http_has_the_same_calls(server: Server, shop: tuple[Client, str]) -> None:
    _, key = shop

    def call(verb: str, path: str, body: Any = None) -> Any:
        sent = urllib.request.Request(
            f"http://{server.http}/v1/collections/shoes{path}", None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"}, method=verb,
        )  # fmt: skip
        with urllib.request.urlopen(sent) as response:
            return json.loads(response.read())

    saved = {
        "name": "s", "search": {"filter": "brand = $b", "k": 2},
        "parameters": {"b": {"type": "PARAMETER_TYPE_STRING", "defaultValue": "alba"}},
    }  # fmt: skip
    assert call("POST", "/saved-searches", saved)["savedSearch"]["version"] == "1"
    search = {"query": [{"recordId": "1"}], "savedSearch": "s", "parameters": {"b": "dara"}}
    found = call("POST", ":search", search)
    assert [h["attributes"]["brand"] for h in found["hits"]] == ["dara", "dara"]
    changed = {**saved, "search": {"k": 1, "filter": "brand = $b"}}
    assert call("PUT", "/saved-searches/s", changed)["savedSearch"]["version"] == "2"
    assert len(call("GET", "/saved-searches/s/versions")["versions"]) == 2
    assert call("POST", "/saved-searches/s:restore", {"version": 1})["savedSearch"]["search"]["k"] == 2
    assert [s["name"] for s in call("GET", "/saved-searches")["savedSearches"]] == ["s"]
    assert call("DELETE", "/saved-searches/s")["versionCount"] == 3
