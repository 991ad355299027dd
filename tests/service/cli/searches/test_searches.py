"""`afterimage searches`, on a real server: what is saved by a command is what a search then does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from afterimage.client import Client, NewRecord, SearchParameter
from service.tenancy.apikeys import Scope
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

BRANDS = ("alba", "corvo", "17")


@pytest.fixture
def shop(shell: Shell, client: Client) -> Client:
    """A collection with thirty records."""
    dimension = client.create_collection("shop").dimension
    records = [
        NewRecord(
            f"{n}", vector=[float(n % 5 == i) + 0.01 * n for i in range(dimension)], product_id=f"p{n // 2}",
            attributes={"brand": BRANDS[n % 3], "price": float(n), "sold": 10.0 * n, "in_stock": n % 2 == 0},
        )
        for n in range(30)
    ]  # fmt: skip
    assert all(r.error is None for r in client.insert("shop", records))
    return client


def hits(shell: Shell, *options: str) -> list[str]:
    return [h["record_id"] for h in shell.json("search", "shop", "--id", "1", *options)["hits"]]


OPTIONS: tuple[tuple[str, ...], ...] = (
    ("-k", "3"),
    ("--filter", "price < 20 AND in_stock = true"),
    ("--group-by", "product_id", "--group-size", "2"),
    ("--max-distance", "0.4"),
    ("--min-score", "0.2"),
    ("--emphasis", "colour=3", "--emphasis", "shape=0.5"),
    ("--diversity", "0.4"),
    ("--boost", "0.5 sold:linear:300:50:more", "--boost", '-0.2 brand = "corvo"', "--boost-cap", "0.3"),
    ("--boost", "0.25 sold:gauss:120:40"),
    ("--order-by", "price desc"),
)


@pytest.mark.parametrize("given", OPTIONS, ids=" ".join)
def test_a_search_by_a_saved_name_is_the_search_with_its_options(
    shell: Shell, shop: Client, given: tuple[str, ...]
) -> None:
    made = shell.json("searches", "create", "shop", "saved", *given)
    assert (made["name"], made["version"], made["filter_hints"]) == ("saved", 1, [])
    assert hits(shell, "--saved", "saved") == hits(shell, *given) != []
    shown = shell.json("searches", "get", "shop", "saved")
    assert shown["options"] == made["options"]
    assert shown["etag"] == shop.get_saved_search("shop", "saved").etag


def test_what_a_saved_search_shows_can_be_typed_again(shell: Shell, shop: Client) -> None:
    typed = ("0.5 sold:linear:300:50:more", "0.25 sold:gauss:120:40", '-0.2 brand = "corvo"')
    shell.run("searches", "create", "shop", "one", *(part for text in typed for part in ("--boost", text)))
    (line,) = [x for x in shell.run("searches", "get", "shop", "one").splitlines() if x.startswith("boosts")]
    shown = line.removeprefix("boosts").strip().split("; ")
    assert shown == list(typed)
    shell.run("searches", "create", "shop", "other", *(part for text in shown for part in ("--boost", text)))
    assert shop.get_saved_search("shop", "other").options == shop.get_saved_search("shop", "one").options


def test_excluded_records_and_facets_are_saved_too(shell: Shell, shop: Client) -> None:
    facets = ("--facet", "brand", "--facet", "price[10,20]", "--facet-over", "hits")
    shell.run("searches", "create", "shop", "saved", "--exclude", "2", "--exclude", "6", *facets)
    found = shell.json("search", "shop", "--id", "1", "-k", "30", "--saved", "saved")
    assert not {"2", "6"} & {h["record_id"] for h in found["hits"]}
    assert len(found["hits"]) == 27  # without the query, too
    assert [f["attribute"] for f in found["facets"]] == ["brand", "price"]
    assert sum(c["count"] for c in found["facets"][0]["counts"]) == 27


def test_parameters_have_the_types_that_were_declared(shell: Shell, shop: Client) -> None:
    declared = ("--parameter", "brand:string", "--parameter", "most:number=12", "--parameter", "stock:boolean=true")
    text = "brand = $brand AND price < $most AND in_stock = $stock"
    shell.run("searches", "create", "shop", "by", "--filter", text, *declared, "--description", "of one brand")
    assert dict(shop.get_saved_search("shop", "by").parameters) == {
        "brand": SearchParameter("string"), "most": SearchParameter("number", 12.0),
        "stock": SearchParameter("boolean", True),
    }  # fmt: skip
    shown = shell.run("searches", "get", "shop", "by")
    assert "of one brand" in shown
    assert ["$most", "number,", "12.0", "if", "not", "given"] in [line.split() for line in shown.splitlines()]
    expected = [str(n) for n in range(30) if BRANDS[n % 3] == "17" and n < 25 and n % 2]
    found = hits(
        shell, "-k", "30", "--saved", "by", "--param", "brand=17", "--param", "most=25", "--param", "stock=false"
    )
    assert sorted(found) == sorted(expected)
    assert shell.json("search", "shop", "--id", "1", "--saved", "by", code=1)["error"]["reason"] == "ARGUMENT_INVALID"


def test_a_change_keeps_what_is_not_named_and_versions_come_back(shell: Shell, shop: Client) -> None:
    text, parameter = "price < 5 AND brand != $brand", ("--parameter", "brand:string=x")
    first = ("--filter", text, "-k", "4", "--diversity", "0.2", *parameter)
    shell.run("searches", "create", "shop", "s", *first, "--description", "cheap")
    kept = shell.json("searches", "update", "shop", "s", "-k", "2", "--without", "diversity")
    assert (kept["version"], kept["options"], [*kept["parameters"]]) == (2, {"filter": text, "k": 2}, ["brand"])
    without = ("--filter", "price < 5", "--without", "brand")
    changed = shell.json("searches", "update", "shop", "s", *without)
    assert (changed["version"], changed["options"], changed["parameters"]) == (3, {"filter": "price < 5", "k": 2}, {})
    assert changed["description"] == "cheap"
    assert shell.json("searches", "update", "shop", "s", "--description", "")["description"] == ""
    assert shell.json("searches", "get", "shop", "s", "--version", "1")["options"]["k"] == 4
    versions = json.loads(shell.run("searches", "versions", "shop", "s", "--json"))
    assert [v["version"] for v in versions] == [4, 3, 2, 1]
    assert "diversity=0.2" in shell.run("searches", "versions", "shop", "s")
    assert "Restored s of shop, version 5." in shell.run("searches", "restore", "shop", "s", "1")
    assert shop.get_saved_search("shop", "s").options == shop.get_saved_search("shop", "s", version=1).options
    (listed,) = json.loads(shell.run("searches", "list", "shop", "--json"))
    assert (listed["name"], listed["version"]) == ("s", 5)
    assert "brand" in shell.run("searches", "list", "shop")
    assert shell.json("searches", "delete", "shop", "s") == {"versions": 5}
    assert "no saved searches" in shell.run("searches", "list", "shop")


def test_hints_about_a_filter_are_shown(shell: Shell, shop: Client) -> None:
    done = shell.done("searches", "create", "shop", "s", "--filter", "colour = red")
    assert (done.returncode, done.stdout) == (0, "Saved s of shop, version 1.\n")
    assert done.stderr.startswith("hint: ")
    assert shell.json("searches", "update", "shop", "s", "-k", "3")["filter_hints"] != []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "shop"], 2),
        (["create", "shop", "s", "--boost", "much"], 2),
        (["create", "shop", "s", "--emphasis", "colour"], 2),
        (["create", "shop", "s", "--parameter", "brand"], 2),
        (["create", "shop", "s", "--parameter", "brand:text"], 2),
        (["create", "shop", "s", "--parameter", "most:number=many"], 2),
        (["update", "shop", "there", "--without", "boosts"], 2),
        (["restore", "shop", "there", "one"], 2),
        (["create", "shop", "s", "--filter", "price <"], 1),
        (["create", "shop", "s", "--diversity", "2"], 1),
        (["create", "shop", "there"], 1),
        (["create", "nowhere", "s"], 1),
        (["get", "shop", "s"], 1),
        (["get", "shop", "there", "--version", "9"], 1),
        (["update", "shop", "s", "-k", "1"], 1),
        (["versions", "shop", "s"], 1),
        (["restore", "shop", "there", "7"], 1),
        (["delete", "shop", "s"], 1),
        (["list", "nowhere"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes_tell_wrong_usage_from_failure_and_nothing_is_changed(
    shell: Shell, client: Client, arguments: list[str], code: int
) -> None:
    client.create_collection("shop")
    there = client.create_saved_search("shop", "there", {"k": 3})
    done = shell.done("searches", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr != ""
    assert [(s.name, s.etag) for s in client.saved_searches("shop")] == [("there", there.etag)]
    if code == 1:
        error: dict[str, Any] = shell.json("searches", *arguments, code=1)["error"]
        assert error["reason"]
        assert error["message"]


def test_a_command_with_a_key_is_carried_out_once(shell: Shell, shop: Client) -> None:
    first = shell.json("searches", "create", "shop", "s", "-k", "3", "--idempotency-key", "deploy-1")
    again = shell.json("searches", "create", "shop", "s", "-k", "3", "--idempotency-key", "deploy-1")
    assert (again["etag"], again["version"]) == (first["etag"], 1)
    other = ("searches", "create", "shop", "t", "-k", "3", "--idempotency-key", "deploy-1")
    assert shell.json(*other, code=1)["error"]["reason"] == "IDEMPOTENCY_KEY_REUSED"
    assert [s.name for s in shop.saved_searches("shop")] == ["s"]


def test_a_key_that_only_searches_may_read_and_not_change(
    server: Server, tenant_name: str, shell: Shell, shop: Client
) -> None:
    shell.run("searches", "create", "shop", "s", "-k", "3")
    shell.environment["AFTERIMAGE_API_KEY"] = server.key(tenant_name, [Scope.SEARCH])
    assert shell.json("searches", "get", "shop", "s")["version"] == 1
    assert shell.json("searches", "update", "shop", "s", "-k", "4", code=1)["error"]["reason"] == "SCOPE_MISSING"
    assert shell.json("searches", "delete", "shop", "s", code=1)["error"]["reason"] == "SCOPE_MISSING"
    assert len(hits(shell, "--saved", "s")) == 3
