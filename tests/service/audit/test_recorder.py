"""A change always has its audit entry, despite callers that give up, full disks and the end of the process."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from afterimage.client import AuditAct, AuditEntry, audit_acts
from index import DataDirectory, StoreUnavailable
from service.audit.chain import problems
from service.audit.logs import AuditLogs
from service.audit.recorder import Intent, Recorder, current_act
from service.audit.tally import Tallies
from service.errors import Reason, ServiceError
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

INTENT = Intent("collection.delete", {"collection": "shoes"})


class Here:
    """A tenant's log, and a recorder of this process. `found`: the result of checking the state."""

    def __init__(self, folder: Path) -> None:
        self.registry = TenantRegistry(folder / "registry.db", MasterKey(bytes(32)))
        self.uid = self.registry.create_tenant("acme").uid
        self.logs = AuditLogs(DataDirectory(folder), self.registry)
        self.caller = Principal(self.uid, "key", frozenset(Scope))
        self.found: bool | None = None
        self.recorder = self.another()

    def another(self) -> Recorder:
        """The same in the next process."""
        return Recorder(self.logs, lambda uid, act: self.found)

    def acts(self) -> list[AuditAct]:
        entries = self.logs.of(self.uid).entries()
        assert list(problems(self.uid, entries, self.logs.of(self.uid).head(), self.logs.signer.public_key)) == []
        return audit_acts(
            AuditEntry(e.number, e.time_ms, e.actor, e.action, dict(e.details), e.previous, d) for e, d in entries
        )

    def outcomes(self) -> list[str]:
        return [a.outcome for a in self.acts()]

    async def change(self, work: Callable[[], Awaitable[object]], told: Any = None) -> object:
        return await self.recorder.change(self.caller, INTENT, work, lambda r: told or {"records": 3})


