"""Clients that occupy the HTTP port: tenants and health are served meanwhile, and what was held is freed.

`make bench-hostile` repeats the same attacks and measures them.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench.hostile import over_grpc, over_http, searches
from bench.hostile_http import (
    MIB,
    Attack,
    Site,
    http_bodies,
    http_half_heads,
    http_idle,
    http_large_heads,
    http_pipelines,
    http_slow_readers,
    http_trickled_bodies,
    http_wrong_keys,
)
from tests.e2e.load.test_hostile_clients import health, metrics, with_large_records
from tests.support.servers.hostile import resident_bytes
from tests.support.servers.server import Server, share, start_server

SHORT = {
    "AFTERIMAGE_HTTP_HEAD_TIMEOUT_S": "0.7", "AFTERIMAGE_MESSAGE_TIMEOUT_S": "1", "AFTERIMAGE_SEND_TIMEOUT_S": "0.3",
    "AFTERIMAGE_MAX_HTTP_CONNECTIONS_PER_ADDRESS": "100", "AFTERIMAGE_MAX_FAILED_AUTHS_PER_S": "1",
    "AFTERIMAGE_MAX_IN_FLIGHT_BYTES": str(256 * MIB), "AFTERIMAGE_KEYLESS_BLOCK_S": "0",
}  # fmt: skip
MIB_MORE = 250  # at most, during an attack
FEW = 20  # descriptors and connections of the tenant, and of what a server opens by itself

# Each with the metric that counts what was done about it; whoever sends ahead and does not read only stops himself.
ATTACKS: dict[str, tuple[Attack, str]] = {
    "idle": (partial(http_idle, count=150, seconds=0.4), 'http_connections_closed_total{limit="address"}'),
    "half heads": (partial(http_half_heads, count=50, seconds=1.0), 'http_connections_closed_total{limit="late"}'),
    "large heads": (partial(http_large_heads, count=20), 'http_connections_closed_total{limit="head"}'),
    "bodies": (partial(http_bodies, count=40), 'failed_authentications_total{reason="KEY_MISSING"}'),
    "trickled bodies": (
        partial(http_trickled_bodies, count=60, seconds=1.0), 'failed_authentications_total{reason="KEY_MISSING"}',
    ),
    "pipelines": (partial(http_pipelines, count=10, ahead=200), ""),
    "wrong keys": (partial(http_wrong_keys, count=60), 'failed_authentications_total{reason="KEY_INVALID"}'),
    # While others search, their pages are built one after the other, so that hardly any is there to be left unread.
    "slow readers": (partial(http_slow_readers, count=40, seconds=2.0), ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with low limits, a tenant that searches, and one whose large pages nobody reads."""
    running = share(start_server(tmp_path_factory.mktemp("attacked"), environment=SHORT))
    with running.client(running.key("good")) as client:
        client.create_collection("own")
    with running.client(running.key("hostile")) as client:
        with_large_records(client, 100, "own")
    yield running
    assert running.stop() == 0


def value(server: Server, name: str) -> float:
    """A metric; 0 if it was never counted."""
    lines = [line for line in metrics(server).splitlines() if line.startswith(f"afterimage_{name} ")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def served(server: Server) -> int:
    """Searches over both transports, and asks for health; returns how many searches were answered."""
    key = server.key("good")
    with server.client(key) as client:
        done = len(searches([over_grpc(client), over_http(server.http, key)], 0.3))
    with urllib.request.urlopen(f"http://{server.http}/healthz", timeout=20) as answer:
        assert answer.status == 200
    return done


@pytest.mark.parametrize("name", ATTACKS)
async def test_tenants_and_health_are_served_and_what_was_held_is_freed(attacked: Server, name: str) -> None:
    attack, metric = ATTACKS[name]
    host, _, port = attacked.http.rpartition(":")
    process, before = psutil.Process(attacked.process.pid), resident_bytes(attacked.process.pid)
    files, counted = process.num_fds(), value(attacked, metric)
    site = Site(host, int(port), attacked.key("hostile"))

    async def rounds() -> int:
        """On a busy machine one may be over before anything is done about it."""
        made = await attack(site)
        async with asyncio.timeout(90):
            while metric and value(attacked, metric) <= counted:
                made += await attack(site)
        return made

    attacking = asyncio.create_task(rounds())
    while not attacking.done():
        assert await asyncio.to_thread(served, attacked)
        assert await health(attacked.target)
        assert resident_bytes(process.pid) - before < MIB_MORE * MIB
        assert value(attacked, "http_connections") <= 100 + FEW
    assert await attacking
    async with asyncio.timeout(30):
        while process.num_fds() > files + FEW or value(attacked, "in_flight_bytes"):
            await asyncio.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are a part of Linux")
async def test_an_address_that_comes_again_and_again_without_a_key_is_ignored(tmp_path: Path) -> None:
    running = start_server(tmp_path, environment={"AFTERIMAGE_KEYLESS_BLOCK_S": "600"})
    with running.client(running.key("good")) as client:
        client.create_collection("own")
    host, _, port = running.http.rpartition(":")
    site = Site(host, int(port), "")
    async with asyncio.timeout(90):
        while not await asyncio.to_thread(value, running, "blocked_addresses"):
            await http_wrong_keys(site, count=100)
    assert await http_idle(site, count=1, seconds=0) == 0  # its connections do not come about
    assert await asyncio.to_thread(served, running)  # those of others do
    assert await health(running.target)
    assert running.stop() == 0
