"""Work within its time: up to its first wait without a timer, the rest with one."""

from __future__ import annotations

import asyncio
import random

import pytest

from service.runtime.deadline import within


async def test_work_that_waits_for_nothing_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inner() -> int:
        return 7

    async def work() -> int:
        return await inner()

    monkeypatch.setattr(asyncio, "timeout_at", None)  # cannot be called
    assert await within(1.0, work()) == 7
    with pytest.raises(TypeError):
        await within(1.0, asyncio.sleep(0))


async def test_work_gives_and_raises_what_it_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(4)

    async def work(steps: list[str]) -> list[object]:
        seen: list[object] = []
        for step in steps:
            if step == "turn":
                await asyncio.sleep(0)
            elif step == "result":
                seen.append(await asyncio.create_task(asyncio.sleep(0, result=len(seen))))
            elif step == "caught":
                try:
                    await asyncio.gather(asyncio.sleep(0), failing())
                except LookupError as error:
                    seen.append(str(error))
            elif step == "nested":
                async with asyncio.timeout(5):
                    seen.append(await asyncio.to_thread(len, steps))
            else:
                raise LookupError(len(seen))
        return seen

    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("inside")

    for _ in range(60):
        steps = drawn.choices(["turn", "result", "caught", "nested", "fails"], [4, 4, 2, 1, 1], k=drawn.randrange(6))
        outcomes = []
        for made in (work(steps), within(30.0, work(steps)), within(None, work(steps))):
            try:
                outcomes.append(await made)
            except LookupError as error:
                outcomes.append([error.args])
        assert outcomes[0] == outcomes[1] == outcomes[2]


async def test_time_that_is_over_ends_work_where_it_waits() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    assert ended == [True]


async def test_a_cancelled_task_cancels_its_work_where_it_waits() -> None:
    ended, waits = [], asyncio.Event()

    async def work() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(True)
            raise

    task = asyncio.create_task(within(30.0, work()))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
