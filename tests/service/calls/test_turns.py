"""Owners that take turns."""

from __future__ import annotations

import asyncio
import random

from service.calls.turns import Turns


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
