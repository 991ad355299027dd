import asyncio

import pytest

from service.encoder.inflight import Inflight
from service.errors import Reason, ServiceError


class Work:
    """Counts its executions, and waits until it is released."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return self.started


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_equal_work_is_done_once_and_everyone_gets_the_result() -> None:
    inflight, work = Inflight[int](), Work()
    callers = [asyncio.create_task(inflight.once("k", work)) for _ in range(5)]
    other = asyncio.create_task(inflight.once("other", work))
    await settled()
    work.go.set()
    assert await asyncio.gather(*callers) == [2] * 5  # counted after both had begun
    await other
    assert work.started == 2
    assert len(inflight) == 0


async def test_after_it_has_ended_the_work_is_done_anew() -> None:
    inflight, work = Inflight[int](), Work()
    work.go.set()
    assert [await inflight.once("k", work), await inflight.once("k", work)] == [1, 2]


async def test_it_goes_on_while_one_caller_is_left_and_stops_with_the_last() -> None:
    inflight, work = Inflight[int](), Work()
    first, second = (asyncio.create_task(inflight.once("k", work)) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    assert work.cancelled == 0
    second.cancel()
    await settled()
    assert (work.cancelled, len(inflight)) == (1, 0)


async def test_a_failure_is_told_to_each_caller_as_an_error_of_its_own() -> None:
    inflight, work = Inflight[int](), Work()
    work.error = ServiceError(Reason.OVERLOADED, "full", retry_delay_s=2.0)
    callers = [asyncio.create_task(inflight.once("k", work)) for _ in range(2)]
    await settled()
    work.go.set()
    one, two = await asyncio.gather(*callers, return_exceptions=True)
    assert one is not two
    assert isinstance(one, ServiceError)
    assert (one.reason, one.message, one.retry_delay_s) == (Reason.OVERLOADED, "full", 2.0)


async def test_a_caller_who_comes_while_the_cancelled_work_ends_starts_anew() -> None:
    inflight, work = Inflight[int](), Work()
    first = asyncio.create_task(inflight.once("k", work))
    await settled()
    first.cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert await inflight.once("k", work) == 2
    with pytest.raises(asyncio.CancelledError):
        await first
