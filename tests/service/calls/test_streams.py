"""Streams that end in order, whatever they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from service.calls import streams
from service.calls.streams import limited


class Source:
    """Answers that are made in a task group, as an import's are; `ended` is set once it is over."""

    def __init__(self, count: int, *, hang: bool = False, fail: bool = False) -> None:
        self.count, self.hang, self.fail = count, hang, fail
        self.ended = asyncio.Event()

    async def answers(self) -> AsyncGenerator[int, None]:
        try:
            async with asyncio.TaskGroup():
                for number in range(self.count):
                    await asyncio.sleep(0)
                    yield number
                if self.hang:
                    await asyncio.Event().wait()
                if self.fail:
                    raise ValueError("broken")
        finally:
            self.ended.set()


async def fine() -> None:
    """A key that works."""


async def collected(
    source: Source, check: Callable[[], Awaitable[None]] = fine, seconds: float | None = None
) -> list[int]:
    return [n async for n in limited(source.answers(), check, seconds)]


async def test_all_answers_come_in_order() -> None:
    source = Source(100)
    assert await collected(source) == list(range(100))
    assert source.ended.is_set()


async def test_what_goes_wrong_is_raised_where_the_answers_are_read() -> None:
    with pytest.raises(ExceptionGroup):
        await collected(Source(3, fail=True))


async def test_a_deadline_ends_a_stream_that_waits() -> None:
    source = Source(3, hang=True)
    with pytest.raises(TimeoutError):
        await collected(source, seconds=0.05)
    assert source.ended.is_set()


@pytest.mark.parametrize("source", [(3, True), (10**9, False)], ids=["waits", "never waits long"])
async def test_a_key_that_stops_working_ends_a_stream(
    monkeypatch: pytest.MonkeyPatch, source: tuple[int, bool]
) -> None:
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.02)
    looked = 0

    async def check() -> None:
        nonlocal looked
        looked += 1
        if looked == 3:
            raise PermissionError

    made = Source(source[0], hang=source[1])
    with pytest.raises(PermissionError):
        await collected(made, check)
    assert made.ended.is_set()


async def test_a_reader_that_is_cancelled_while_it_sends_ends_the_source() -> None:
    source = Source(10**9)

    async def read() -> None:
        async for _ in limited(source.answers(), fine, None):
            await asyncio.Event().wait()  # as when a client takes nothing

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reader.cancel()
    async with asyncio.timeout(5):
        await source.ended.wait()
