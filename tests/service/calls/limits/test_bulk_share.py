"""Large answers that give way to the searches of others."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from service.calls.limits import bulk_share
from service.calls.limits.bulk_share import BulkShare
from tests.support.manual_clock import ManualClock


class Clock(ManualClock):
    """Stands still, but for those who sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._sleep = asyncio.sleep
        monkeypatch.setattr("service.calls.limits.bulk_share.asyncio.sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await self._sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def make(share: BulkShare, owner: str, seconds: float) -> None:
    async with share.paced(owner) as work:
        work.seconds += seconds


async def test_while_others_search_large_answers_of_one_owner_get_a_small_part_of_the_time(clock: Clock) -> None:
    share, began = BulkShare(clock), clock.elapsed
    with share.searching("good"):
        await asyncio.gather(*(make(share, "hog", 0.01) for _ in range(11)))
    sending = 2  # takes as long again
    assert sending * 10 * 0.01 / (clock.elapsed - began) == pytest.approx(0.03, rel=0.1)


async def test_while_nobody_else_searches_large_answers_do_not_wait(clock: Clock) -> None:
    share, began = BulkShare(clock), clock.elapsed
    with share.searching("hog"):
        for _ in range(10):
            await make(share, "hog", 1.0)
    assert clock.elapsed == began


async def test_an_owner_rests_no_longer_than_others_search(clock: Clock) -> None:
    share, began = BulkShare(clock), clock.elapsed
    with contextlib.ExitStack() as search:
        search.enter_context(share.searching("good"))
        await make(share, "hog", 10.0)
        waiting = asyncio.create_task(make(share, "hog", 0.0))
        for _ in range(5):
            await clock._sleep(0)
        assert not waiting.done()
    await waiting
    assert clock.elapsed - began < 1.0


async def test_a_caller_that_searches_again_and_again_is_given_way_to_between_two_searches(clock: Clock) -> None:
    share, began = BulkShare(clock), clock.elapsed
    with share.searching("good"):
        await make(share, "hog", 0.001)
    with share.searching("hog"):  # its own searches do not hide that another's has just ended
        pass
    waiting = asyncio.create_task(make(share, "hog", 0.0))
    await clock._sleep(0)
    assert not waiting.done()
    await waiting
    assert clock.elapsed - began >= 0.03


async def test_answers_that_arrived_before_a_search_give_way_to_it_too(clock: Clock) -> None:
    share, built, finish = BulkShare(clock), list[float](), asyncio.Event()

    async def page() -> None:
        async with share.paced("hog") as work:
            built.append(clock.elapsed)
            await finish.wait()
            work.seconds += 0.01

    pages = [asyncio.create_task(page()) for _ in range(20)]
    await clock._sleep(0)
    at_once = len(built)
    assert 1 <= at_once <= 3
    with share.searching("good"):
        finish.set()
        await asyncio.gather(*pages)
    rested = clock.elapsed - built[0]
    assert 2 * 0.01 * (20 - at_once) / rested == pytest.approx(0.03, rel=0.1)


async def test_a_searcher_that_is_kept_from_its_next_search_for_a_tenth_of_a_second_is_still_given_way_to(
    clock: Clock,
) -> None:
    share = BulkShare(clock)
    with share.searching("good"):
        await make(share, "hog", 1.0)
    clock.elapsed += 0.1
    waiting = asyncio.create_task(make(share, "hog", 0.0))
    await clock._sleep(0)
    assert not waiting.done()
    await waiting


async def test_one_owner_does_not_wait_for_what_another_took_and_a_cancelled_one_holds_nothing(clock: Clock) -> None:
    share = BulkShare(clock)
    with share.searching("good"):
        await make(share, "hog", 100.0)
        waiting = [asyncio.create_task(make(share, "hog", 0.0)) for _ in range(3)]
        await clock._sleep(0)
        await asyncio.wait_for(make(share, "other", 0.1), 5)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        clock.elapsed += 10_000
        await asyncio.wait_for(make(share, "hog", 0.0), 5)
    clock.elapsed += 1000
    await make(share, "hog", 0.0)
    await make(share, "other", 0.0)
    assert not share._owners  # nothing is kept of owners that rest no more


async def test_the_processor_time_of_a_function_is_counted_on_the_thread_that_runs_it() -> None:
    work = bulk_share.Work()

    def compute() -> int:
        return sum(range(300_000))

    assert await asyncio.to_thread(work.timed(compute)) == sum(range(300_000))
    assert work.seconds > 0
    before = work.seconds
    with pytest.raises(ZeroDivisionError):
        work.timed(lambda: 1 / 0)()
    assert work.seconds > before