def fill_the_disk(full: bool) -> None:
    """No file of this process may grow or be written."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0 if full else hard, hard))


@pytest.fixture(autouse=True)
def _disk() -> Iterator[None]:
    yield
    fill_the_disk(False)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path)
    yield made
    made.logs.close()
    made.registry.close()


async def nothing() -> None:
    """Returns immediately."""


async def test_a_change_has_its_intent_before_and_its_outcome_after(here: Here) -> None:
    async def work() -> str:
        assert here.outcomes() == ["open"]
        return "done"

    assert await here.change(work) == "done"
    (act,) = here.acts()
    assert (act.action, act.outcome, act.details) == (
        "collection.delete",
        "done",
        {"collection": "shoes", "records": 3},
    )
    assert act.entries == (1, 2)


@pytest.mark.parametrize(
    ("error", "found", "outcome"),
    [
        (ServiceError(Reason.COLLECTION_NOT_FOUND, "none"), True, "refused"),
        (ServiceError(Reason.STORE_UNAVAILABLE, "away"), True, "found done"),
        (ServiceError(Reason.STORE_UNAVAILABLE, "away"), False, "found not done"),
        (ValueError("a fault of the server's"), None, "unknown"),
    ],
)
async def test_a_call_that_fails_is_reported_as_the_state_shows_it(
    here: Here, error: Exception, found: bool | None, outcome: str
) -> None:
    async def work() -> None:
        raise error

    here.found = found
    with pytest.raises(type(error)):
        await here.change(work)
    assert here.outcomes() == [outcome]


async def test_whoever_gives_up_ends_its_waiting_and_not_the_change(here: Here) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        await go_on.wait()

    call = asyncio.create_task(here.change(work))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert here.outcomes() == ["open"]
    go_on.set()
    await here.recorder.drain(10)
    assert here.outcomes() == ["done"]


async def test_what_has_not_begun_when_its_caller_goes_is_not_begun(here: Here) -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    call = asyncio.create_task(here.change(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await here.recorder.drain(10)
    assert (done, here.outcomes()) in (([], ["refused"]), ([1], ["done"]))
    assert done == [], "the intent takes longer than two turns of the loop"


async def test_an_entry_whose_caller_gives_up_is_written_before_the_end(here: Here) -> None:
    call = asyncio.create_task(here.recorder.add(here.caller, "vectors.return", {"vectors": 1}))
    while not here.recorder.in_progress:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await here.recorder.drain(10)
    assert [(a.action, a.outcome) for a in here.acts()] == [("vectors.return", "done")]
    assert here.recorder.in_progress == 0


async def test_changes_that_nobody_waits_for_are_bounded(here: Here) -> None:
    go_on = asyncio.Event()
    began = 0

    async def work() -> None:
        nonlocal began
        began += 1
        await go_on.wait()

    calls = [asyncio.create_task(here.change(work)) for _ in range(16)]
    while began < 16:
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    with pytest.raises(ServiceError) as refused:
        await here.change(nothing)
    assert refused.value.reason is Reason.OVERLOADED
    go_on.set()
    await here.recorder.drain(10)
    await here.change(nothing)
    assert here.outcomes() == ["done"] * 17


async def test_a_full_disk_refuses_the_intent_and_owes_the_outcome(here: Here) -> None:
    done: list[str] = []

    async def first() -> None:
        done.append("first")
        fill_the_disk(True)

    await here.change(first)  # it was done, so that is the answer
    assert here.outcomes() == ["open"]

    async def second() -> None:
        done.append("second")

    with pytest.raises(StoreUnavailable):
        await here.change(second)
    assert done == ["first"]
    await here.recorder.settle()
    assert here.outcomes() == ["open"]
    fill_the_disk(False)
    await here.recorder.settle()
    assert here.outcomes() == ["done"]


@pytest.mark.parametrize(("found", "outcome"), [(True, "found done"), (False, "found not done"), (None, "unknown")])
async def test_what_a_kill_left_open_is_looked_at_before_the_next_change(
    here: Here, found: bool | None, outcome: str
) -> None:
    here.logs.of(here.uid).begin("key:key", INTENT.action, INTENT.details, here.recorder.owner)
    here.found = found
    here.recorder = here.another()
    await here.change(nothing)
    assert here.outcomes() == [outcome, "done"]
    await here.change(nothing)
    assert here.outcomes() == [outcome, "done", "done"]


async def test_what_another_process_is_doing_or_can_be_finished_is_left_to_it(here: Here) -> None:
    log = here.logs.of(here.uid)
    log.begin("operator", "key.create", {}, "operator")
    log.resume(log.begin("key:key", "erasure", {"what": "collection"}, "server:gone").number, {"what": "collection"})
    await here.change(nothing)
    assert here.outcomes() == ["open", "open", "done"]


async def test_an_act_can_tell_more_and_be_left_open(here: Here) -> None:
    async def more() -> None:
        current_act().tell({"from": "x"})

    await here.change(more)
    assert here.acts()[0].details == {"collection": "shoes", "records": 3, "from": "x"}

    async def unfinished() -> None:
        await current_act().note({"what": "rest"})
        current_act().leave_open()
        raise ServiceError(Reason.STORE_UNAVAILABLE, "away")

    with pytest.raises(ServiceError):
        await here.change(unfinished)
    assert here.outcomes() == ["done", "open"]
    assert [a.resume for a in here.logs.of(here.uid).open_acts()] == [{"what": "rest"}]


async def test_many_changes_at_once_are_one_chain(here: Here) -> None:
    await asyncio.gather(*(here.change(nothing) for _ in range(40)))
    assert here.outcomes() == ["done"] * 40


async def test_what_happens_often_is_one_act_for_each_interval_and_key(here: Here) -> None:
    tallies = Tallies(here.logs, here.recorder)
    subject = {"collection": "shoes"}
    for _ in range(5):
        await tallies.begin(here.caller, "records.write", subject)
        assert here.outcomes() == ["open"]
        tallies.add(here.caller, "records.write", subject, created=2, updated=1)
    other = Principal(here.uid, "other", frozenset(Scope))
    await tallies.begin(other, "records.write", subject)
    await tallies.settle()
    assert here.outcomes() == ["open", "open"]
    await tallies.settle(all_of_them=True)
    assert [(a.actor, a.outcome, a.details) for a in here.acts()] == [
        ("key:key", "done", {"collection": "shoes", "created": 10, "updated": 5}),
        ("key:other", "done", {"collection": "shoes"}),
    ]
    await tallies.begin(here.caller, "records.write", subject)
    assert here.outcomes() == ["done", "done", "open"]


async def test_a_write_is_refused_and_a_read_is_not_where_the_log_cannot_be_written(here: Here) -> None:
    tallies = Tallies(here.logs, here.recorder)
    await here.change(nothing)
    fill_the_disk(True)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await tallies.begin(here.caller, "records.write", {"collection": "shoes"})
        tallies.add(here.caller, "reads", {"collection": "shoes", "call": "Search", "fields": "color"}, calls=1)
    await tallies.settle(all_of_them=True)
    fill_the_disk(False)
    tallies.add(here.caller, "reads", {"collection": "shoes", "call": "Search", "fields": "color"}, calls=1)
    await tallies.settle(all_of_them=True)
    told = {a.action: a for a in here.acts()}
    assert told["reads"].details == {"collection": "shoes", "call": "Search", "fields": "color", "calls": 3}
