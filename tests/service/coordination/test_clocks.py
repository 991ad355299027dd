"""Redis's clock is set by hours or years: nobody is locked out, and no run starts repeatedly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from service.coordination import keys
from service.coordination.client import Coordinator
from service.coordination.rates import Rates
from service.coordination.run_board import RunBoard, RunRef
from tests.support.clocks import SetClock, redis_with_a_clock
from tests.support.servers.redis_server import RedisServer

HOUR_S, DAY_S = 3600.0, 86_400.0
YEARS_S = 5 * 365 * DAY_S
JUMPS = [-HOUR_S, HOUR_S, -DAY_S, DAY_S, -YEARS_S, YEARS_S]
REF = RunRef("t", "=shoes", "1")


@pytest.fixture(scope="module")
def redis_and_clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, SetClock]]:
    with redis_with_a_clock(tmp_path_factory.mktemp("clock")) as both:
        yield both


@pytest.fixture
def clock(redis_and_clock: tuple[RedisServer, SetClock]) -> SetClock:
    redis_and_clock[1].set(0)
    redis_and_clock[0].connection().flushall()
    return redis_and_clock[1]


@pytest.fixture
async def coordinator(redis_and_clock: tuple[RedisServer, SetClock], clock: SetClock) -> AsyncIterator[Coordinator]:
    made = Coordinator(redis_and_clock[0].url)
    yield made
    await made.close()


@pytest.fixture
def board(coordinator: Coordinator) -> RunBoard:
    return coordinator.board("server")


async def passed(rates: Rates, per_second: float, calls: int) -> int:
    """How many calls pass if each refused one waits as long as requested, and a little more."""
    found = 0
    for _ in range(calls):
        wait_s = await rates.wait_s("key", per_second)
        found += wait_s == 0
        assert wait_s <= 1 / per_second + 0.001, "nobody waits longer than for one request"
        await asyncio.sleep(wait_s * 1.01)
    return found


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_rated_key_goes_on_at_its_rate_whatever_the_clock_does(
    coordinator: Coordinator, clock: SetClock, jump: float
) -> None:
    assert await passed(coordinator.rates, 20, 25) >= 20
    clock.set(jump)
    assert await passed(coordinator.rates, 20, 12) >= 6
    clock.set(0)
    assert await passed(coordinator.rates, 20, 12) >= 6


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_quota_of_a_day_ends_within_a_day(coordinator: Coordinator, clock: SetClock, jump: float) -> None:
    rates = coordinator.rates
    assert [await rates.count_today("acme", 2) for _ in range(2)] == [0, 0]
    clock.set(jump)
    waits = [await rates.count_today("acme", 2) for _ in range(3)]
    assert 0 < waits[-1] <= DAY_S
    clock.set(0)
    assert 0 < await rates.count_today("acme", 2) <= DAY_S


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_run_whose_worker_died_is_taken_again_once_a_lease_has_passed(
    board: RunBoard, clock: SetClock, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LEASE_MS", 200)
    await board.submit(REF)
    first = await board.take("dead")
    assert first is not None
    clock.set(jump)
    async with asyncio.timeout(20):  # as the keeper does, every second
        while (again := await board.take("alive")) is None:
            await board.reap()
            await asyncio.sleep(0.02)
    assert again[0] == REF
    assert again[1] > first[1]
    assert not await board.renew(REF, "dead", {}), "who had it before has lost it"
    clock.set(0)
    assert await board.renew(REF, "alive", {}) or await board.take("alive") is None


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_run_that_is_to_wait_is_not_kept_waiting_longer_than_any_may(
    board: RunBoard, clock: SetClock, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LONGEST_DELAY_MS", 200)
    await board.submit(REF, delay_s=0.1)
    clock.set(jump)
    async with asyncio.timeout(20):
        while await board.take("a") is None:
            await board.reap()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("jump", JUMPS)
async def test_what_is_due_is_decided_by_the_servers_clock_alone(board: RunBoard, clock: SetClock, jump: float) -> None:
    await board.set_due("t/past", 1000)
    await board.set_due("t/future", 3000)
    clock.set(jump)
    assert await board.due(2000) == ["t/past"]
