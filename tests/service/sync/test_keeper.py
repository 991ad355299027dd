"""Scheduled runs begin once when they are due, whatever clocks do, and every end is in the audit log."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from index import DataDirectory, DataFault, StoreUnavailable
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.engine.workers import Workers
from service.metrics import Metrics
from service.runtime.clock import Interval
from service.sync.keeper import Keeper
from service.sync.ledger import Ledger
from service.sync.ledgers import Ledgers
from service.sync.model import Run, RunState
from service.sync.runs.lease import SyncParts
from service.sync.source_model import Schedule, SourceConfig
from service.sync.sync import Sync
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from tests.support.data.files import flip_byte
from tests.support.manual_clock import ManualClock

HOUR_S, DAY_S = 3600, 86_400
YEARS_S = 5 * 365 * DAY_S
DAILY = SourceConfig("daily", "shoes", "https://shop.example/feed", schedule=Schedule("0 2 * * *"))


class Here:
    """A keeper with a ledger, a board, and a settable clock. `told`: ends in the audit log."""

    def __init__(self, folder: Path, board: Any) -> None:
        self.clock = ManualClock()
        folder.mkdir()
        self.registry = TenantRegistry(folder / "registry.db", MasterKey(bytes(32)))
        self.uid = self.registry.create_tenant("acme").uid
        self.ledgers = Ledgers(DataDirectory(folder), self.registry, None, 1, self.clock)
        self.workers = Workers(1)
        engine: Any = SimpleNamespace(workers=self.workers, sources=None, pictures=None, spaces=None)
        audit: Any = SimpleNamespace(add=self._add)
        fetcher: Any = None
        self.parts = SyncParts(engine, self.ledgers, board, fetcher, Metrics(), "server", 1, audit, clock=self.clock)
        self.told: list[str] = []
        self.audit_fails = False
        self.sync = Sync(self.parts)
        self.keeper._purging = Interval(YEARS_S * 10, self.clock)  # needs collections, which are not here
        self.board = board
        self.source = self.ledger.add_source(DAILY)

    def _add(self, uid: str, actor: str, action: str, details: dict[str, Any]) -> None:
        if self.audit_fails:
            raise StoreUnavailable("the audit log: disk full")
        self.told.append(str(details["run"]))

    @property
    def ledger(self) -> Ledger:
        return self.ledgers.of(self.uid)

    @property
    def keeper(self) -> Keeper:
        return self.sync._keeper

    async def pass_s(self, seconds: float, step_s: float = 60.0) -> None:
        """Advances the time of the keeper."""
        for _ in range(max(1, round(seconds / step_s))):
            self.clock.advance(step_s)
            self.end_runs()
            await self.keeper.look()

    def end_runs(self) -> None:
        for run in self.ledger.live_runs():
            self.ledger.move(run.run_id, {run.state}, lambda r: replace(r, state=RunState.SUCCEEDED))

    def begun(self) -> int:
        return len(self.ledger.runs(self.source.source_id, limit=1000))

    def close(self) -> None:
        self.ledgers.close()
        self.registry.close()
        self.workers.close()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    redis = EmbeddedRedis(tmp_path / "redis")
    await redis.start()
    coordinator = Coordinator(redis.url)
    made = Here(tmp_path / "data", coordinator.board("server", b"secret"))
    yield made
    made.close()
    await coordinator.close()
    await redis.stop()


async def test_a_daily_schedule_runs_once_a_day(here: Here) -> None:
    await here.pass_s(3 * DAY_S, 3600.0)
    assert here.begun() == 3


@pytest.mark.parametrize("jump_s", [DAY_S, YEARS_S])
async def test_a_clock_that_is_set_forward_starts_one_run_and_not_many(here: Here, jump_s: float) -> None:
    await here.pass_s(60)
    here.clock.now += jump_s
    await here.pass_s(25, 1.0)
    assert here.begun() == 1


@pytest.mark.parametrize("jump_s", [HOUR_S, DAY_S, YEARS_S])
async def test_after_a_clock_was_set_back_a_daily_schedule_goes_on_daily(here: Here, jump_s: float) -> None:
    here.clock.now += jump_s
    await here.pass_s(60)
    here.clock.now -= jump_s
    before = here.begun()
    await here.pass_s(2 * DAY_S, 1800.0)
    assert here.begun() - before in (2, 3)


async def test_a_clock_that_goes_to_and_fro_starts_no_run_more_often_than_every_few_minutes(here: Here) -> None:
    for _ in range(30):
        here.clock.now += DAY_S
        await here.pass_s(2, 1.0)
        here.clock.now -= DAY_S
        await here.pass_s(2, 1.0)
    assert here.begun() == 1


async def test_a_restart_does_not_forget_when_a_run_began(here: Here) -> None:
    await here.pass_s(60)
    here.clock.now += DAY_S
    await here.pass_s(60)
    assert here.begun() == 1
    here.end_runs()
    here.keeper._begun.clear()  # as after a restart
    await here.board.set_due(f"{here.uid}/{here.source.source_id}", 1)
    await here.pass_s(5, 1.0)
    assert here.begun() == 1


async def test_an_end_that_could_not_be_reported_is_reported_later_and_once(here: Here) -> None:
    made = here.ledger.add_run(Run("", here.source.source_id, "shoes"))
    ended = here.ledger.move(made.run_id, {RunState.QUEUED}, lambda r: replace(r, state=RunState.FAILED, untold=True))
    assert ended is not None
    here.audit_fails = True
    await here.pass_s(10, 10.0)
    assert here.told == []
    here.audit_fails = False
    await here.pass_s(30, 10.0)
    assert here.told == [made.run_id]


async def test_the_age_of_each_scheduled_source_is_shown_by_its_id_until_it_is_gone(here: Here) -> None:
    other = here.ledger.add_source(replace(DAILY, name="other"))
    here.clock.advance(HOUR_S)
    await here.keeper._compare()
    metrics = here.parts.metrics

    def shown() -> dict[str, float]:
        (family,) = [f for f in metrics.registry.collect() if f.name == "afterimage_sync_source_success_age_seconds"]
        return {sample.labels["source"]: sample.value for sample in family.samples}

    found = shown()
    assert found.keys() == {here.source.source_id, other.source_id}
    assert min(found.values()) >= HOUR_S - 1
    here.ledger.change_source(other.source_id, replace(DAILY, name="other", paused=True))
    await here.keeper._compare()
    assert shown().keys() == {here.source.source_id}


def damage_sources(here: Here, uid: str, path: Path) -> None:
    """Damages a page of a ledger, so that it can be opened and its sources cannot be read."""
    whole = path.read_bytes()
    for position in range(4096 + 2048, len(whole), 4096):
        flip_byte(path, position)
        with contextlib.suppress(DataFault):
            ledger = here.ledgers.of(uid)
            try:
                ledger.sources()
            except DataFault:
                return
        here.ledgers.close()
        path.write_bytes(whole)
    raise AssertionError("no page has the sources")


async def test_a_tenant_whose_ledger_is_damaged_holds_no_other_up(here: Here, tmp_path: Path) -> None:
    """Runs of all tenants waited for good where a page of one's ledger was damaged, and Redis had forgotten them."""
    other = here.registry.create_tenant("aardvark").uid
    here.ledgers.of(other).add_source(DAILY)
    here.ledgers.close()
    damage_sources(here, other, DataDirectory(tmp_path / "data").tenant(other).sync)
    run = here.ledger.add_run(Run("", here.source.source_id, "shoes"))
    with capture_logs() as log:
        for _ in range(2):
            await here.keeper._compare()
    assert (await here.board.due_times()).keys() == {f"{here.uid}/{here.source.source_id}"}
    taken = await here.board.take("worker")
    assert taken is not None
    assert taken[0].run_id == run.run_id
    assert [line["event"] for line in log] == ["the sync.db of a tenant is unusable"]
