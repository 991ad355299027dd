"""Changes of one item between two feeds, on a real server."""

from __future__ import annotations

import hmac
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from afterimage.client import AfterimageError, AsyncClient, Client, InvalidArgument, NewSource, NotFound, PushSecret
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = share(start_server(tmp_path_factory.mktemp("fetching"), environment=FETCHING))
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(fetching: Server, tenant_name: str, shop: Shop) -> Iterator[Client]:
    with fetching.client(fetching.key(tenant_name)) as connected:
        connected.create_collection("shoes")
        publish(shop, [item(shop, n) for n in range(3)])
        connected.create_source(NewSource("feed", "shoes", f"{shop.address}/feed", max_delete_share=1.0))
        synced(connected)
        yield connected


def item(shop: Shop, number: int, **fields: object) -> dict[str, Any]:
    shop.pictures.setdefault(f"/{number}.png", png(number))
    return {"id": str(number), "title": f"shoe {number}", "image_link": f"{shop.address}/{number}.png", **fields}


def publish(shop: Shop, items: list[dict[str, Any]]) -> None:
    shop.pictures["/feed"] = jsonl(items)


def synced(client: Client) -> str:
    *_, last = client.watch_run(client.start_run("feed").run_id)
    return last.state


def titles(client: Client) -> dict[str, object]:
    return {r.record_id: r.attributes["title"] for r in client.records("shoes")}


def test_an_item_is_created_changed_and_deleted_between_two_feeds(client: Client, shop: Shop) -> None:
    several = item(shop, 7, additional_image_link=[f"{shop.address}/1.png"])
    made = client.push_item("feed", several)
    assert (made.outcome, made.item_id, made.record_count) == ("created", "7", 2)
    assert client.search("shoes", png(7), k=1).hits[0].record_id == "7"
    shop.requests.clear()
    assert client.push_item("feed", several).outcome == "unchanged"
    fewer = client.push_item("feed", item(shop, 7, title="renamed"))
    assert (fewer.outcome, fewer.record_count, fewer.deleted_count) == ("updated", 1, 1)
    assert shop.asked() == []
    assert fewer.sequence > made.sequence > 0
    assert client.push_deletion("feed", "1").outcome == "deleted"
    assert client.push_deletion("feed", "1").outcome == "unchanged"
    assert titles(client) == {"0": "shoe 0", "2": "shoe 2", "7": "renamed"}
    publish(shop, [item(shop, n) for n in range(2)])  # a later feed
    assert synced(client) == "succeeded"
    assert titles(client) == {"0": "shoe 0", "1": "shoe 1"}


def test_a_change_older_than_the_feed_is_skipped_and_says_so(client: Client, shop: Shop) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    late = client.push_item("feed", item(shop, 0, title="old"), change_time=hour_ago)
    assert (late.outcome, late.reason, late.sequence) == ("skipped", "FEED_NEWER", 0)
    client.push_item("feed", item(shop, 0, title="new"))
    between = datetime.now(UTC)
    client.push_item("feed", item(shop, 0, title="newer"))
    late = client.push_deletion("feed", "0", change_time=between)
    assert (late.outcome, late.reason, titles(client)["0"]) == ("skipped", "PUSH_NEWER", "newer")
    with pytest.raises(InvalidArgument, match="future"):
        client.push_deletion("feed", "0", change_time=datetime.now(UTC) + timedelta(hours=1))


def test_a_run_keeps_what_was_pushed_since_its_feed_was_fetched(client: Client, shop: Shop) -> None:
    publish(shop, [item(shop, n, title="of the feed") for n in (0, 1, 5)])
    shop.open.clear()  # the run waits for the picture of 5
    run = client.start_run("feed")
    try:
        assert any(seen.state == "applying" for seen in client.watch_run(run.run_id))
        client.push_deletion("feed", "0")
        client.push_item("feed", item(shop, 2, title="pushed"))
    finally:
        shop.open.set()
    *_, last = client.watch_run(run.run_id)
    assert last.state == "succeeded"
    assert titles(client) == {"1": "of the feed", "2": "pushed", "5": "of the feed"}


