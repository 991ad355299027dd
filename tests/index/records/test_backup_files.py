"""Files of backups: which are used, what is left after interrupted changes, and which are missing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from index import Collection, SnapshotDamaged, SnapshotNotFound, TenantDirectory
from index.records.backup_manifest import manifest_mac, read_manifest, spec_of
from index.types.companions import PicturePolicy
from tests.support.data.collections import KEY, SPEC, directory, record
from tests.support.data.files import flip_byte


def filled(root: Path, rows: int = 20) -> tuple[TenantDirectory, Collection]:
    tenant = directory(root)
    collection = tenant.create(SPEC)
    collection.upsert([record(n) for n in range(rows)])
    return tenant, collection


def folder(root: Path) -> Path:
    (found,) = root.rglob("kept-*")
    return found


def sign(path: Path, **changes: object) -> None:
    """Changes a manifest and signs it again, as an owner of the key could."""
    told = {**json.loads((path / "manifest.json").read_text()), **changes}
    told.pop("mac")
    (path / "manifest.json").write_text(json.dumps({**told, "mac": manifest_mac(KEY, told)}))


def test_a_snapshot_tells_what_it_is_of(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    made = collection.keep_snapshot()
    assert collection.kept.list() == [made]
    assert collection.kept.ids() == [made.snapshot_id]
    assert (made.records, made.sequence, made.revision, made.file) == (20, 20, 0, "records.db")
    assert made.bytes == (folder(tmp_path) / "records.db").stat().st_size
    assert 10**12 < made.created_ms < 10**13
    assert spec_of(made, "").name == "things"
    assert spec_of(made, "other") == replace(made.spec, name="other")
    assert collection.kept.files() == [folder(tmp_path) / "records.db"]


def test_snapshots_are_listed_the_newest_first_and_damaged_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, collection = filled(tmp_path)
    made = []
    for n in range(3):
        monkeypatch.setattr("index.records.backups.time.time", lambda n=n: 1.7e9 + 10.0 * n)
        made.append(collection.keep_snapshot().snapshot_id)
    assert [s.snapshot_id for s in collection.kept.list()] == [*reversed(made)]
    (next(tmp_path.rglob(f"kept-{made[1]}")) / "manifest.json").write_text("{}")
    assert [s.snapshot_id for s in collection.kept.list()] == [made[2], made[0]]
    assert sorted(collection.kept.ids()) == made
    assert len(collection.kept.files()) == 2


def test_what_is_erased_is_erased_from_a_new_file_that_alone_remains(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    before = collection.keep_snapshot()
    assert collection.kept.erase([]) == []
    assert collection.kept.erase([10**6]) == []
    assert collection.kept.list() == [before]  # nothing of it was concerned
    for revision in (1, 2):
        collection.delete([str(revision)])
        collection.clear_kept()
        (after,) = collection.kept.list()
        assert (after.revision, after.file, after.records) == (revision, f"records-{revision}.db", 20 - revision)
        assert [p.name for p in folder(tmp_path).glob("records*")] == [after.file]
        assert collection.kept.checked(after.snapshot_id)[0] == after
        assert list(collection.kept.problems(after.snapshot_id)) == []


def test_more_rows_than_fit_into_one_statement_are_erased(tmp_path: Path) -> None:
    _, collection = filled(tmp_path, 1200)
    collection.keep_snapshot()
    collection.delete([str(n) for n in range(1, 1150)])
    collection.clear_kept()
    (after,) = collection.kept.list()
    assert after.records == 51
    assert list(collection.kept.problems(after.snapshot_id)) == []


def test_files_that_no_manifest_names_are_tidied_up_unless_the_snapshot_is_damaged(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    made = collection.keep_snapshot()
    path = folder(tmp_path)
    for name in ("records-1.db", "records-1.db-wal"):
        (path / name).write_bytes(b"half")
    collection.kept.tidy()
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "records.db"]
    (path / "records-1.db").write_bytes(b"half")
    flip_byte(path / "records.db", 5000)
    collection.kept.tidy()
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "records-1.db", "records.db"]
    with pytest.raises(SnapshotDamaged):
        collection.kept.checked(made.snapshot_id)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "unknown snapshot format"),
        ({"file": "../records.db"}, "is not a valid database name"),
        ({"file": "records-1234567890.db"}, "is not a valid database name"),
        ({"home": "b" * 32}, "it belongs to another collection"),
        ({"snapshot_id": "20260101T000000-00000000"}, "does not list it here"),
        ({"more": 1}, "unexpected keyword"),
    ],
)
def test_a_manifest_that_fits_its_mac_and_not_its_place_is_damaged(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    _, collection = filled(tmp_path)
    made = collection.keep_snapshot()
    sign(folder(tmp_path), **changes)
    with pytest.raises(SnapshotDamaged, match=said):
        collection.kept.checked(made.snapshot_id)
    assert len(list(collection.kept.problems(made.snapshot_id))) == 1


@pytest.mark.parametrize("records", [0, 19, 21])
def test_a_number_of_records_that_is_not_the_databases_is_reported(tmp_path: Path, records: int) -> None:
    _, collection = filled(tmp_path)
    made = collection.keep_snapshot()
    assert list(collection.kept.problems(made.snapshot_id)) == []
    sign(folder(tmp_path), records=records)
    (told,) = collection.kept.problems(made.snapshot_id)
    assert "number of records differs" in told


def test_a_file_of_another_snapshot_is_not_taken_for_this_one(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    first, second = collection.keep_snapshot(), collection.keep_snapshot()
    paths = [next(tmp_path.rglob(f"kept-{s.snapshot_id}")) for s in (first, second)]
    shutil.copy(paths[1] / "records.db", paths[0] / "records.db")
    sign(paths[0], sha256=read_manifest(paths[1], KEY)[1])
    with pytest.raises(SnapshotDamaged, match="another file than the tenant's manifest lists"):
        collection.kept.checked(first.snapshot_id)
    collection.kept.checked(second.snapshot_id)


def test_snapshots_that_are_listed_and_not_there_are_missing(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    made = [collection.keep_snapshot().snapshot_id for _ in range(2)]
    assert collection.kept.missing() == []
    shutil.rmtree(next(tmp_path.rglob(f"kept-{made[0]}")))
    assert collection.kept.missing() == made[:1]
    with pytest.raises(SnapshotNotFound):
        collection.kept.checked(made[0])
    collection.kept.delete(made[1])
    assert collection.kept.missing() == made[:1]
    assert not list(tmp_path.rglob(f"kept-{made[1]}"))


def test_a_damaged_snapshot_is_reported_and_the_others_are_changed(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    bad, good = collection.keep_snapshot().snapshot_id, collection.keep_snapshot().snapshot_id
    flip_byte(next(tmp_path.rglob(f"kept-{bad}")) / "records.db", 5000)
    row_ids = [r.row_id for r in collection.list(0, 3)]
    thing = collection.kept._manifest.thing  # type: ignore[attr-defined]
    listed = next(name for name in collection.kept._manifest.things() if name.endswith(bad))  # type: ignore[attr-defined]
    for number in (1, 2, 3, 4):  # no copy from before is restored, however often it happens
        assert collection.kept.erase(row_ids) == [bad]
        assert (thing(listed).number, thing(listed).salt) == (number, b"")
    assert {s.snapshot_id: s.records for s in collection.kept.list()} == {bad: 20, good: 17}


def test_pictures_are_forgotten_where_a_policy_says_so_and_there_are_some(tmp_path: Path) -> None:
    _, collection = filled(tmp_path)
    before = collection.keep_snapshot()
    assert collection.kept.narrow(replace(collection.spec, picture_policy=PicturePolicy.DISCARD)) == []
    assert collection.kept.list() == [before]


def test_backups_of_collections_that_are_gone_are_found_by_the_name_that_they_had(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    kept = []
    for name in ("things", "things", "others"):
        collection = tenant.create(replace(SPEC, name=name))
        collection.upsert([record(n) for n in range(3)])
        kept.append(collection.keep_snapshot().snapshot_id)
        tenant.delete(name)
    retained = tenant.kept("things")
    assert [s.snapshot_id for s in retained.list()] == sorted(kept[:2], reverse=True)
    for snapshot_id in kept[:2]:
        assert retained.checked(snapshot_id)[0].snapshot_id == snapshot_id
        assert list(retained.problems(snapshot_id)) == []
    with pytest.raises(SnapshotNotFound):
        retained.checked(kept[2])
    with pytest.raises(SnapshotNotFound) as caught:
        retained.checked("x" * 100)
    assert "x" * 80 in str(caught.value)
    assert "x" * 81 not in str(caught.value)
    retained.delete(kept[0])
    assert [s.snapshot_id for s in retained.list()] == [kept[1]]
