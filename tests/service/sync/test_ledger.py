"""Sources and runs, stored and changed atomically."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from service.errors import Reason, ServiceError
from service.sync.feeds.model import AttributeField, FeedOptions, FieldMapping, FieldType
from service.sync.ledger import RUNS_KEPT, Ledger
from service.sync.model import Run, RunState, Sample, SyncPlan
from service.sync.runs.run import LIVE
from service.sync.source_model import CONFIG as CONFIG_JSON
from service.sync.source_model import Schedule, SourceConfig, SourceState
from tests.support.data.files import all_bytes

CONFIG = SourceConfig(
    "spring", "shoes", "https://shop.example/feed", schedule=Schedule("0 * * * *", "Europe/Berlin"),
    options=FeedOptions(mapping=FieldMapping("sku", attributes={"price": AttributeField("cost", FieldType.NUMBER)})),
    authorization="Bearer a-secret-of-the-shop",
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "sync.db", bytes(32))


def test_what_is_said_of_a_source_is_there_after_a_restart_and_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "sync.db", bytes(32))
    made = first.add_source(CONFIG)
    first.note_state(made.source_id, SourceState(items=7, etag='"1"'))
    first.close()
    again = Ledger(tmp_path / "sync.db", bytes(32))
    assert again.source("spring").config == CONFIG
    assert again.source(made.source_id).state == SourceState(items=7, etag='"1"')
    again.close()
    assert b"secret" not in all_bytes(tmp_path)
    assert b"shop.example" not in all_bytes(tmp_path)


def test_names_are_unique_and_missing_ones_are_reported(ledger: Ledger) -> None:
    ledger.add_source(CONFIG)
    with pytest.raises(ServiceError) as caught:
        ledger.add_source(CONFIG)
    assert caught.value.reason is Reason.SOURCE_EXISTS
    with pytest.raises(ServiceError) as caught:
        ledger.source("autumn")
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND
    with pytest.raises(ServiceError) as caught:
        ledger.run("none")
    assert caught.value.reason is Reason.RUN_NOT_FOUND


def test_a_source_has_one_run_at_a_time(ledger: Ledger) -> None:
    run = ledger.add_run(Run("", "s", "shoes"))
    with pytest.raises(ServiceError) as caught:
        ledger.add_run(Run("", "s", "shoes"))
    assert caught.value.reason is Reason.RUN_ACTIVE
    ledger.add_run(Run("", "other", "shoes"))
    ledger.move(run.run_id, LIVE, lambda r: replace(r, state=RunState.AWAITING_APPROVAL))
    ledger.add_run(Run("", "s", "shoes"))  # what waits for people holds nobody up


def test_a_run_is_changed_only_from_a_state_that_was_expected(ledger: Ledger) -> None:
    run = ledger.add_run(Run("", "s", "shoes"))
    taken: list[Run | None] = []

    def claim() -> None:
        taken.append(ledger.move(run.run_id, {RunState.QUEUED}, lambda r: replace(r, state=RunState.FETCHING)))

    threads = [Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([t for t in taken if t is not None]) == 1
    assert ledger.run(run.run_id).state is RunState.FETCHING
    assert ledger.move("none", LIVE, lambda r: r) is None


def test_runs_that_ended_long_ago_are_forgotten(ledger: Ledger) -> None:
    ids = []
    for _ in range(RUNS_KEPT + 10):
        run = ledger.add_run(Run("", "s", "shoes"))
        ledger.move(run.run_id, LIVE, lambda r: replace(r, state=RunState.SUCCEEDED))
        ids.append(run.run_id)
    kept = ledger.runs("s", limit=1000)
    assert RUNS_KEPT <= len(kept) <= RUNS_KEPT + 1
    assert kept[0].run_id == ids[-1]
    assert ledger.live_runs() == []


def test_sources_are_sealed_within_the_database_and_older_ones_are_brought_forward(tmp_path: Path) -> None:
    config = SourceConfig("s", "c", "https://shop.example/?token=t0ken", authorization="Bearer s3cret")
    ledger = Ledger(tmp_path / "sync.db", bytes(32))
    source = ledger.add_source(config)
    query = "SELECT config FROM sources"

    def stored() -> str:
        return str(ledger._database.execute(query).fetchone()[0])

    assert not any(word in stored() for word in ("t0ken", "s3cret", "shop"))
    plain = CONFIG_JSON.dump_json(config).decode()  # as it was stored before
    ledger._database.execute("UPDATE sources SET config = ?", (plain,))
    ledger.close()
    ledger = Ledger(tmp_path / "sync.db", bytes(32))
    assert ledger.source("s").config == source.config == config
    assert "s3cret" not in stored()
    ledger.close()


def ended(ledger: Ledger, source: str, state: RunState = RunState.SUCCEEDED, **more: Any) -> str:
    """The id of an ended run of the source."""
    run = ledger.add_run(Run("", source, "shoes", **more))
    ledger.move(run.run_id, LIVE, lambda r: replace(r, state=state))
    return run.run_id


def test_lists_of_runs_hold_those_that_they_name_in_their_order(ledger: Ledger) -> None:
    first, second, third = ended(ledger, "s"), ended(ledger, "t"), ended(ledger, "s", untold=True)
    waits = ended(ledger, "s", RunState.AWAITING_APPROVAL, untold=True)
    live = [ledger.add_run(Run("", source, "shoes", untold=True)).run_id for source in ("s", "t")]
    assert [r.run_id for r in ledger.runs()] == [*reversed(live), waits, third, second, first]
    assert [r.run_id for r in ledger.runs("s")] == [live[0], waits, third, first]
    assert [r.run_id for r in ledger.runs("s", limit=1)] == live[:1]
    assert [r.run_id for r in ledger.live_runs()] == live
    assert [r.run_id for r in ledger.waiting_runs()] == [waits]
    assert [r.run_id for r in ledger.unreported_runs()] == [third, waits]


def test_the_last_run_that_began_by_itself_is_known_by_its_time(ledger: Ledger) -> None:
    assert ledger.last_scheduled_ms("s") == 0
    ended(ledger, "s")
    assert ledger.last_scheduled_ms("s") == 0
    run = ledger.run(ended(ledger, "s", trigger="schedule"))
    ended(ledger, "s")
    assert ledger.last_scheduled_ms("s") == run.created_ms > 10**12
    assert ledger.last_scheduled_ms("t") == 0


def test_exactly_the_newest_runs_of_a_source_are_kept_and_others_are_left(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.sync.ledger.RUNS_KEPT", 3)
    other, waits = ended(ledger, "t"), ended(ledger, "s", RunState.AWAITING_APPROVAL)
    made = [ended(ledger, "s") for _ in range(6)]
    assert [r.run_id for r in ledger.runs("s")] == [*reversed(made[-3:]), waits]
    assert [r.run_id for r in ledger.runs("t")] == [other]


def test_a_source_is_changed_noted_and_deleted_alone(ledger: Ledger) -> None:
    spring, autumn = ledger.add_source(CONFIG), ledger.add_source(replace(CONFIG, name="autumn"))
    assert [s.config.name for s in ledger.sources()] == ["autumn", "spring"]
    changed = ledger.change_source(spring.source_id, replace(CONFIG, paused=True))
    assert (changed.config.paused, changed.created_ms) == (True, spring.created_ms)
    assert changed.updated_ms >= spring.updated_ms
    ledger.note_state(spring.source_id, SourceState(items=7))
    assert ledger.source("autumn") == autumn
    run, other = ended(ledger, spring.source_id), ended(ledger, autumn.source_id)
    ledger.delete_source(spring.source_id)
    assert [s.config.name for s in ledger.sources()] == ["autumn"]
    assert [r.run_id for r in ledger.runs()] == [other]
    with pytest.raises(ServiceError):
        ledger.run(run)
    with pytest.raises(ServiceError):
        ledger.change_source(spring.source_id, CONFIG)


def test_erased_records_leave_every_plan_that_shows_them(ledger: Ledger) -> None:
    plan = SyncPlan(
        samples=tuple(Sample("create", i) for i in ("a", "a#2", "b", "c#1")),
        problem_lines=(Sample("price", "a", 4), Sample("price", "d", 5)),
    )
    run, other = (ledger.add_run(Run("", source, "shoes", plan=plan)).run_id for source in "st")
    ledger.forget_records({"nothing"})
    assert ledger.run(run).plan == plan
    ledger.forget_records({"a", "c#1"})
    for run_id in (run, other):
        left = ledger.run(run_id).plan
        assert [s.record_id for s in left.samples] == ["b"]
        assert [s.record_id for s in left.problem_lines] == ["d"]
    assert ledger.run(run).state is RunState.QUEUED


def test_a_change_that_fails_ends_its_transaction(ledger: Ledger) -> None:
    run = ledger.add_run(Run("", "s", "shoes"))

    def fails(_: Run) -> Run:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ledger.move(run.run_id, LIVE, fails)
    assert ledger.move(run.run_id, {RunState.FETCHING}, lambda r: r) is None
    assert ledger.move(run.run_id, LIVE, lambda r: replace(r, message="m")) == replace(run, message="m")
    assert ledger.run(run.run_id).message == "m"
