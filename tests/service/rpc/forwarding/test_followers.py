"""What the writer has query processes forget: it knows when each has, also after one of them was started again."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import Reason, ServiceError
from service.rpc.forwarding.followers import Followers, Standing


class Process:
    """A query process that does what it is told, when the test says so."""

    def __init__(self, number: int, followers: Followers) -> None:
        self.number, self.followers, self.done = number, followers, Standing()

    async def ask(self) -> Standing:
        _, wanted = Standing.unpack(await self.followers.report(self.done.pack(self.number)))
        return wanted

    async def obey(self) -> None:
        self.done = await self.ask()


async def beside(process: Process) -> asyncio.Task[None]:
    """Tells what was done, and waits for more."""
    task = asyncio.create_task(process.obey())
    await asyncio.sleep(0)
    return task


def test_a_standing_is_read_as_it_was_packed() -> None:
    standing = Standing("w", 3, ("a", "b"))
    assert Standing.unpack(standing.pack(2)) == (2, standing)


def test_forgetting_ends_once_every_process_has_forgotten_what_was_erased_before() -> None:
    async def run() -> None:
        followers = Followers([1, 2])
        first, second = Process(1, followers), Process(2, followers)
        await first.obey()
        await second.obey()
        waiting = [await beside(first), await beside(second)]
        forgetting = asyncio.create_task(followers.forget())
        await asyncio.gather(*waiting)
        assert [p.done.forgotten for p in (first, second)] == [1, 1]
        telling = [await beside(first)]
        assert not forgetting.done()
        telling.append(await beside(second))
        await forgetting
        for task in telling:
            task.cancel()

    asyncio.run(run())


def test_a_process_that_was_started_again_must_forget_too_and_the_error_names_it() -> None:
    async def run() -> None:
        followers = Followers([1, 2], forget_s=0.05)
        one, two = Process(1, followers), Process(2, followers)
        for process in (one, two):
            await process.obey()
        forgetting = asyncio.create_task(followers.forget())
        await asyncio.sleep(0)
        await one.obey()
        telling = await beside(one)
        two = Process(2, followers)
        again = await beside(two)
        with pytest.raises(ServiceError, match=r": query-2; try again$") as caught:
            await forgetting
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        telling.cancel()
        await again

    asyncio.run(run())


def test_what_was_told_to_another_run_of_the_writer_does_not_count() -> None:
    async def run() -> None:
        followers = Followers([1], forget_s=0.05)
        process = Process(1, followers)
        process.done = Standing("an earlier one", 99)
        assert await process.ask() == Standing(followers._wanted.writer, 0)
        with pytest.raises(ServiceError):
            await followers.forget()

    asyncio.run(run())


def test_tenants_that_are_stopped_are_told_at_once_and_those_that_are_served_again_too() -> None:
    async def run() -> None:
        followers = Followers([1])
        process = Process(1, followers)
        await process.obey()
        for stopped in ({"b", "a"}, {"a"}, set[str]()):
            waiting = await beside(process)
            await followers.stop(stopped)
            await waiting
            assert process.done.stopped == tuple(sorted(stopped))

    asyncio.run(run())


def test_without_query_processes_nothing_is_waited_for() -> None:
    asyncio.run(Followers(()).forget())
