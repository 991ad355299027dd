"""Snapshots on request."""

import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index import (
    Collection,
    CollectionExists,
    CollectionNotFound,
    SearchQuery,
    SnapshotDamaged,
    SnapshotNotFound,
    TenantDirectory,
)
from index.vectors.local import rebuilding
from index.vectors.segment import rows
from index.vectors.segment.rows import Rows
from index.vectors.segment.view import View
from tests.support.data.collections import KEY, SPEC, directory, ids, record, vector
from tests.support.data.cuts import copy_of, cut
from tests.support.data.files import all_bytes, flip_byte, shorten


def filled(root: Path) -> tuple[TenantDirectory, Collection]:
    tenant = directory(root)
    collection = tenant.create(SPEC)
    collection.upsert([record(n, f"p{n % 7}", price=n, tags=("a",)) for n in range(60)])
    return tenant, collection


def test_a_snapshot_is_of_one_moment_while_writing_goes_on(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            collection.upsert([record(1000 + n), record(2000 + n)])  # together or not at all
            n += 1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        kept = [collection.keep_snapshot() for _ in range(5)]
        stop.set()
        writing.result()
    for snapshot in kept:
        restored = tenant.restore("things", snapshot.snapshot_id, f"r{kept.index(snapshot)}")
        found = {int(r.record_id) for r in restored.list(0, 100_000)}
        assert len(found) == snapshot.records == snapshot.sequence
        assert {n - 1000 for n in found if 1000 <= n < 2000} == {n - 2000 for n in found if n >= 2000}


def test_a_restore_brings_back_what_was_changed_and_not_what_was_deleted(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    snapshot = collection.keep_snapshot()
    collection.upsert([record(1, color="changed"), record(99)])
    collection.delete(["5", "6"])
    again = tenant.restore("things", snapshot.snapshot_id, "again")
    assert again.get(["1"])["1"].attributes == {"price": 1.0, "tags": ("a",)}
    assert again.get(["5", "6", "99"]) == {}
    assert again.count() == 58
    assert ids(again, SearchQuery(vector(7), 1)) == ["7"]
    assert list(collection.kept.problems(snapshot.snapshot_id)) == []
    with pytest.raises(CollectionExists):
        tenant.restore("things", snapshot.snapshot_id, "things")


def test_what_is_deleted_while_the_index_is_rebuilt_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, collection = filled(tmp_path)
    snapshot = collection.keep_snapshot()

    def compacted(view: View) -> Rows:
        collection.delete(["5"])  # the new rows are made without it, its tombstone is still needed
        collection.snapshot()
        tenant.restore("things", snapshot.snapshot_id, "again")
        return rows.compacted(view)

    monkeypatch.setattr(rebuilding, "compacted", compacted)
    collection.compact()
    assert tenant.collection("again").get(["5"]) == {}
    assert collection.get(["5"]) == {}


def test_a_restore_in_place_takes_the_snapshots_over_and_survives_a_restart(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    snapshot = collection.keep_snapshot()
    collection.upsert([record(n, color="changed") for n in range(60)])
    collection.upsert([record(500)])
    made = tenant.restore("things", snapshot.snapshot_id, "things", replacing=True)
    assert (made.count(), [s.snapshot_id for s in made.kept.list()]) == (60, [snapshot.snapshot_id])
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert again.count() == 60
    assert len(directory(tmp_path).names()) == 1


def test_deleted_records_leave_every_kept_snapshot_and_no_byte_of_them_stays(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    first, second = collection.keep_snapshot(), collection.keep_snapshot()
    collection.delete(["7"])
    collection.compact()
    for snapshot in (first, second):
        _, database = collection.kept.checked(snapshot.snapshot_id)
        assert tenant.restore("things", snapshot.snapshot_id, f"r-{snapshot.snapshot_id[-8:]}").count() == 59
        assert database.exists()
    assert [s.records for s in collection.kept.list()] == [59, 59]


Damage = Callable[[Path], None]


def edit(path: Path, name: str, value: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, name: value}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: flip_byte(p / "records.db", 5000),
        lambda p: flip_byte(p / "records.db", -10),
        lambda p: shorten(p / "records.db", 4096),
        lambda p: (p / "records.db").unlink(),
        lambda p: (p / "records.db").write_bytes(b""),
        lambda p: (p / "manifest.json").unlink(),
        lambda p: (p / "manifest.json").write_text("not json"),
        lambda p: edit(p, "records", 3),
        lambda p: edit(p, "mac", "0" * 64),
        lambda p: edit(p, "sha256", "0" * 64),
    ],
)
def test_each_kind_of_damage_is_reported_and_nothing_is_restored_from_it(tmp_path: Path, damage: Damage) -> None:
    tenant, collection = filled(tmp_path)
    snapshot = collection.keep_snapshot()
    path = next(tmp_path.rglob("kept-*"))
    assert list(collection.kept.problems(snapshot.snapshot_id)) == []
    damage(path)
    assert len(list(collection.kept.problems(snapshot.snapshot_id))) == 1
    with pytest.raises(SnapshotDamaged):
        tenant.restore("things", snapshot.snapshot_id, "again")
    assert tenant.names() == ["things"]
    assert collection.count() == 60


def test_an_unknown_snapshot_is_not_found_and_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    for name in ("20260101T000000-00000000", "../..", ""):
        with pytest.raises(SnapshotNotFound):
            collection.kept.delete(name)


def test_a_snapshot_moves_to_another_tenant_on_another_machine_under_its_key(tmp_path: Path) -> None:
    _, collection = filled(tmp_path / "one")
    digest = collection.content_digest(b"picture", None)
    collection.upsert([record(700).__class__("pictured", vector(700), digest=digest)])
    collection.keep_snapshot()
    folder = next((tmp_path / "one").rglob("kept-*"))
    other_key = bytes(reversed(KEY))
    other = directory(tmp_path / "two", other_key)
    with pytest.raises(SnapshotDamaged):
        other.adopt_snapshot(folder, other_key, "")
    made = other.adopt_snapshot(folder, KEY, "moved")
    assert made.count() == 61
    original, moved = (c.get(["4"], vectors=True)["4"] for c in (collection, made))
    assert original.vector is not None
    assert moved.vector is not None
    assert np.array_equal(original.vector, moved.vector)
    assert moved.attributes == original.attributes
    assert made.digests(["pictured"]) == {}  # keyed by the other tenant's key
    other.close()
    assert directory(tmp_path / "two", other_key).collection("moved").count() == 61


def test_a_copy_that_the_disk_refuses_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, collection = filled(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="No space"):
            collection.keep_snapshot()
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith((".writing", "kept"))]
    assert collection.keep_snapshot().records == 60


def test_a_kept_snapshot_holds_nothing_in_the_clear(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    collection.upsert([record(424242, product_id="PRODUCTMARK", note="ATTRIBUTEMARK")])
    collection.keep_snapshot()
    tenant.close()
    content = all_bytes(next(tmp_path.rglob("kept-*")))
    for mark in (b"424242", b"PRODUCTMARK", b"ATTRIBUTEMARK"):
        assert mark not in content


def test_kept_snapshots_outlive_their_collection_unless_asked(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path)
    first, second = collection.keep_snapshot(), collection.keep_snapshot()
    collection.delete(["5"])
    tenant.delete("things")
    tenant.close()
    again = directory(tmp_path)
    assert {s.snapshot_id for s in again.kept("things").list()} == {first.snapshot_id, second.snapshot_id}
    restored = again.restore("things", first.snapshot_id, "things")
    assert (restored.count(), restored.get(["5"])) == (59, {})
    again.delete("things")
    assert len(again.kept("things").list()) == 2
    again.kept("things").delete(first.snapshot_id)
    again.kept("things").delete(second.snapshot_id)
    with pytest.raises(CollectionNotFound):
        again.kept("things")
    made = again.create(SPEC)
    made.upsert([record(1)])
    made.keep_snapshot()
    again.delete("things", with_kept=True)
    assert not [*tmp_path.rglob("kept-*")]


def test_a_copy_that_was_changed_is_never_signed_again(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    snapshot = collection.keep_snapshot()
    path = next(tmp_path.rglob("kept-*"))
    flip_byte(path / "records.db", 9000)
    before = (path / "manifest.json").read_bytes()
    assert collection.erase(["7"]).kept_snapshots == ()
    assert (path / "manifest.json").read_bytes() == before
    flip_byte(path / "records.db", 9000)  # somebody puts it back as it was: it still has what was erased
    with pytest.raises(SnapshotDamaged, match="older copy"):
        collection.kept.checked(snapshot.snapshot_id)


def test_a_change_that_is_cut_off_at_any_step_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    tenant, collection = filled(tmp_path / "data")
    snapshot = collection.keep_snapshot()
    collection.upsert([record(500)])

    def state(root: Path) -> tuple[int, list[tuple[str, int]]]:
        found = directory(root).collection("things")
        kept = [(s.snapshot_id, s.records) for s in found.kept.list()]
        assert all(found.kept.checked(i)[0].records == n for i, n in kept)
        return found.count(), kept

    for change in (
        lambda: tenant.restore("things", snapshot.snapshot_id, "things", replacing=True),
        lambda: tenant.collection("things").erase(["7"]),
    ):
        before = state(copy_of(tmp_path / "data", tmp_path / "before"))
        cuts = cut(change, tmp_path / "data", tmp_path / "cuts")
        after = state(copy_of(tmp_path / "data", tmp_path / "after"))
        states = [state(c) for c in cuts]
        assert len(states) > 5
        seen = {(count, tuple(kept)) for count, kept in states}
        allowed = {(count, tuple(kept)) for count, kept in (before, after)}
        assert {count for count, _ in seen} <= {count for count, _ in allowed}
        assert {len(kept) for _, kept in seen} == {1}
        for folder in ("before", "after", "cuts"):
            shutil.rmtree(tmp_path / folder)


def test_rows_made_after_a_restore_are_not_taken_for_others_of_a_newer_snapshot(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(n) for n in range(3)])
    older = collection.keep_snapshot().snapshot_id
    collection.upsert([record(n) for n in range(3, 6)])
    newer = collection.keep_snapshot().snapshot_id
    tenant.restore("things", older, "things", replacing=True)
    restored = tenant.collection("things")
    restored.upsert([record(n) for n in range(10, 13)])
    restored.delete(["10", "11", "12"])
    restored.clear_kept()
    again = tenant.restore("things", newer, "again")
    assert {r.record_id for r in again.list(0, 100)} == {str(n) for n in range(6)}
