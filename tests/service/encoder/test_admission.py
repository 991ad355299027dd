import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from service.encoder.admission import Admission, AdmissionLimits, Visit
from service.encoder.fair_queue import Lane
from service.errors import Reason, ServiceError
from service.runtime.deadline import set_deadline


class Visitors:
    """Starts visits that last until they are released."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.entered: list[str] = []
        self._go: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def send(self, name: str, tenant: str = "a", lane: Lane = Lane.INSERT, size: int = 1) -> None:
        self._go[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._visit(name, Visit(tenant, lane, size)))
        await settled()

    async def let_go(self, name: str) -> None:
        self._go[name].set()
        await self.tasks[name]
        await settled()

    async def _visit(self, name: str, visit: Visit) -> None:
        async with self.admission.visit(visit):
            self.entered.append(name)
            await self._go[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def limits(**given: Any) -> AdmissionLimits:
    defaults: dict[str, Any] = {"max_pictures": 4, "max_bytes": 100, "search_wait_s": 60.0, "places": 1}
    return AdmissionLimits(**{**defaults, **given})


@contextlib.contextmanager
def refused(text: str) -> Iterator[None]:
    with pytest.raises(ServiceError, match=text) as caught:
        yield
    assert caught.value.reason is Reason.OVERLOADED
    assert caught.value.retry_delay_s is not None
    assert caught.value.retry_delay_s > 0


@pytest.fixture
async def visitors() -> AsyncIterator[Visitors]:
    made = Visitors(Admission(limits()))
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)
    assert made.admission.inside == 0


async def test_places_are_given_in_turns_and_searches_go_first() -> None:
    visitors = Visitors(Admission(limits(max_pictures=8)))
    for name, tenant, lane in (
        ("first", "a", Lane.INSERT), ("a2", "a", Lane.INSERT), ("b1", "b", Lane.INSERT), ("s", "a", Lane.SEARCH),
    ):  # fmt: skip
        await visitors.send(name, tenant, lane)
    for name in ("first", "s", "a2", "b1"):
        assert visitors.entered[-1] == name
        await visitors.let_go(name)


async def test_beyond_the_number_and_beyond_the_bytes_callers_are_refused_with_a_delay(visitors: Visitors) -> None:
    for number in range(4):
        await visitors.send(str(number))
    with refused("queue is full"):
        async with visitors.admission.visit(Visit("b", Lane.SEARCH, 1)):
            pass
    await visitors.let_go("0")
    with refused("max_queue_bytes"):
        async with visitors.admission.visit(Visit("b", Lane.SEARCH, 99)):
            pass
    assert visitors.admission.inside == 3  # who was refused left nothing behind


async def test_one_tenant_cannot_fill_what_others_need(visitors: Visitors) -> None:
    await visitors.send("b", "b")
    await visitors.send("a0")
    await visitors.send("a1")
    with refused("queue is full"):
        async with visitors.admission.visit(Visit("a", Lane.INSERT, 1)):
            pass
    await visitors.send("b2", "b")
    assert visitors.admission.inside == 4


async def test_a_picture_larger_than_all_the_memory_is_let_in_alone(visitors: Visitors) -> None:
    await visitors.send("huge", size=1000)
    assert visitors.entered == ["huge"]


async def test_a_picture_that_cannot_be_done_before_its_deadline_is_refused_at_once() -> None:
    visitors = Visitors(Admission(limits()))
    await visitors.send("slow")
    await asyncio.to_thread(asyncio.run, asyncio.sleep(0.05))
    assert visitors.admission.seconds_per_picture == 0
    await visitors.send("ahead")
    await visitors.let_go("slow")
    assert visitors.admission.seconds_per_picture >= 0.05
    set_deadline(0.01)
    with refused("longer than the deadline"):
        async with visitors.admission.visit(Visit("a", Lane.INSERT, 1)):
            pass
    await visitors.let_go("ahead")


async def test_a_search_that_would_wait_too_long_is_refused_while_inserts_may_queue() -> None:
    visitors = Visitors(Admission(limits(search_wait_s=0.001)))
    await visitors.send("slow")
    await visitors.send("ahead", lane=Lane.SEARCH)
    await asyncio.to_thread(asyncio.run, asyncio.sleep(0.05))
    await visitors.let_go("slow")
    with refused("a search would wait"):
        async with visitors.admission.visit(Visit("a", Lane.SEARCH, 1)):
            pass
    await visitors.send("insert")
    assert visitors.admission.inside == 2
    await visitors.let_go("ahead")
    await visitors.let_go("insert")
    assert visitors.entered[-1] == "insert"


async def test_who_leaves_while_waiting_gives_the_place_to_the_next(visitors: Visitors) -> None:
    for name in ("first", "gone", "next"):
        await visitors.send(name)
    visitors.tasks["gone"].cancel()
    await settled()
    await visitors.let_go("first")
    assert visitors.entered == ["first", "next"]
    await visitors.let_go("next")
    await visitors.send("later")
    assert visitors.entered[-1] == "later"


async def test_who_leaves_at_the_moment_of_getting_a_place_passes_it_on(visitors: Visitors) -> None:
    for name in ("first", "gone", "next"):
        await visitors.send(name)
    visitors._go["first"].set()
    await asyncio.sleep(0)  # the first wakes and hands its place to the second, which has not run yet
    visitors.tasks["gone"].cancel()
    await settled()
    assert visitors.entered == ["first", "next"]
