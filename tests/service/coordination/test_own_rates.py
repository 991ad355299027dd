"""Rates that a server counts by itself while Redis is away, against the rule; and what it tells Redis."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from service.coordination.rates import Rates
from tests.support.manual_clock import ManualClock

DAY_S = 86_400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=20_000 * DAY_S + 100.5)


@pytest.fixture
def alone(clock: ManualClock, tmp_path: Any) -> Rates:
    """Rates whose Redis refuses everything at once, where a client would try for a while."""
    rates = Rates(Redis(unix_socket_path=str(tmp_path / "none.sock")), clock)

    async def refuse(**_: Any) -> None:
        raise ConnectionRefusedError

    rates._count = rates._count_today = rates._counted_today = refuse
    return rates


@pytest.mark.parametrize("rate", [0.3, 0.5, 1.0, 1.5, 2.5, 4.0, 7.9])
async def test_a_rate_is_its_number_a_second_and_as_many_at_once(alone: Rates, clock: ManualClock, rate: float) -> None:
    burst = max(1, math.ceil(rate))
    assert [await alone.wait_s("who", rate) for _ in range(burst)] == [0.0] * burst
    assert await alone.wait_s("who", rate) == pytest.approx(1 / rate, abs=1e-6)
    assert await alone.wait_s("other", rate) == 0.0
    clock.advance(0.5 / rate)
    assert await alone.wait_s("who", rate) == pytest.approx(0.5 / rate, abs=2e-6)
    clock.advance(0.5 / rate + 1e-6)
    assert await alone.wait_s("who", rate) == 0.0
    assert await alone.wait_s("who", rate) > 0
    clock.advance(1000)
    assert [await alone.wait_s("who", rate) for _ in range(burst + 1)] == [0.0] * burst + [
        pytest.approx(1 / rate, abs=1e-6)
    ]


async def test_a_lower_rate_counts_no_more_than_its_own_burst_ahead(alone: Rates, clock: ManualClock) -> None:
    for _ in range(3):
        await alone.wait_s("who", 0.1)
    assert await alone.wait_s("who", 0.1) == pytest.approx(10)
    assert await alone.wait_s("who", 10.0) == pytest.approx(0.1)  # of ten seconds ahead, one counts
    clock.advance(0.1 + 1e-6)
    assert await alone.wait_s("who", 10.0) == 0.0


async def test_it_counts_as_a_bucket_that_leaks(alone: Rates, clock: ManualClock) -> None:
    chance, rate, burst = random.Random(2), 2.5, 3
    held, at = 0.0, clock.elapsed_s()
    for _ in range(400):
        clock.advance(chance.choice([0.0, 0.1, 0.37, 0.9, 3.0]))
        held, at = max(0.0, held - (clock.elapsed_s() - at) * rate), clock.elapsed_s()
        wait = await alone.wait_s("who", rate)
        assert wait == pytest.approx(max(0.0, (held + 1 - burst) / rate), abs=1e-6)
        held += not wait


async def test_a_day_is_counted_until_midnight(alone: Rates, clock: ManualClock) -> None:
    assert [await alone.count_today("acme", 2) for _ in range(3)] == [0.0, 0.0, DAY_S - 100.5]
    assert await alone.count_today("other", 1) == 0.0
    assert await alone.count_today("nothing", 0) == DAY_S - 100.5
    assert [await alone.counted_today(who) for who in ("acme", "other", "nobody")] == [2, 1, 0]
    clock.advance(DAY_S - 101)
    assert await alone.count_today("acme", 2) == 0.5
    clock.advance(0.5)
    assert await alone.counted_today("acme") == 0
    assert await alone.count_today("acme", 2) == 0.0
    assert alone._own_today == {("acme", 20_001): 1}  # of yesterday nothing is remembered
    clock.advance(-DAY_S)  # somebody sets the clock back
    assert await alone.count_today("acme", 1) == 0.0
    assert alone._own_today == {("acme", 20_000): 1}


@pytest.mark.parametrize("day", [20_000, 20_001, 20_003])
async def test_the_wait_of_a_used_up_day_ends_at_the_next_midnight(alone: Rates, clock: ManualClock, day: int) -> None:
    clock.now = day * DAY_S + 300.0
    assert await alone.count_today("acme", 0) == DAY_S - 300.0


async def test_redis_is_told_the_interval_in_microseconds_and_the_burst(alone: Rates) -> None:
    told: list[Any] = []

    async def count(keys: list[str], args: list[Any]) -> int:
        told.append((keys, args))
        return 1_500_000

    alone._count = count
    for rate, burst in ((0.3, 1), (1.0, 1), (1.1, 2), (3.0, 3), (7.5, 8)):
        assert await alone.wait_s("who", rate) == 1.5
        assert told[-1] == (["{afterimage}:rate:who"], [1e6 / rate, burst])
