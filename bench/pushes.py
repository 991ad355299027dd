"""`make bench-pushes`: what a pushed item of a sync source costs one caller beside a plain insert of the same record.

The collection has 100,000 records. Each call changes the price of a record whose picture stays as it is, unless its
name says something else. A new picture is a small one of the drawn catalogue, fetched from a web server of this
machine.
"""

from __future__ import annotations

import argparse
import hmac
import http.client
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from afterimage.client import Client, NewRecord, NewSource, Patch, PushSecret
from bench.call_costs import clustered, costs, fill, http_address, markdown
from bench.environment import write_result
from bench.sync import shop
from examples.catalogue.generate import TABLE_NAME, generate
from examples.demo import demo_key, running_server
from service.cli.collections.pictures import plan_insert

ROUNDS, SECONDS, RECORDS, ITEMS = 5, 1.5, 100_000, 50
PLAIN = ("insert, same vector", "insert of a new picture by URL")
FETCHING = {"AFTERIMAGE_FETCH_NETWORKS": '["127.0.0.1/32"]', "AFTERIMAGE_FETCH_RATE_PER_HOST": "100000"}


@dataclass(frozen=True)
class Catalogue:
    """Pictures of a shop. `urls`: endless; no two are equal, but many show the same picture."""

    pictures: list[Path]
    urls: Iterator[str]


class Webhook:
    """Signed pushes over one connection."""

    def __init__(self, address: str, secret: PushSecret) -> None:
        self._connection, self._secret = http.client.HTTPConnection(address, timeout=60), secret

    def push(self, item: dict[str, Any]) -> None:
        """Sends one item."""
        body, seconds = json.dumps({"item": item}).encode(), int(time.time())
        digest = hmac.digest(self._secret.secret.encode(), f"{seconds}.".encode() + body, "sha256").hex()
        headers = {"Afterimage-Signature": f"t={seconds},v1={digest}"}
        self._connection.request("POST", self._secret.path, body, headers)
        response = self._connection.getresponse()
        found = response.read()
        assert response.status == 200, found
        assert json.loads(found)["outcome"] == "updated", found


def calls_of(client: Client, http_at: str, catalogue: Catalogue, records: int) -> dict[str, Callable[[], object]]:
    """Calls by name, on a collection of so many records beside the items of a source."""
    vectors = clustered(records, client.create_collection("cost").dimension)
    fill(client, "cost", vectors, lambda n: {"brand": f"b{n % 50}", "price": float(n % 97)})
    client.create_source(NewSource("feed", "cost", "https://shop.example/feed", paused=True))
    picture = catalogue.pictures[0].read_bytes()
    webhook, numbers = Webhook(http_at, client.rotate_push_secret("feed")), itertools.count(2)

    def insert(**given: Any) -> None:
        (result,) = client.insert("cost", [NewRecord(attributes={"price": float(next(numbers))}, **given)])
        assert result.outcome in ("created", "updated"), result

    def patch() -> None:
        number = next(numbers)
        (result,) = client.update_records("cost", [Patch(str(number % records), set_attributes={"price": -number})])
        assert result.outcome == "updated", result

    def item(name: str, url: str) -> dict[str, str]:
        return {"id": name, "title": "shoe", "image_link": url, "price": f"{next(numbers)} EUR"}

    def push(pushed: dict[str, str], outcome: str) -> None:
        found = client.push_item("feed", pushed)
        assert found.outcome == outcome, found

    urls = list(itertools.islice(catalogue.urls, ITEMS))
    same = item("same", next(catalogue.urls))
    for pushed in (same, *(item(f"item-{n}", url) for n, url in enumerate(urls))):
        push(pushed, "created")

    def changed() -> dict[str, str]:
        place = next(numbers) % ITEMS
        return item(f"item-{place}", urls[place])

    return {
        "insert, same vector": lambda: insert(record_id="7", vector=vectors[7].tobytes()),
        "insert, same picture": lambda: insert(record_id="pictured", image=picture),
        "update of an attribute": patch,
        "push": lambda: push(changed(), "updated"),
        "push by signed webhook": lambda: webhook.push(changed()),
        "push of what is there": lambda: push(same, "unchanged"),
        "insert of a new picture by URL": lambda: insert(record_id=f"url-{next(numbers)}", url=next(catalogue.urls)),
        "push of a new item with a picture": lambda: push(
            item(f"new-{next(numbers)}", next(catalogue.urls)), "created"
        ),
    }


def main() -> None:
    """Measures, prints, writes bench/results/pushes.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    os.environ.update(FETCHING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "shop")
        pictures = [p.path for p in plan_insert([], folder / "shop" / TABLE_NAME)]
        with (
            shop(folder / "shop") as address,
            running_server(folder, "127.0.0.1:0", "127.0.0.1:0") as (target, process),
            Client(target, demo_key(folder)) as client,
        ):
            paths = itertools.cycle(p.relative_to(folder / "shop") for p in pictures)
            catalogue = Catalogue(pictures, (f"{address}/{path}?{n}" for n, path in enumerate(paths)))
            calls = calls_of(client, http_address(folder / "server.log"), catalogue, chosen.records)
            found = costs(psutil.Process(process.pid), calls, rounds=chosen.rounds, seconds=SECONDS)
    print("\n".join(markdown(found, PLAIN)))
    print(write_result("pushes", {"records": chosen.records, "rounds": chosen.rounds, "calls": found}))


if __name__ == "__main__":
    main()
