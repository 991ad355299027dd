"""Owners that take turns."""

from __future__ import annotations

import asyncio
import random

from service.calls.limits.turns import Turns


async def test_one_owner_leaves_a_place_and_another_does_not_wait_behind_what_it_queued() -> None:
    turns, order = Turns(3), []
    go_on = asyncio.Event()

    async def work(owner: str) -> None:
        async with turns.turn(owner):
            order.append(owner)
            await go_on.wait()

    hog = [asyncio.create_task(work("hog")) for _ in range(10)]
    await asyncio.sleep(0)
    other = asyncio.create_task(work("other"))
    await asyncio.sleep(0)
    assert order == ["hog", "hog", "other"]
    late = asyncio.create_task(work("late"))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*hog, other, late)
    assert order.index("late") <= 4
    assert order.count("hog") == 10


async def test_whatever_is_cancelled_places_are_never_lost_and_never_given_twice() -> None:
    turns, running, most = Turns(3), 0, 0

    async def work(owner: str) -> None:
        nonlocal running, most
        async with turns.turn(owner):
            running += 1
            most = max(most, running)
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                running -= 1

    rng = random.Random(7)
    for _ in range(60):
        tasks = [asyncio.create_task(work(rng.choice("abc"))) for _ in range(rng.randrange(1, 12))]
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
            rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert running == 0
    async with asyncio.timeout(5), turns.turn("a"), turns.turn("a"), turns.turn("b"):
        pass


async def test_owners_that_wait_have_their_turns_one_after_another_and_those_that_gave_up_are_passed_over() -> None:
    turns, order = Turns(2), []

    async def work(owner: str) -> None:
        async with turns.turn(owner):
            order.append(owner)
            await asyncio.sleep(0)

    async with turns.turn("x"), turns.turn("y"):
        tasks = []
        for owner in ("a", "a", "a", "b", "b", "c"):
            tasks.append(asyncio.create_task(work(owner)))
            await asyncio.sleep(0)
        assert order == []
        tasks[1].cancel()
        tasks[3].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(order) == ["a", "a", "b", "c"]
    assert set(order[:3]) == {"a", "b", "c"}  # the second of `a` waits until each has had a turn
    assert not turns._running
    assert not turns._waiting


async def test_with_two_places_one_owner_has_one_at_a_time() -> None:
    turns = Turns(2)
    async with turns.turn("a"):
        waiting = asyncio.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        async with turns.turn("b"):
            pass
        assert not waiting.done()
    async with asyncio.timeout(5):
        await waiting


async def test_an_owner_with_all_the_places_that_it_may_have_gets_no_further_one_that_another_leaves() -> None:
    turns, ends = Turns(3), {name: asyncio.Event() for name in ("hog", "other")}
    began: list[str] = []

    async def work(owner: str) -> None:
        async with turns.turn(owner):
            began.append(owner)
            await ends[owner].wait()

    tasks = [asyncio.create_task(work(owner)) for owner in ("hog", "hog", "other", "hog")]
    await asyncio.sleep(0)
    ends["other"].set()
    await tasks[2]
    assert began == ["hog", "hog", "other"]
    async with asyncio.timeout(5), turns.turn("late"):
        pass
    ends["hog"].set()
    await asyncio.gather(*tasks)
    assert began.count("hog") == 3
