"""Sources and runs, kept and compared before they are changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from service.errors import Reason, ServiceError
from service.sync.feeds.model import AttributeField, FeedOptions, FieldMapping, FieldType
from service.sync.ledger import RUNS_KEPT, Ledger
from service.sync.model import CONFIG as CONFIG_JSON
from service.sync.model import Run, RunState, Schedule, SourceConfig, SourceState
from service.sync.running import LIVE
from tests.support.files import all_bytes

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


def test_names_are_unique_and_missing_ones_are_told(ledger: Ledger) -> None:
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
