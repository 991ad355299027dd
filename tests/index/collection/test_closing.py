"""What is saved before a process ends, and what is left to be replayed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from index import Collection, TenantDirectory, save_changed
from index.collection import closing
from tests.support.data.collections import SPEC, directory, loaded, record


def made(tenant: TenantDirectory, name: str, rows: int) -> Collection:
    collection = tenant.create(replace(SPEC, name=name))
    collection.upsert([record(n) for n in range(rows)])
    return collection


@pytest.fixture(autouse=True)
def _few_are_replayed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "REPLAYED_SOON", 10)


@pytest.fixture
def tenant(tmp_path: Path) -> TenantDirectory:
    return directory(tmp_path)


def unsaved(tenant: TenantDirectory) -> dict[str, int]:
    return {name: loaded(tenant.collection(name)).unsaved for name in ("few", "dead", "many", "most", "none")}


def fill(tenant: TenantDirectory) -> None:
    for name, rows in (("few", 10), ("dead", 3), ("many", 11), ("most", 30), ("none", 20)):
        made(tenant, name, rows)
    tenant.collection("none").snapshot()
    tenant.collection("dead").delete(["1"])


def test_what_is_replayed_in_no_time_is_left_and_all_else_is_saved(tenant: TenantDirectory) -> None:
    fill(tenant)
    assert save_changed(tenant.every(), math.inf) == (3, 1, 10)
    assert unsaved(tenant) == {"few": 10, "dead": 0, "many": 0, "most": 0, "none": 0}
    assert save_changed(tenant.every(), math.inf) == (0, 1, 10)


def test_without_time_only_what_holds_deleted_rows_is_saved(tenant: TenantDirectory) -> None:
    fill(tenant)
    assert save_changed(tenant.every(), 0.0) == (1, 3, 51)
    assert unsaved(tenant) == {"few": 10, "dead": 0, "many": 11, "most": 30, "none": 0}


def test_deleted_rows_come_first_and_then_the_longest_replay(
    tenant: TenantDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tenant)
    order: list[str] = []
    monkeypatch.setattr(closing, "_AT_ONCE", 1)

    def noted(collection: Collection) -> bool:
        order.append(collection.spec.name)
        return True

    monkeypatch.setattr(closing, "_is_saved", noted)
    save_changed(tenant.every(), math.inf)
    assert order == ["dead", "most", "many"]


def test_a_snapshot_that_the_disk_refuses_leaves_the_others(
    tenant: TenantDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tenant)

    def refused() -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loaded(tenant.collection("most")).maintenance, "snapshot", refused)
    assert save_changed(tenant.every(), math.inf) == (2, 2, 40)
    assert "could not write a snapshot" in caplog.text


def test_cold_collections_stay_cold(tenant: TenantDirectory) -> None:
    fill(tenant)
    assert all(c.handle.cool() for c in tenant.every())
    assert save_changed(tenant.every(), math.inf) == (0, 0, 0)
    assert tenant.in_memory() == []


def test_what_was_left_is_all_there_at_the_next_opening(tenant: TenantDirectory, tmp_path: Path) -> None:
    fill(tenant)
    save_changed(tenant.every(), 0.0)
    tenant.close(saved=True)
    again = directory(tmp_path)
    assert {c.spec.name: c.count() for c in again.every()} == {"few": 10, "dead": 2, "many": 11, "most": 30, "none": 20}
    assert unsaved(again) == {"few": 10, "dead": 0, "many": 11, "most": 30, "none": 0}
    assert list(again.collection("most").problems()) == []


@pytest.mark.parametrize("saving", ["upkeep", "stop", "close", "cooling"])
def test_a_new_ann_index_is_saved_although_nothing_was_written_since(
    tenant: TenantDirectory, tmp_path: Path, saving: str
) -> None:
    collection = made(tenant, "built", 400)
    collection.snapshot()
    assert loaded(collection).index.optimise()
    assert (loaded(collection).unsaved, collection.loaded_stats().ann_index_is_unsaved) == (0, True)
    if saving == "upkeep":
        assert [collection.maintain(), collection.maintain()] == ["snapshot", None]
    elif saving == "stop":
        assert save_changed(tenant.every(), math.inf) == (1, 0, 0)
    elif saving == "cooling":
        assert collection.handle.cool()
    tenant.close() if saving == "close" else tenant.abandon()
    assert directory(tmp_path).collection("built").loaded_stats().ann_rows == 400
