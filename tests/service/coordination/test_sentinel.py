"""Redis behind sentinels: a master, a replica, and changes of the master."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.coordination.client import Coordinator
from service.coordination.connect import connect, disconnect
from service.errors import SettingError
from tests.support.servers.redis_server import RedisServer, watched_pair


@dataclass
class Watched:
    """Two servers, and the URL of the sentinel that watches them."""

    master: RedisServer
    replica: RedisServer
    url: str


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Watched]:
    with watched_pair(tmp_path) as (master, replica, url):
        yield Watched(master, replica, url)


async def test_the_master_is_followed_to_where_it_moves(pair: Watched) -> None:
    coordinator = Coordinator(pair.url)
    assert (await coordinator.check()).maxmemory_policy == "noeviction"
    board = coordinator.board("server")
    await board.set_due("t/s", 5)
    while pair.replica.connection().zcard("{afterimage}:due:server") != 1:
        await asyncio.sleep(0.05)
    pair.master.stop()
    async with asyncio.timeout(60):
        while not await coordinator.healthy():
            await asyncio.sleep(0.05)
    assert await board.due_times() == {"t/s": 5}
    await board.set_due("t/s", 6)
    assert pair.replica.connection().zscore("{afterimage}:due:server", "t/s") == 6
    await coordinator.close()


@pytest.mark.parametrize(
    "url", ["sentinel://", "sentinel://host:26379", "sentinel://host:port/name", "sentinel://host/name/database"]
)
def test_a_url_that_names_no_sentinel_or_no_master_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="redis_url"):
        connect(url)


async def test_user_password_and_options_are_for_the_master() -> None:
    found = connect("sentinel+tls://me:p%40ss@one,two:5000/catalogue/3?ssl_ca_certs=/ca.pem")
    pool: Any = found.connection_pool  # a SentinelConnectionPool
    given = pool.connection_kwargs
    assert (given["username"], given["password"], given["db"]) == ("me", "p@ss", 3)
    assert given["ssl_ca_certs"] == "/ca.pem"
    sentinels = [s.connection_pool.connection_kwargs for s in pool.sentinel_manager.sentinels]
    assert [(s["host"], s["port"]) for s in sentinels] == [("one", 26379), ("two", 5000)]
    assert {s.get("password") for s in sentinels} == {None}
    await disconnect(found)
