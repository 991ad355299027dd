import asyncio
import gc
import time
import warnings
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from service.runtime.concurrency import gather_bounded, map_yielding


async def test_results_come_in_order_and_few_run_at_a_time() -> None:
    running, most = 0, 0

    async def piece(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await gather_bounded((piece(n) for n in range(50)), 4) == list(range(50))
    assert most == 4
    assert await gather_bounded((piece(n) for n in range(0)), 4) == []


async def test_a_failure_or_a_cancellation_leaves_no_piece_unawaited_and_none_running() -> None:
    started: list[int] = []
    ended: list[int] = []

    async def piece(number: int) -> None:
        started.append(number)
        try:
            if number == 2:
                raise OSError("the disk is full")
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match="full"):
            await gather_bounded((piece(n) for n in range(100)), 4)
        assert started == ended or sorted(started) == sorted(ended)
        whole = asyncio.create_task(gather_bounded((piece(n) for n in range(3, 100)), 4))
        await asyncio.sleep(0)
        whole.cancel()
        await asyncio.wait({whole})
        gc.collect()  # a coroutine that was never awaited warns when it goes
    assert sorted(started) == sorted(ended)


async def test_what_a_failed_piece_held_is_gone_at_once() -> None:
    class Picture:
        pass

    seen: list[weakref.ref[Picture]] = []

    async def piece() -> None:
        picture = Picture()
        seen.append(weakref.ref(picture))
        raise OSError

    gc.disable()
    try:
        with pytest.raises(OSError):
            await gather_bounded((piece() for _ in range(3)), 2)
        assert [s() for s in seen] == [None] * len(seen)
    finally:
        gc.enable()


async def turns_of_others(work: Coroutine[Any, Any, object]) -> int:
    """How often another task has the event loop while `work` goes on."""
    turns, task = 0, asyncio.create_task(work)
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


def compute(number: int) -> int:
    """Half a millisecond of the processor."""
    until = time.perf_counter() + 0.0005
    while time.perf_counter() < until:
        pass
    return number


async def test_others_have_the_event_loop_while_pieces_have_nothing_to_wait_for() -> None:
    async def piece(number: int) -> int:
        return compute(number)

    assert await turns_of_others(gather_bounded((piece(n) for n in range(100)), 4)) > 5
    assert await turns_of_others(map_yielding(compute, range(100))) > 20
    assert await map_yielding(compute, range(5)) == list(range(5))
