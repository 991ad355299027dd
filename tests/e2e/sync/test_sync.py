"""Catalogue syncs on a real server: first sync, changes of every kind, bad feeds, approval, undo, crashes."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from afterimage.client import Client, FailedPrecondition, InvalidArgument, NewRecord, NewSource, NotFound, Run
from tests.support.data.feeds import jsonl, rss, table
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fetching")
    server = share(start_server(folder, environment={**FETCHING, "AFTERIMAGE_FEEDS_DIR": str(folder / "feeds")}))
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(fetching: Server, tenant_name: str) -> Iterator[Client]:
    with fetching.client(fetching.key(tenant_name)) as connected:
        connected.create_collection("shoes")
        yield connected


def items(shop: Shop, numbers: Sequence[int], **fields: object) -> list[dict[str, object]]:
    """Items of a feed with pictures in the shop."""
    shop.pictures |= {f"/{n}.png": png(n) for n in numbers if f"/{n}.png" not in shop.pictures}
    return [
        {"id": str(n), "title": f"shoe {n}", "price": f"{n}.50 EUR", "image_link": f"{shop.address}/{n}.png", **fields}
        for n in numbers
    ]


def publish(shop: Shop, content: bytes, path: str = "/feed") -> None:
    shop.pictures[path] = content


def followed(client: Client, shop: Shop, **said: object) -> None:
    given: Mapping[str, object] = {"max_delete_share": 1.0, **said}
    client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed", **given))  # type: ignore[arg-type]


def synced(client: Client, **how: Any) -> Run:
    """Starts a run and waits for its end."""
    started = client.start_run("feed", **how)
    *_, last = client.watch_run(started.run_id)
    return last


def stored(client: Client) -> dict[str, tuple[str, dict[str, object]]]:
    return {r.record_id: (r.product_id, dict(r.attributes)) for r in client.records("shoes")}


def counts(run: Run) -> tuple[int, int, int, int]:
    return run.created_count, run.updated_count, run.deleted_count, run.failed_count


def test_a_collection_follows_its_feed_and_only_what_changed_is_fetched(client: Client, shop: Shop) -> None:
    publish(shop, rss([*items(shop, range(10)), *items(shop, [10], additional_image_link=[f"{shop.address}/1.png"])]))
    followed(client, shop)
    first = synced(client)
    assert (first.state, counts(first), first.encoded_count) == ("succeeded", (12, 0, 0, 0), 12)
    assert stored(client)["10#2"] == ("10", {"title": "shoe 10", "price": 10.5, "price_currency": "EUR"})
    assert client.search("shoes", png(3), k=1).hits[0].record_id == "3"

    shop.requests.clear()
    assert synced(client).reason == "UNCHANGED"
    assert shop.asked() == []

    changed = items(shop, range(1, 12))  # 0 and 10#2 are gone, 11 is new
    changed[0]["title"] = "renamed"
    changed[1]["image_link"] = f"{shop.address}/new.png"
    shop.pictures["/new.png"] = png(99)
    changed[2]["image_link"] = f"{shop.address}/moved.png"
    shop.pictures["/moved.png"] = png(3)
    publish(shop, rss(changed))
    shop.requests.clear()
    second = synced(client)
    assert (second.state, counts(second), second.encoded_count) == ("succeeded", (1, 2, 2, 0), 2)
    assert second.unchanged_count == 1  # moved, and the same picture
    assert sorted(shop.asked()) == ["/11.png", "/moved.png", "/new.png"]
    assert stored(client) == {
        str(n): (
            str(n),
            {"title": "renamed" if n == 1 else f"shoe {n}", "price": n + 0.5, "price_currency": "EUR"},
        )
        for n in range(1, 12)
    }
    assert client.search("shoes", png(99), k=1).hits[0].record_id == "2"
    assert client.get_source("feed").success_time is not None


def test_a_dry_run_shows_what_it_would_do_and_does_nothing(client: Client, shop: Shop) -> None:
    publish(shop, table(items(shop, range(5))))
    followed(client, shop)
    synced(client)
    publish(shop, table([*items(shop, range(3), title="other"), *items(shop, [7])]))
    before = stored(client)
    planned = synced(client, dry_run=True)
    plan = planned.plan
    assert planned.state == "planned"
    assert (plan.create_count, plan.update_attributes_count, plan.delete_count, plan.unchanged_count) == (1, 3, 2, 0)
    assert {(s.action, s.record_id) for s in plan.samples} >= {("create", "7"), ("delete", "3"), ("delete", "4")}
    assert stored(client) == before


def test_a_plan_beyond_its_limits_waits_for_approval_of_that_very_plan(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(20))))
    followed(client, shop, max_delete_share=0.1)
    synced(client)
    publish(shop, jsonl(items(shop, range(15))))
    waiting = synced(client)
    assert waiting.state == "awaiting_approval"
    assert "5 of 20 records would be deleted" in waiting.message
    assert len(stored(client)) == 20
    with pytest.raises(FailedPrecondition) as caught:
        client.approve_run(waiting.run_id, "0" * 64)
    assert caught.value.reason == "PLAN_MOVED"
    client.approve_run(waiting.run_id, waiting.plan.digest)
    *_, done = client.watch_run(waiting.run_id)
    assert (done.state, counts(done)) == ("succeeded", (0, 0, 5, 0))
    assert len(stored(client)) == 15
    with pytest.raises(FailedPrecondition) as caught:
        client.approve_run(waiting.run_id, waiting.plan.digest)
    assert caught.value.reason == "RUN_NOT_WAITING"


def test_a_newer_run_takes_the_place_of_one_that_waits(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(20))))
    followed(client, shop, max_delete_share=0.1)
    synced(client)
    publish(shop, jsonl(items(shop, range(10))))
    waiting = synced(client)
    again = synced(client)
    assert (again.state, again.reason) == ("superseded", "SAME_PLAN")
    assert waiting.run_id in again.message
    assert synced(client, dry_run=True).state == "planned"
    assert client.get_run(waiting.run_id).state == "awaiting_approval"
    publish(shop, jsonl(items(shop, range(20))))
    assert synced(client, full=True).state == "succeeded"
    assert client.get_run(waiting.run_id).state == "superseded"
    assert len(stored(client)) == 20


def test_what_a_run_deleted_comes_back_without_being_fetched(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(6))))
    followed(client, shop)
    synced(client)
    whole = stored(client)
    publish(shop, jsonl(items(shop, range(3))))
    cut = synced(client)
    assert len(stored(client)) == 3
    shop.requests.clear()
    assert client.undo_deletions(cut.run_id) == 3
    assert stored(client) == whole
    assert client.search("shoes", png(5), k=1).hits[0].record_id == "5"
    assert synced(client, full=True).deleted_count == 3  # the feed still does not name them
    publish(shop, jsonl(items(shop, range(6))))
    again = synced(client)
    assert (again.state, again.encoded_count) == ("succeeded", 0)
    assert stored(client) == whole
    assert shop.asked() == []


def test_update_only_leaves_what_the_feed_does_not_name_and_takes_its_tombstones(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(4))))
    followed(client, shop, mode="update_only")
    synced(client)
    publish(shop, jsonl([*items(shop, [7]), {"id": "2", "deleted": True}]))
    run = synced(client)
    assert counts(run) == (1, 0, 1, 0)
    assert run.plan.kept_count == 3
    assert stored(client).keys() == {"0", "1", "3", "7"}


def test_records_of_others_are_never_touched(client: Client, shop: Shop) -> None:
    client.insert("shoes", [NewRecord("mine", image=png(50)), NewRecord("0", image=png(51))])
    publish(shop, jsonl(items(shop, range(2))))
    followed(client, shop)
    synced(client)  # takes over the record 0, which both name
    publish(shop, jsonl(items(shop, [1])))
    assert synced(client).deleted_count == 1
    assert stored(client).keys() == {"mine", "1"}
    assert client.delete_source("feed") == 1
    assert stored(client).keys() == {"mine", "1"}
    with pytest.raises(NotFound):
        client.get_source("feed")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "FEED_EMPTY"),
        (b"<!doctype html><html><body>502</body></html>", "FEED_NOT_RECOGNISED"),
        (rss([{"id": "1", "image_link": "https://s.example/1.jpg"}])[:-30], "FEED_TRUNCATED"),
        (rss([]), "FEED_EMPTY"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><rss/>', "FEED_DAMAGED"),
        (b"sku\tpicture\n1\thttps://s.example/1.jpg\n", "FEED_EMPTY"),
    ],
)
def test_a_bad_feed_changes_nothing_and_says_why(client: Client, shop: Shop, content: bytes, reason: str) -> None:
    publish(shop, rss(items(shop, range(3))))
    followed(client, shop)
    synced(client)
    before = stored(client)
    if content.startswith(b"sku"):
        content = content.replace(b"sku", b"number")
    publish(shop, content)
    run = synced(client)
    assert (run.state, run.reason) == ("blocked", reason)
    assert "nothing was changed" in run.message
    assert stored(client) == before
    publish(shop, rss(items(shop, range(4))))
    assert counts(synced(client)) == (1, 0, 0, 0)


def test_a_table_that_lost_its_last_line_end_is_taken_for_cut_short(client: Client, shop: Shop) -> None:
    whole = table(items(shop, range(30)))
    publish(shop, whole)
    followed(client, shop)
    synced(client)
    for tenth in (1, 4, 7, 9):
        cut = whole[: len(whole) * tenth // 10].rstrip(b"\n")
        publish(shop, cut)
        run = synced(client)
        assert run.state == "blocked", run
        assert len(stored(client)) == 30


def test_pictures_that_fail_are_listed_and_rest_until_they_are_tried_again(client: Client, shop: Shop) -> None:
    rows = items(shop, range(40))
    shop.pictures["/1.png"] = b"no picture"
    del shop.pictures["/2.png"]
    publish(shop, jsonl(rows))
    followed(client, shop)
    run = synced(client)
    assert (run.state, counts(run)) == ("succeeded_with_errors", (38, 0, 0, 2))
    failures, _ = client.list_failures_page("feed")
    assert [(f.record_id, f.reason, f.lasting, f.line) for f in failures] == [
        ("1", "IMAGE_FORMAT_UNSUPPORTED", True, 2), ("2", "URL_NOT_FOUND", True, 3),
    ]  # fmt: skip
    shop.requests.clear()
    again = synced(client)
    assert (again.state, again.plan.failed_before_count) == ("succeeded", 2)
    assert shop.asked() == []
    shop.pictures |= {"/1.png": png(1), "/2.png": png(2)}
    forgotten, retried = client.retry_failures("feed")
    assert forgotten == 2
    *_, done = client.watch_run(retried.run_id)
    assert (done.state, counts(done)) == ("succeeded", (2, 0, 0, 0))
    assert client.list_failures_page("feed") == ([], "")


def test_nothing_is_deleted_where_many_pictures_fail(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(10))))
    followed(client, shop)
    synced(client)
    rows = items(shop, range(5, 15))
    shop.statuses = {f"/{n}.png": 410 for n in range(10, 15)}
    publish(shop, jsonl(rows))
    run = synced(client)
    assert (run.state, run.reason, run.deleted_count) == ("succeeded_with_errors", "DELETES_WITHHELD", 0)
    assert len(stored(client)) == 10


def test_a_run_is_cancelled_within_a_second_and_deletes_nothing(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(3))))
    followed(client, shop)
    synced(client)
    shop.open.clear()
    publish(shop, jsonl(items(shop, range(3, 9))))
    started = client.start_run("feed")
    for run in client.watch_run(started.run_id):
        if run.state == "applying":
            break
    with pytest.raises(FailedPrecondition) as caught:
        client.start_run("feed")
    assert caught.value.reason == "RUN_ACTIVE"
    client.cancel_run(started.run_id)
    *_, last = client.watch_run(started.run_id)
    shop.open.set()
    assert (last.state, last.deleted_count) == ("cancelled", 0)
    assert stored(client).keys() == {"0", "1", "2"}
    assert client.cancel_run(started.run_id).state == "cancelled"
    assert synced(client).state == "succeeded"


def test_a_feed_that_needs_credentials_gets_them_and_nobody_sees_them_again(
    client: Client, shop: Shop, fetching: Server
) -> None:
    shop.authorization = "Bearer s3cret-of-the-shop"
    publish(shop, jsonl(items(shop, range(2))))
    with pytest.raises(InvalidArgument, match="https"):
        followed(client, shop, authorization=shop.authorization)
    followed(client, shop)
    refused = synced(client)
    assert (refused.state, refused.reason) == ("failed", "URL_REFUSED")


def test_a_preview_shows_the_first_items(client: Client, shop: Shop) -> None:
    publish(shop, table([*items(shop, range(3)), {"id": "", "title": "x", "price": "", "image_link": ""}]))
    seen = client.preview_feed(f"{shop.address}/feed")
    assert seen.format == "table"
    assert [(i.item_id, json.loads(i.attributes)["price"]) for i in seen.items] == [("0", 0.5), ("1", 1.5), ("2", 2.5)]
    assert [p.line for p in seen.problems] == [5]
    publish(shop, b"<html></html>")
    with pytest.raises(FailedPrecondition, match="web page"):
        client.preview_feed(f"{shop.address}/feed")


def test_of_a_large_feed_only_the_beginning_is_fetched_for_a_preview(client: Client, shop: Shop) -> None:
    rows = items(shop, [1]) * 60_000
    publish(shop, gzip.compress(rss([*rows, *rows]), 1))
    assert len(shop.pictures["/feed"]) < 4 << 20
    assert len(client.preview_feed(f"{shop.address}/feed").items) == 20
    publish(shop, jsonl(rows))
    assert len(shop.pictures["/feed"]) > 4 << 20
    assert len(client.preview_feed(f"{shop.address}/feed").items) == 20
    publish(shop, jsonl(rows)[: (4 << 20) + 10_000])  # cut short, but not at its beginning
    assert len(client.preview_feed(f"{shop.address}/feed").items) == 20
    with pytest.raises(InvalidArgument, match="https"):
        client.preview_feed(f"{shop.address}/feed", authorization="Bearer x")


def test_pages_of_products_are_read_until_one_is_empty(client: Client, shop: Shop) -> None:
    rows = items(shop, range(4))
    for number in (1, 2):
        page = [
            {"id": i["id"], "title": i["title"], "images": [{"src": i["image_link"]}]}
            for i in rows[2 * number - 2 : 2 * number]
        ]
        publish(shop, json.dumps({"products": page}).encode(), f"/products.json?limit=250&page={number}")
    publish(shop, b'{"products": []}', "/products.json?limit=250&page=3")
    client.create_source(NewSource("feed", "shoes", f"{shop.address}/products.json"))
    assert counts(synced(client)) == (4, 0, 0, 0)
    assert client.get_source("feed").found_format == "shopify-json"


def test_a_shop_that_sends_the_same_page_for_ever_is_asked_for_it_twice(client: Client, shop: Shop) -> None:
    rows = [{"id": i["id"], "images": [{"src": i["image_link"]}]} for i in items(shop, range(3))]
    for number in range(1, 5):
        publish(shop, json.dumps({"products": rows}).encode(), f"/products.json?limit=250&page={number}")
    client.create_source(NewSource("feed", "shoes", f"{shop.address}/products.json"))
    assert counts(synced(client)) == (3, 0, 0, 0)
    pages = [path for path, _ in shop.requests if path.startswith("/products.json")]
    assert pages == [f"/products.json?limit=250&page={number}" for number in (1, 2)]


def test_files_of_the_operator_are_followed_within_the_tenants_folder_alone(
    client: Client, fetching: Server, tenant_name: str
) -> None:
    folder = fetching.folder / "feeds" / tenant_name
    (folder / "pictures" / "red").mkdir(parents=True)
    (folder.parent / "secret.csv").write_bytes(b"id,image_link\n1,https://s.example/1.jpg\n")
    for n in range(3):
        (folder / "pictures" / "red" / f"{n}.png").write_bytes(png(n))
    client.create_source(NewSource("feed", "shoes", "file:pictures", max_delete_share=1.0))
    assert counts(synced(client)) == (3, 0, 0, 0)
    assert stored(client)["red/1"] == ("red/1", {"folder": "red"})
    (folder / "pictures" / "red" / "1.png").write_bytes(png(77))
    (folder / "pictures" / "red" / "2.png").unlink()
    run = synced(client)
    assert (counts(run), run.encoded_count) == ((0, 1, 1, 0), 1)
    with pytest.raises(InvalidArgument):
        client.create_source(NewSource("other", "shoes", "file:../secret.csv"))
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    client.create_source(NewSource("other", "shoes", "file:link.csv"))
    *_, refused = client.watch_run(client.start_run("other").run_id)
    assert (refused.state, refused.reason) == ("failed", "URL_FORBIDDEN")


def test_pictures_are_asked_for_anew_where_the_source_says_so(client: Client, shop: Shop) -> None:
    publish(shop, jsonl(items(shop, range(4))))
    followed(client, shop, picture_check="always")
    synced(client)
    shop.pictures["/2.png"] = png(66)
    run = synced(client, full=True)
    assert (run.plan.check_picture_count, run.encoded_count, counts(run)) == (4, 1, (0, 1, 0, 0))
    assert client.search("shoes", png(66), k=1).hits[0].record_id == "2"


def test_a_webhook_is_told_with_a_signature_and_again_where_it_was_away(client: Client, shop: Shop) -> None:
    secret = "a secret of the shop's"
    publish(shop, jsonl(items(shop, range(20))))
    shop.statuses["POST"] = 502  # the first time
    followed(client, shop, max_delete_share=0.1, webhook_url=f"{shop.address}/hook", webhook_secret=secret)
    assert client.get_source("feed").said.webhook_secret == ""
    run = synced(client)
    first, again = shop.told.get(timeout=20), shop.told.get(timeout=20)
    for signed, body in (first, again):
        told = json.loads(body)
        assert (told["event"], told["run_id"], told["counts"]["created"]) == ("run.succeeded", run.run_id, 20)
        seconds = signed.removeprefix("t=").partition(",")[0]
        expected = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
        assert signed == f"t={seconds},v1={expected}"
    publish(shop, jsonl(items(shop, range(10))))
    synced(client)
    assert json.loads(shop.told.get(timeout=20)[1])["event"] == "run.awaiting_approval"
