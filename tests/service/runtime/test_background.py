import asyncio

from service.runtime.background import end_task


async def test_a_task_that_swallows_cancellations_is_ended_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(end_task(task), 10)
    assert task.cancelled()
    assert swallowed == 3


async def test_a_task_that_failed_has_ended() -> None:
    async def failing() -> None:
        raise ValueError

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await end_task(task)
    assert isinstance(task.exception(), ValueError)
