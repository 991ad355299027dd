"""Syncs of real photographs through changes of every kind."""

from __future__ import annotations

import random
from pathlib import Path

from afterimage.client import NewSource
from tests.support.data.feeds import rss
from tests.support.servers.server import start_server
from tests.support.servers.shop import FETCHING, Shop
from tests.support.shared import clothing

PHOTOGRAPHS = 60


def test_a_real_catalogue_is_what_its_feed_says_record_by_record(tmp_path: Path, shop: Shop) -> None:
    chance = random.Random(5)
    photographs = chance.sample(clothing(), PHOTOGRAPHS)
    shop.pictures = {f"/{path.name}": path.read_bytes() for path, _ in photographs}
    items = {
        path.stem: {
            "id": path.stem, "title": label, "product_type": label, "price": f"{n}.90 EUR",
            "image_link": f"{shop.address}/{path.name}",
        }
        for n, (path, label) in enumerate(photographs)
    }  # fmt: skip
    server = start_server(
        tmp_path,
        environment=FETCHING,
    )
    with server.client(server.key("acme")) as client:
        client.create_collection("clothing")
        client.create_source(NewSource("feed", "clothing", f"{shop.address}/feed.xml", max_delete_share=1.0))
        for _ in range(3):
            shop.pictures["/feed.xml"] = rss(list(items.values()))
            *_, run = client.watch_run(client.start_run("feed").run_id)
            assert run.state == "succeeded", run
            found = {r.record_id: dict(r.attributes) for r in client.records("clothing")}
            assert found == {
                i: {
                    "title": f["title"], "product_type": f["product_type"], "price": float(f["price"].split()[0]),
                    "price_currency": "EUR",
                }
                for i, f in items.items()
            }  # fmt: skip
            for record_id, fields in chance.sample(sorted(items.items()), 10):
                photograph = shop.pictures[fields["image_link"].removeprefix(shop.address)]
                hits = client.search("clothing", photograph, k=5, max_distance=1e-3).hits
                assert record_id in [h.record_id for h in hits]
            names = sorted(items)
            for gone in chance.sample(names, 5):
                del items[gone]
            one, other, cheaper = chance.sample(sorted(items), 3)
            links = items[one]["image_link"], items[other]["image_link"]
            items[one]["image_link"], items[other]["image_link"] = links[1], links[0]
            items[cheaper]["price"] = "1.00 EUR"
            items[f"copy-of-{one}"] = {**items[one], "id": f"copy-of-{one}"}
    assert server.stop() == 0
