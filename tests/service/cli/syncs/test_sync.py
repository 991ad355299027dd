"""`afterimage sync`, at a terminal and in scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.data.feeds import table
from tests.support.data.pictures import noise, png
from tests.support.made_pictures.pngs import with_damaged_profile
from tests.support.servers.shell import Shell
from tests.support.servers.shop import Shop


def publish(shop: Shop, numbers: range) -> str:
    """A table with custom columns. Returns its URL."""
    shop.pictures |= {f"/{n}.png": png(n) for n in numbers}
    rows = [{"sku": f"a{n}", "photo": f"{shop.address}/{n}.png", "cost": f"{n},50", "tint": "red"} for n in numbers]
    shop.pictures["/feed.csv"] = table(rows, ";")
    return f"{shop.address}/feed.csv"


MAPPING = ("--map", "id=sku", "--map", "picture=photo", "--map", "attributes.price=cost:number")


def test_a_source_from_preview_to_deletion(shell: Shell, shop: Shop) -> None:
    url = publish(shop, range(20))
    seen = shell.json("sync", "preview", url, *MAPPING)
    assert (seen["format"], seen["items"][3]["item_id"]) == ("table", "a3")
    assert json.loads(seen["items"][3]["attributes"]) == {"price": 3.5}
    assert {"sku": "id", "photo": "picture", "cost": "attribute"}.items() <= {
        c["name"]: c["role"] for c in seen["columns"]
    }.items()
    shown = shell.run("sync", "preview", url, *MAPPING)
    assert "a3" in shown
    assert "attribute price (number)" in shown

    shell.run("collections", "create", "shoes")
    made = shell.json("sync", "sources", "add", "spring", "shoes", url, *MAPPING, "--cron", "15 * * * *")
    assert (made["name"], made["options"]["record_id"], made["cron"]) == ("spring", "sku", "15 * * * *")
    planned = shell.json("sync", "plan", "spring")
    assert (planned["state"], planned["plan"]["create_count"]) == ("planned", 20)
    assert "create" in shell.run("sync", "plan", "spring")
    done = shell.json("sync", "start", "spring")
    assert (done["state"], done["created_count"]) == ("succeeded", 20)
    assert "has not changed" in shell.run("sync", "start", "spring")
    assert shell.json("search", "shoes", str(_file(shell, png(4))))["hits"][0]["record_id"] == "a4"

    publish(shop, range(10))
    waiting = shell.json("sync", "start", "spring", code=4)
    assert waiting["state"] == "awaiting_approval"
    shown = shell.run("sync", "show", waiting["run_id"])
    assert "10 of 20 records would be deleted" in shown
    assert "afterimage sync approve" in shell.run("sync", "watch", waiting["run_id"], code=4)
    approved = shell.json("sync", "approve", waiting["run_id"], waiting["plan"]["digest"])
    assert (approved["state"], approved["deleted_count"]) == ("succeeded", 10)
    assert shell.json("sync", "undo", waiting["run_id"])["record_count"] == 10
    runs = shell.json("sync", "runs", "spring")["runs"]
    assert [r["state"] for r in runs] == ["succeeded", "succeeded", "succeeded", "planned", "planned"]
    assert "spring" in shell.run("sync", "sources", "list")

    changed = shell.json("sync", "sources", "update", "spring", "--pause", "--max-deletes", "5")
    assert (changed["paused"], changed["max_deletes"], changed["options"]["record_id"]) == (True, 5, "sku")
    assert "paused" in shell.run("sync", "sources", "show", "spring")
    assert shell.json("sync", "sources", "delete", "spring")["record_count"] == 20
    assert shell.json("sync", "start", "spring", code=1)["error"]["reason"] == "SOURCE_NOT_FOUND"


def test_failures_are_listed_and_tried_again(shell: Shell, shop: Shop) -> None:
    url = publish(shop, range(5))
    shop.statuses["/2.png"] = 404
    shell.run("collections", "create", "shoes")
    shell.run("sync", "sources", "add", "spring", "shoes", url, *MAPPING)
    run = shell.json("sync", "start", "spring", code=3)
    assert (run["state"], run["failed_count"]) == ("succeeded_with_errors", 1)
    assert shell.json("sync", "failures", "spring")["record_id"] == "a2"
    assert "URL_NOT_FOUND" in shell.run("sync", "failures", "spring")
    shop.statuses.clear()
    assert shell.json("sync", "retry", "spring")["created_count"] == 1


def test_pictures_that_were_used_with_a_note_are_counted_in_the_run(shell: Shell, shop: Shop) -> None:
    url = publish(shop, range(4))
    shop.pictures |= {f"/{n}.png": with_damaged_profile(noise(n)) for n in (1, 3)}
    shell.run("collections", "create", "shoes")
    shell.run("sync", "sources", "add", "spring", "shoes", url, *MAPPING)
    run = shell.json("sync", "start", "spring")
    assert (run["state"], run["encoded_count"]) == ("succeeded", 4)
    (note,) = run["notes"]
    assert (note["reason"], note["picture_count"]) == ("PROFILE_IGNORED", 2)
    assert "note: 2 pictures with PROFILE_IGNORED: the colour profile" in shell.run("sync", "show", run["run_id"])
    shop.pictures |= {"/1.png": png(7)}
    again = shell.json("sync", "start", "spring", "--full")
    assert (again["state"], again["notes"]) == ("succeeded", [])


def test_a_broken_feed_ends_with_its_reason_and_code_1(shell: Shell, shop: Shop) -> None:
    url = publish(shop, range(3))
    shell.run("collections", "create", "shoes")
    shell.run("sync", "sources", "add", "spring", "shoes", url, *MAPPING)
    shop.pictures["/feed.csv"] = b"<html><body>maintenance</body></html>"
    assert shell.json("sync", "preview", url, code=1)["error"]["reason"] == "FEED_UNUSABLE"
    run = shell.json("sync", "start", "spring", code=1)
    assert (run["state"], run["reason"]) == ("blocked", "FEED_NOT_RECOGNISED")
    shell.run("sync", "start", "spring", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--map", "id"), ("--map", "colour=tint"), ("--map", "attributes.Price=cost"),
    ],
)  # fmt: skip
def test_a_mapping_that_makes_no_sense_is_wrong_usage(shell: Shell, shop: Shop, arguments: tuple[str, ...]) -> None:
    shell.run("sync", "preview", f"{shop.address}/feed", *arguments, code=2)


def test_the_state_of_a_run_is_followed_line_by_line_in_json(shell: Shell, shop: Shop) -> None:
    url = publish(shop, range(3))
    shell.run("collections", "create", "shoes")
    shell.run("sync", "sources", "add", "spring", "shoes", url, *MAPPING)
    started = shell.json("sync", "start", "spring", "--no-wait")
    lines = [json.loads(line) for line in shell.run("sync", "watch", started["run_id"], "--json").splitlines()]
    assert lines[-1]["state"] == "succeeded"
    assert shell.json("sync", "cancel", started["run_id"], code=1)["error"]["reason"] == "RUN_NOT_WAITING"


def _file(shell: Shell, content: bytes) -> Path:
    path = Path(shell.environment["AFTERIMAGE_STATE_DIR"]).with_name("query.png")
    path.write_bytes(content)
    return path


def test_all_four_guards_of_a_source_can_be_set_and_changed(shell: Shell, shop: Shop) -> None:
    shell.run("collections", "create", "shoes")
    names = ("max_delete_share", "max_deletes", "max_problem_share", "min_items_share")

    def options(values: tuple[object, ...]) -> list[str]:
        return [part for n, v in zip(names, values, strict=True) for part in (f"--{n.replace('_', '-')}", str(v))]

    first, second = (0.2, 7, 0.3, 0.4), (0.25, 0, 0.0, 1.0)
    made = shell.json("sync", "sources", "add", "spring", "shoes", f"{shop.address}/feed", *options(first))
    assert tuple(made[n] for n in names) == first
    changed = shell.json("sync", "sources", "update", "spring", *options(second))
    assert tuple(changed[n] for n in names) == second
    assert tuple(shell.json("sync", "sources", "show", "spring")[n] for n in names) == second


def test_a_run_that_fails_or_waits_says_why_once_and_not_that_there_was_nothing_to_do(shell: Shell, shop: Shop) -> None:
    shell.run("collections", "create", "shoes")
    shop.pictures["/feed.csv"] = b"no feed"
    shell.run("sync", "sources", "add", "spring", "shoes", f"{shop.address}/feed.csv")
    failed = shell.done("sync", "start", "spring")
    assert (failed.returncode, failed.stdout) == (1, "")
    run = json.loads(shell.run("sync", "runs", "--json"))["runs"][0]
    assert failed.stderr == f"error: run {run['run_id']} {run['state']}: {run['message']}\n"
    assert "nothing to do" not in shell.run("sync", "show", run["run_id"])

    shop.pictures["/feed.csv"] = table([{"sku": f"a{n}", "photo": f"{shop.address}/{n}.png"} for n in range(20)], ";")
    shop.pictures |= {f"/{n}.png": png(n) for n in range(20)}
    shell.run("sync", "sources", "add", "summer", "shoes", f"{shop.address}/feed.csv", *MAPPING[:4])
    shell.run("sync", "start", "summer")
    shop.pictures["/feed.csv"] = table([{"sku": "a0", "photo": f"{shop.address}/0.png"}], ";")
    said = shell.run("sync", "start", "summer", code=4)
    concerns = json.loads(shell.run("sync", "runs", "summer", "--json"))["runs"][0]["plan"]["concerns"]
    assert concerns
    assert [said.count(c) for c in concerns] == [1] * len(concerns), said
    assert "nothing to do" not in said
