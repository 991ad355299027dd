"""Rate limits with a real Redis, over several servers, and without Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from tests.service.coordination.test_redis import embedded  # noqa: F401 - a fixture


@pytest.fixture
async def servers(embedded: EmbeddedRedis) -> AsyncIterator[tuple[Coordinator, Coordinator]]:  # noqa: F811
    one, other = Coordinator(embedded.url), Coordinator(embedded.url)
    yield one, other
    await one.close()
    await other.close()


async def test_two_servers_count_together(servers: tuple[Coordinator, Coordinator]) -> None:
    one, other = servers
    waits = [await server.rates.wait_s("acme", 0.5) for server in (one, other, one)]
    assert waits[0] == 0
    assert all(1.5 < wait <= 2.0 for wait in waits[1:])
    assert await one.rates.wait_s("another", 0.5) == 0


async def test_as_many_as_a_second_allows_may_come_at_once(servers: tuple[Coordinator, Coordinator]) -> None:
    one, _ = servers
    passed = [await one.rates.wait_s("acme", 20) for _ in range(30)]
    assert passed[:20] == [0.0] * 20
    assert sum(wait > 0 for wait in passed) >= 5


async def test_what_waited_as_long_as_it_was_told_passes(servers: tuple[Coordinator, Coordinator]) -> None:
    one, _ = servers
    name = "acme"
    assert await one.rates.wait_s(name, 1) == 0
    wait = await one.rates.wait_s(name, 1)
    due = float(await one._redis.get("{afterimage}:rate:acme") or "nan")
    await one._redis.set("{afterimage}:rate:acme", due - wait * 1e6)  # as if that time had gone by
    assert await one.rates.wait_s(name, 1) == 0


async def test_without_redis_a_server_counts_for_itself(
    servers: tuple[Coordinator, Coordinator],
    embedded: EmbeddedRedis,  # noqa: F811
) -> None:
    one, other = servers
    await embedded.stop()
    waits = [await server.rates.wait_s("acme", 0.5) for server in (one, one, other)]
    assert (waits[0], waits[2]) == (0, 0)
    assert 1.5 < waits[1] <= 2.0


async def test_what_is_counted_for_a_day_is_counted_by_all_servers(servers: tuple[Coordinator, Coordinator]) -> None:
    one, other = servers
    waits = [await server.rates.count_today("acme", 2) for server in (one, other, one, other)]
    assert waits[:2] == [0, 0]
    assert all(0 < wait <= 86_400 for wait in waits[2:])
    assert await other.rates.counted_today("acme") == 2
    assert await other.rates.count_today("another", 2) == 0
    key = (await one._redis.keys("*today*"))[0]
    assert 86_400 < await one._redis.ttl(key) <= 172_800


async def test_without_redis_a_server_counts_the_day_for_itself(embedded: EmbeddedRedis) -> None:  # noqa: F811
    alone = Coordinator("unix:///none.sock")
    waits = [await alone.rates.count_today("acme", 2) for _ in range(3)]
    assert waits[:2] == [0, 0]
    assert 0 < waits[2] <= 86_400
    assert await alone.rates.counted_today("acme") == 2
    await alone.close()
