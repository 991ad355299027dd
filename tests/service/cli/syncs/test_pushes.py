"""`afterimage sync push` and `webhook-secret`, on a real server and a real shop."""

from __future__ import annotations

import hmac
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterimage.client import Client, NewSource
from tests.support.data.pictures import png
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import Shop


@pytest.fixture
def client(fetching: Server, tenant_name: str, shop: Shop) -> Iterator[Client]:
    """The shop's source, without a feed until now."""
    with fetching.client(fetching.key(tenant_name)) as connected:
        connected.create_collection("shoes")
        connected.create_source(NewSource("spring", "shoes", f"{shop.address}/feed", paused=True))
        yield connected


def item(shop: Shop, number: int, title: str = "shoe") -> str:
    shop.pictures.setdefault(f"/{number}.png", png(number))
    return json.dumps({"id": str(number), "title": title, "image_link": f"{shop.address}/{number}.png"})


@pytest.mark.usefixtures("client")
def test_an_item_is_pushed_changed_and_deleted(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "item.json"
    file.write_text(item(shop, 1))
    made = shell.json("sync", "push", "spring", str(file))
    assert (made["outcome"], made["item_id"], made["record_count"]) == ("created", "1", 1)
    assert "Item 1 unchanged." in shell.run("sync", "push", "spring", str(file))
    file.write_text(item(shop, 1, "boot"))
    assert "Item 1 updated." in shell.run("sync", "push", "spring", str(file))
    assert shell.json("records", "get", "shoes", "1")["records"][0]["attributes"]["title"] == "boot"
    late = shell.run("sync", "push", "spring", "--delete", "1", "--changed", "2020-01-01T00:00:00Z")
    assert late.startswith("Item 1 skipped (")
    assert shell.json("sync", "push", "spring", "--delete", "1")["outcome"] == "deleted"
    assert "Item 1 unchanged." in shell.run("sync", "push", "spring", "--delete", "1")


@pytest.mark.usefixtures("client")
def test_exit_codes_tell_wrong_usage_from_failure(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    file, broken, number = (tmp_path / name for name in ("item.json", "broken.json", "number.json"))
    file.write_text(item(shop, 1))
    broken.write_text("{")
    number.write_text("7")
    for wrong in (
        ("spring",), ("spring", str(file), "--delete", "1"), ("spring", str(broken)), ("spring", str(number)),
        ("spring", str(tmp_path / "none.json")), ("spring", str(file), "--changed", "yesterday"),
    ):  # fmt: skip
        shell.run("sync", "push", *wrong, code=2)
    assert shell.json("sync", "push", "autumn", str(file), code=1)["error"]["reason"] == "SOURCE_NOT_FOUND"
    file.write_text(json.dumps({"id": "9"}))
    assert shell.json("sync", "push", "spring", str(file), code=1)["error"]["reason"] == "ARGUMENT_INVALID"
    assert shell.json("records", "list", "shoes")["records"] == []


@pytest.mark.usefixtures("client")
def test_the_secret_that_a_command_shows_signs_a_push(fetching: Server, shell: Shell, shop: Shop) -> None:
    made = shell.json("sync", "webhook-secret", "spring", "--idempotency-key", "first")
    body, seconds = f'{{"item": {item(shop, 3)}}}'.encode(), int(time.time())
    digest = hmac.digest(made["secret"].encode(), f"{seconds}.".encode() + body, "sha256").hex()
    connection = http.client.HTTPConnection(fetching.http, timeout=60)
    connection.request("POST", made["path"], body, {"Afterimage-Signature": f"t={seconds},v1={digest}"})
    assert json.loads(connection.getresponse().read())["outcome"] == "created"
    connection.close()
    shown = shell.run("sync", "webhook-secret", "spring")
    assert f"path: {made['path']}" in shown
    assert made["secret"] not in shown
    assert "The former secret is valid until " in shown