def test_a_bad_item_is_refused_alone(client: Client, shop: Shop) -> None:
    before = titles(client)
    with pytest.raises(InvalidArgument, match="item '9': the item has no picture"):
        client.push_item("feed", {"id": "9"})
    with pytest.raises(AfterimageError, match="404"):
        client.push_item("feed", {"id": "9", "image_link": f"{shop.address}/none.png"})
    with pytest.raises(NotFound):
        client.push_item("nothing", item(shop, 9))
    assert titles(client) == before


async def test_the_asynchronous_client_pushes_too(fetching: Server, tenant_name: str, client: Client) -> None:
    async with AsyncClient(fetching.target, fetching.key(tenant_name)) as other:
        assert (await other.push_deletion("feed", "2")).outcome == "deleted"


def posted(
    server: Server, secret: PushSecret, body: bytes, *, ago_s: int = 0, signature: str = ""
) -> tuple[int, dict[str, Any]]:
    """Signs a body as another program would, and sends it."""
    seconds = int(time.time()) - ago_s
    digest = hmac.digest(secret.secret.encode(), f"{seconds}.".encode() + body, "sha256").hex()
    connection = http.client.HTTPConnection(server.http, timeout=60)
    headers = {"Afterimage-Signature": signature or f"t={seconds},v1={digest}"}
    connection.request("POST", secret.path, body, headers)
    response = connection.getresponse()
    said = response.status, json.loads(response.read())
    connection.close()
    return said


def test_a_signed_webhook_changes_one_item(fetching: Server, client: Client, shop: Shop) -> None:
    secret = client.rotate_push_secret("feed")
    assert secret.former_expire_time is None
    status, said = posted(fetching, secret, json.dumps({"item": item(shop, 8)}).encode())
    assert (status, said["outcome"], said["item_id"]) == (200, "created", "8")
    status, said = posted(fetching, secret, json.dumps({"delete_item_id": "1"}).encode())
    assert (status, said["outcome"]) == (200, "deleted")
    assert set(titles(client)) == {"0", "2", "8"}
    newer = client.rotate_push_secret("feed")
    assert newer.path == secret.path
    assert newer.former_expire_time is not None
    for valid in (secret, newer):
        assert posted(fetching, valid, json.dumps({"delete_item_id": "0"}).encode())[0] == 200
    client.rotate_push_secret("feed")
    assert posted(fetching, secret, json.dumps({"delete_item_id": "2"}).encode())[0] == 401
    client.delete_source("feed")
    assert posted(fetching, newer, json.dumps({"delete_item_id": "2"}).encode())[0] == 401
    assert "2" in titles(client)


def test_a_webhook_that_is_wrong_old_or_repeated_is_refused(fetching: Server, client: Client, shop: Shop) -> None:
    secret = client.rotate_push_secret("feed")
    body = json.dumps({"delete_item_id": "1"}).encode()
    for refused in (
        posted(fetching, secret, body, ago_s=301),
        posted(fetching, secret, body, signature=f"t={int(time.time())},v1={'0' * 64}"),
        posted(fetching, replace(secret, path=secret.path[:-64] + "0" * 64), body),
        posted(fetching, replace(secret, path=secret.path[:-4] + "/%2e"), body),
    ):
        assert (refused[0], refused[1]["error"]["reason"]) == (401, "SIGNATURE_INVALID")
    assert "1" in titles(client)
    bad = json.dumps({"item": {"id": "9"}}).encode()
    seconds = int(time.time())
    digest = hmac.digest(secret.secret.encode(), f"{seconds}.".encode() + bad, "sha256").hex()
    for _ in range(2):  # a push that failed may be sent again as it is
        status, said = posted(fetching, secret, bad, signature=f"t={seconds},v1={digest}")
        assert (status, said["error"]["field"]) == (400, "item_json")
    digest = hmac.digest(secret.secret.encode(), f"{seconds}.".encode() + body, "sha256").hex()
    assert posted(fetching, secret, body, signature=f"t={seconds},v1={digest}")[0] == 200
    status, said = posted(fetching, secret, body, signature=f"t={seconds},v1={digest}")
    assert (status, said["error"]["reason"]) == (401, "SIGNATURE_INVALID")
    assert posted(fetching, secret, b"x" * (256 * 1024 + 1))[0] == 413
    assert posted(fetching, secret, b'{"item": 1, "other": 2}')[0] == 400
