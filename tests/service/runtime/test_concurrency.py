import asyncio
import gc
import warnings
import weakref

import pytest

from service.runtime.concurrency import few_at_a_time


async def test_results_come_in_order_and_few_run_at_a_time() -> None:
    running, most = 0, 0

    async def piece(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await few_at_a_time((piece(n) for n in range(50)), 4) == list(range(50))
    assert most == 4
    assert await few_at_a_time((piece(n) for n in range(0)), 4) == []


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
            await few_at_a_time((piece(n) for n in range(100)), 4)
        assert started == ended or sorted(started) == sorted(ended)
        whole = asyncio.create_task(few_at_a_time((piece(n) for n in range(3, 100)), 4))
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
            await few_at_a_time((piece() for _ in range(3)), 2)
        assert [s() for s in seen] == [None] * len(seen)
    finally:
        gc.enable()
