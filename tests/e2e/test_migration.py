"""Changing the encoder of a synced collection: filled while the old one serves, then exchanged atomically."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterimage.client import FailedPrecondition, NewRecord, NewSource, PairJudgement
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop
from tests.support.shared import own_encoder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    encoders = own_encoder(tmp_path / "encoders")
    running = start_server(
        tmp_path, "--encoders-dir", str(encoders),
        environment=FETCHING,
    )  # fmt: skip
    yield running
    assert running.stop() == 0


def test_a_collection_moves_to_another_encoder_and_back(server: Server, shop: Shop, tmp_path: Path) -> None:
    shop.pictures = {f"/{n}.png": png(n) for n in range(30)}
    items = [{"id": str(n), "image_link": f"{shop.address}/{n}.png", "title": f"t{n}"} for n in range(30)]
    shop.pictures["/feed"] = jsonl(items)
    shell = Shell(server, "acme", tmp_path / "state")
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        client.create_collection("shoes", picture_policy="REFERENCE")
        client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed"))
        assert shell.json("sync", "start", "feed")["created_count"] == 30
        client.insert("shoes", [NewRecord("sent", image=png(99))])
        client.judge_pairs("shoes", [PairJudgement("1", other, "different") for other in ("2", "sent")])

        planned = shell.json("collections", "migrate", "shoes", "--to", "mobilenet-v2", "--plan")
        assert (planned["records"], planned["can_be_fetched"], planned["in_no_feed"]) == (31, 30, 1)
        assert [c.name for c in client.collections()] == ["shoes"]

        shop.statuses["/7.png"] = 404
        first = shell.json("collections", "migrate", "shoes", "--to", "mobilenet-v2", "--finish", code=3)
        assert (first["exchanged"], first["fetched_count"], first["elsewhere_count"]) == (False, 29, 1)
        assert client.search("shoes", png(5), k=1).encoder_id == "builtin"
        shop.statuses.clear()
        second = shell.json("collections", "migrate", "shoes", "--to", "mobilenet-v2", "--finish", "--least", "0.9")
        assert (second["exchanged"], second["target"]) == (True, "shoes-mobilenet-v2")
        found = client.search("shoes", png(5), k=1)
        assert (found.encoder_id, found.hits[0].record_id) == ("mobilenet-v2", "5")
        assert client.get_collection("shoes").picture_policy == "REFERENCE"
        assert [{p.record_id, p.other_record_id} for p in client.judged_pairs("shoes")] == [{"1", "2"}]
        assert client.picture_link("shoes", "5").url == f"{shop.address}/5.png"
        assert client.search("shoes-mobilenet-v2", png(99), k=1).hits[0].record_id == "sent"

        shop.requests.clear()
        shop.pictures["/feed"] = jsonl(items[:29])
        after = shell.json("sync", "start", "feed")
        assert (after["deleted_count"], shop.asked(), client.count_records("shoes")) == (1, [], 28)

        shell.run("collections", "exchange", "shoes", "shoes-mobilenet-v2")
        assert client.search("shoes", png(5), k=1).encoder_id == "builtin"
        assert shell.json("sync", "start", "feed")["deleted_count"] == 1  # of the old one, which still had it
    server_again = server.stop()
    assert server_again == 0
    restarted = start_server(tmp_path, "--encoders-dir", str(tmp_path / "encoders"))
    with restarted.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        assert client.get_collection("shoes").encoder_id == "builtin"
        assert client.get_collection("shoes-mobilenet-v2").encoder_id == "mobilenet-v2"
    assert restarted.stop() == 0


def test_collections_are_not_exchanged_while_a_run_works_on_one(server: Server, shop: Shop) -> None:
    shop.pictures = {"/1.png": png(1), "/feed": jsonl([{"id": "1", "image_link": f"{shop.address}/1.png"}])}
    shop.open.clear()
    with server.client(server.key("acme")) as client:
        for name in ("one", "two"):
            client.create_collection(name)
        client.create_source(NewSource("feed", "one", f"{shop.address}/feed"))
        run = client.start_run("feed")
        with pytest.raises(FailedPrecondition) as caught:
            client.exchange_collections("one", "two")
        assert caught.value.reason == "RUN_ACTIVE"
        shop.open.set()
        *_, last = client.watch_run(run.run_id)
        assert last.state == "succeeded"
        client.exchange_collections("one", "two")
        assert (client.count_records("one"), client.count_records("two")) == (0, 1)
