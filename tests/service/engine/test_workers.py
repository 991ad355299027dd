"""The threads of the service: they inherit the context of the task, and one kind cannot starve another."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from service.engine.workers import Workers
from service.runtime import call_facts
from service.runtime.deadline import remaining_s, set_deadline


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(1)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["read", "write", "objects", "upkeep", "hash"])
async def test_a_thread_sees_the_request_id_and_the_deadline_of_the_task_that_asked(
    workers: Workers, kind: str
) -> None:
    run = getattr(workers, kind) if kind != "hash" else lambda work: workers.hash(1 << 20, work)

    async def call(number: int) -> None:
        call_facts.begin(request_id=f"r{number}")
        set_deadline(1000.0 + number)
        thread, facts, left_s = await run(lambda: (threading.current_thread(), dict(call_facts.facts()), remaining_s()))
        assert thread is not threading.main_thread()
        assert facts == {"request_id": f"r{number}"}
        assert 900 + number < left_s <= 1000 + number

    await asyncio.gather(*(asyncio.create_task(call(n)) for n in range(20)))


async def test_what_a_thread_sets_stays_in_that_piece_of_work(workers: Workers) -> None:
    call_facts.begin(request_id="mine")
    await workers.read(lambda: call_facts.begin(request_id="of the thread"))
    assert call_facts.facts() == {"request_id": "mine"}
    assert await workers.read(lambda: dict(call_facts.facts())) == {"request_id": "mine"}


async def test_work_that_waits_for_one_kind_of_thread_holds_up_no_other(workers: Workers) -> None:
    released = threading.Event()
    stuck = [asyncio.create_task(workers.upkeep(released.wait, 60)) for _ in range(50)]
    try:
        assert await asyncio.wait_for(workers.read(lambda: "read"), 30) == "read"
        assert await asyncio.wait_for(workers.write(lambda: "written"), 30) == "written"
    finally:
        released.set()
        await asyncio.gather(*stuck)
