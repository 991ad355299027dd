"""Stored pictures: every copy belongs to a record or is listed as orphaned, whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index import Collection, KeptPicture, Outcome, PicturePolicy, Quota, RecordWrite, StorageLimits, TenantDirectory
from index.contract import PICTURES
from index.records.extensions import picture_book
from index.types.companions import Copies
from index.types.errors import DigestMoved
from tests.support.data.collections import SPEC, directory, vector

COPIES = replace(SPEC, picture_policy=PicturePolicy.ENCRYPTED_COPY)


def write(collection: Collection, record_id: str, object_id: str, *, size: int = 100, seed: int = 1) -> Outcome:
    kept = KeptPicture(object_id, size)
    return collection.upsert([RecordWrite(record_id, vector(seed), digest=object_id.encode(), kept=kept)])[0].outcome


def keep(collection: Collection, record_id: str, object_id: str, **given: int) -> None:
    collection.pictures.announce(object_id)
    assert write(collection, record_id, object_id, **given) in (Outcome.CREATED, Outcome.UPDATED)


def copies(collection: Collection) -> Copies:
    return collection.handle.read(lambda store: store.companion(PICTURES).copies())


@pytest.fixture
def tenant(tmp_path: Path) -> TenantDirectory:
    return directory(tmp_path)


def test_a_copy_belongs_to_its_record_until_another_picture_comes(tenant: TenantDirectory) -> None:
    collection = tenant.create(COPIES)
    keep(collection, "1", "a")
    assert (collection.pictures.holds("a"), collection.pictures.loose()) == (True, [])
    keep(collection, "1", "b", seed=2)
    assert collection.pictures.of(["1", "2"]) == {"1": KeptPicture("b", 100)}
    assert (collection.pictures.holds("a"), collection.pictures.loose()) == (False, ["a"])
    collection.pictures.forget_loose(["a"])
    collection.delete(["1"])
    assert collection.pictures.loose() == ["b"]
    assert collection.usage().bytes == 0


def test_an_announced_copy_is_given_up_after_an_hour_and_not_taken_then(
    tenant: TenantDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = tenant.create(COPIES)
    collection.pictures.announce("a")
    assert collection.pictures.loose() == []
    monkeypatch.setattr(picture_book, "UPLOAD_S", -1.0)
    assert collection.pictures.loose() == ["a"]
    collection.pictures.forget_loose(["a"])
    late = collection.upsert([RecordWrite("1", vector(1), kept=KeptPicture("a", 5)), RecordWrite("2", vector(2))])
    assert isinstance(late[0].error, DigestMoved)
    assert late[1].outcome is Outcome.CREATED


def test_a_write_that_began_under_another_policy_is_stored_as_the_present_one_says(tenant: TenantDirectory) -> None:
    collection = tenant.create(COPIES)
    collection.pictures.announce("a")
    tenant.set_policy("things", PicturePolicy.DISCARD)
    assert write(collection, "1", "a") is Outcome.CREATED
    assert collection.pictures.of(["1"]) == {}
    assert copies(collection).loose == {"a"}


def test_a_policy_drops_what_it_does_not_allow_in_snapshots_too(tenant: TenantDirectory) -> None:
    collection = tenant.create(replace(SPEC, picture_policy=PicturePolicy.REFERENCE))
    collection.upsert([RecordWrite("1", vector(1), kept=KeptPicture(url="https://shop.example/1"))])
    snapshot = collection.keep_snapshot()
    collection, dropped = tenant.set_policy("things", PicturePolicy.DISCARD)
    assert (dropped.urls, collection.spec.policy_version) == (1, 2)
    assert list(collection.kept.problems(snapshot.snapshot_id)) == []
    restored = tenant.restore("things", snapshot.snapshot_id, "again")
    assert (restored.pictures.of(["1"]), restored.spec.picture_policy) == ({}, PicturePolicy.DISCARD)


def test_policy_and_copies_survive_a_crash_and_a_restart(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(COPIES)
    keep(collection, "1", "a")
    collection.pictures.announce("b")
    tenant.abandon()
    collection = directory(tmp_path).collection("things")
    assert collection.spec.picture_policy is PicturePolicy.ENCRYPTED_COPY
    assert copies(collection).held == {"a"}
    assert copies(collection).loose == {"b"}


def test_a_restore_in_place_agrees_with_the_copies_that_are_there(tenant: TenantDirectory) -> None:
    collection = tenant.create(COPIES)
    keep(collection, "1", "a")
    keep(collection, "2", "b", seed=2)
    snapshot = collection.keep_snapshot()
    keep(collection, "2", "c", seed=3)
    keep(collection, "3", "d", seed=4)
    collection.pictures.forget_loose(["b"])  # deleted meanwhile
    home = collection.pictures.home
    restored = tenant.restore("things", snapshot.snapshot_id, "things", replacing=True)
    assert restored.pictures.home == home
    assert copies(restored).held == {"a"}
    assert copies(restored).loose == {"c", "d"}
    beside = tenant.restore("things", snapshot.snapshot_id, "beside")
    assert (copies(beside).held, beside.pictures.home != home) == (frozenset(), True)
    assert restored.usage().bytes == beside.usage().bytes + 100


def test_copies_count_towards_the_quota(tenant: TenantDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = tenant.create(COPIES)
    monkeypatch.setattr(tenant.allowance, "_limits", StorageLimits(lambda: Quota(bytes=1000)))
    collection.pictures.announce("a")
    assert write(collection, "1", "a", size=2000) is Outcome.FAILED
    assert collection.pictures.of(["1"]) == {}
    assert write(collection, "1", "a", size=500) is Outcome.CREATED
    assert tenant.allowance.used().bytes > 500


def test_a_deleted_collection_leaves_word_of_where_its_copies_lie(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(COPIES)
    home = collection.pictures.home
    tenant.delete("things")
    tenant.create(SPEC)
    tenant.delete("things")  # never kept anything
    again = directory(tmp_path)
    assert again.deserted() == [home]
    again.forget_deserted(home)
    assert directory(tmp_path).deserted() == []


def test_looking_for_copies_that_are_nobodys_leaves_a_cold_collection_cold(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    keep(tenant.create(COPIES), "1", "a")
    tenant.collection("things").delete(["1"])
    tenant.close()
    collection = directory(tmp_path).collection("things")
    assert (collection.pictures.loose(), collection.handle.loaded) == (["a"], None)
