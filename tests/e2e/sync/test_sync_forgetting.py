"""What a sync leaves: records, and nothing of feed, pictures, credentials or URLs."""

from __future__ import annotations

from pathlib import Path

from afterimage.client import NewSource
from tests.support.data.feeds import jsonl
from tests.support.data.files import all_bytes
from tests.support.data.pictures import png
from tests.support.servers.server import start_server
from tests.support.servers.shop import FETCHING, Shop


def test_feed_pictures_and_urls_are_in_no_file_log_or_redis(tmp_path: Path, shop: Shop) -> None:
    server = start_server(
        tmp_path,
        environment=FETCHING,
    )
    shop.pictures = {f"/secret-path-{n}.png": png(n) for n in range(8)}
    shop.statuses["/secret-path-3.png"] = 404
    items = [
        {"id": f"private-id-{n}", "title": f"private title {n}", "image_link": f"{shop.address}/secret-path-{n}.png"}
        for n in range(8)
    ]
    shop.pictures["/feed?token=secret-token"] = jsonl(items)
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        url = f"{shop.address}/feed?token=secret-token"
        client.create_source(NewSource("feed", "c", url, max_delete_share=1.0, min_items_share=0.0))
        *_, first = client.watch_run(client.start_run("feed").run_id)
        assert (first.created_count, first.failed_count) == (7, 1)
        shop.pictures["/feed?token=secret-token"] = jsonl(items[:1])
        *_, last = client.watch_run(client.start_run("feed").run_id)
        assert last.deleted_count == 6
        # A plan that waits keeps what the feed says, encrypted.
        client.update_source(NewSource("feed", "c", url, max_deletes=0))
        shop.pictures["/feed?token=secret-token"] = jsonl(items[1:2])
        *_, waiting = client.watch_run(client.start_run("feed").run_id)
        assert waiting.state == "awaiting_approval"
        staged = list(server.data_dir.rglob("staging/*.db"))
        assert [p.stem for p in staged] == [waiting.run_id]
        everything = all_bytes(server.data_dir) + server.log.read_bytes()
        client.cancel_run(waiting.run_id)
        assert list(server.data_dir.rglob("staging/*")) == []
    assert server.stop() == 0
    everything += all_bytes(server.data_dir) + server.log.read_bytes()
    for secret in (b"secret-path", b"secret-token", b"private-id", b"private title", png(1)[40:120]):
        assert secret not in everything
