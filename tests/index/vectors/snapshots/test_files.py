import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from index import Collection, DataFault, SearchQuery
from index.contract import IndexSite
from index.types.errors import SnapshotDamaged
from index.vectors.snapshots.files import SnapshotFiles
from index.vectors.snapshots.manifest import SnapshotManifests
from tests.support.data.collections import KEY, SPEC, directory, ids, loaded, record, vector
from tests.support.data.data_directory import tree
from tests.support.data.files import all_bytes, flip_byte, shorten

VECTORS, RECORDS = "vectors-00000.enc", "records-00000.enc"


def filled(root: Path) -> tuple[Path, int]:
    """A closed collection of 60 records; returns its newest snapshot and the sequence number."""
    tenant = directory(root)
    collection = tenant.create(SPEC)
    collection.upsert([record(n, product_id=f"p{n % 7}", price=n, tags=("a",)) for n in range(60)])
    collection.delete(["5"])
    sequence = collection.stats().sequence
    tenant.close()
    return next(root.rglob("snapshot-*")), sequence


def reopened(root: Path) -> Collection:
    return directory(root).collection("things")


def check_is_whole(collection: Collection) -> None:
    assert collection.stats().records == 59
    assert all(ids(collection, SearchQuery(vector(n), k=1)) == [str(n)] for n in range(60) if n != 5)
    assert collection.count('price < 10 AND tags:"a"') == 9
    assert collection.count("product_id = p3") == 9


def test_a_start_loads_the_snapshot_and_replays_what_came_after(tmp_path: Path) -> None:
    filled(tmp_path)
    tenant = directory(tmp_path)
    collection = tenant.collection("things")
    collection.upsert([record(100), record(7, price=1000)])
    collection.delete(["8"])
    tenant.abandon()  # as after kill -9: no new snapshot
    again = reopened(tmp_path)
    assert loaded(again).index.state.snapshot_sequence == 61
    assert again.stats().records == 59
    assert again.count("price = 1000") == 1
    assert ids(again, SearchQuery(vector(100), k=1)) == ["100"]


def test_a_snapshot_that_does_not_say_whose_it_is_must_be_known_to_be_of_the_collection(tmp_path: Path) -> None:
    newest, _ = filled(tmp_path)
    site = IndexSite(newest.parent, KEY)
    manifests = SnapshotManifests(SPEC, site)
    manifest = json.loads((newest / "manifest.json").read_text())
    assert manifests.read(newest) == manifest
    del manifest["collection"], manifest["mac"]
    (newest / "manifest.json").write_bytes(manifests.signed(manifest))
    with pytest.raises(SnapshotDamaged, match="belongs to another collection"):
        manifests.read(newest)
    known = SnapshotManifests(SPEC, replace(site, trusted=frozenset({manifests.mac(manifest)})))
    assert known.read(newest)["sequence"] == manifest["sequence"]


def test_a_snapshot_is_written_beside_one_whose_manifest_was_damaged_meanwhile(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(n) for n in range(5)])
    collection.snapshot()
    (next(tmp_path.rglob("snapshot-*")) / "manifest.json").write_text("{}")
    collection.upsert([record(7)])
    collection.snapshot()
    tenant.abandon()
    again = reopened(tmp_path)
    assert loaded(again).index.state.snapshot_sequence == 6
    assert again.stats().records == 6


Damage = Callable[[Path], None]


def _edit_manifest(path: Path, name: str, value: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest[name] = value
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: flip_byte(p / VECTORS, 100),
        lambda p: flip_byte(p / VECTORS, -1),
        lambda p: flip_byte(p / RECORDS, 30),
        lambda p: flip_byte(p / "columns.enc", 40),
        lambda p: flip_byte(p / "rows.enc", 60),
        lambda p: shorten(p / VECTORS, 1),
        lambda p: shorten(p / RECORDS, 1),
        lambda p: shorten(p / "rows.enc", 40),
        lambda p: (p / VECTORS).write_bytes(b""),
        lambda p: (p / VECTORS).unlink(),
        lambda p: (p / "rows.enc").unlink(),
        lambda p: (p / "columns.enc").unlink(),
        lambda p: (p / "manifest.json").unlink(),
        lambda p: flip_byte(p / "manifest.json", 30),
        lambda p: (p / "manifest.json").write_text("{}"),
        lambda p: (p / "manifest.json").write_text("not json"),
        lambda p: _edit_manifest(p, "sequence", 10**9),
        lambda p: _edit_manifest(p, "encoder_fingerprint", "0" * 16),
        lambda p: _edit_manifest(p, "faiss_version", "0.0.1"),
        lambda p: _edit_manifest(p, "mac", "0" * 64),
        lambda p: os.replace(p / "rows.enc", p / VECTORS),
    ],
)
def test_a_damaged_snapshot_is_set_aside_and_rebuilt_from_the_store(tmp_path: Path, damage: Damage) -> None:
    path, _ = filled(tmp_path)
    damage(path)
    collection = reopened(tmp_path)
    assert [p.name.split("-")[0] for p in collection.damaged_snapshots] == ["damaged"]
    assert not path.exists()
    check_is_whole(collection)


def test_a_missing_snapshot_is_rebuilt_from_the_store(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    check_is_whole(reopened(tmp_path))


def test_an_older_copy_of_the_store_is_not_served_and_the_snapshot_stays(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    store = path.parent / "records.db"
    earlier = store.read_bytes()
    tenant = directory(tmp_path)
    tenant.collection("things").upsert([record(n) for n in range(200, 220)])
    tenant.close()
    store.write_bytes(earlier)  # somebody put an old copy of the store back
    before = tree(path.parent)
    for _ in range(2):
        with pytest.raises(DataFault, match="older copy"):
            directory(tmp_path).collection("things").count()
    assert tree(path.parent) == before


def test_an_older_copy_that_no_manifest_knows_of_is_known_by_the_snapshot(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    store, manifest = path.parent / "records.db", path.parents[1] / "manifest.db"
    earlier = {p: p.read_bytes() for p in (store, manifest)}
    tenant = directory(tmp_path)
    tenant.collection("things").upsert([record(n) for n in range(200, 220)])
    tenant.close()
    for file, content in earlier.items():
        file.write_bytes(content)
    with pytest.raises(DataFault, match=r"records\.db is an older copy: its last write has number"):
        directory(tmp_path).collection("things").count()


def test_a_snapshot_from_before_forgotten_deletions_does_not_bring_them_back(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    earlier = path.parent / "put-back"
    shutil.copytree(path, earlier)
    tenant = directory(tmp_path)
    tenant.collection("things").delete(["6"])
    tenant.close()
    (newest,) = path.parent.glob("snapshot-*")
    shutil.rmtree(newest)
    earlier.rename(path)
    collection = reopened(tmp_path)
    assert len(collection.damaged_snapshots) == 1
    assert (collection.get(["6"]), "6" in ids(collection, SearchQuery(vector(6), 100))) == ({}, False)


def test_a_file_whose_sha256_is_not_the_manifests_is_named(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    place = reopened(tmp_path).handle.place
    files = SnapshotFiles(place.spec, place.site)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["rows.enc"]["sha256"] = "0" * 64
    manifest["mac"] = files._manifests.mac(manifest)  # so that nothing but the file's own digest tells
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert list(files.problems(path)) == [f"{path.name}: rows.enc: its SHA-256 differs from the manifest"]


def test_a_snapshot_that_was_being_written_at_a_crash_is_removed(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    leftover = path.with_name(".writing-snapshot-00000000000000000099")
    leftover.mkdir()
    (leftover / "vectors.enc").write_bytes(b"half")
    check_is_whole(reopened(tmp_path))
    assert not leftover.exists()


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_snapshot_that_the_disk_refuses_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path, _ = filled(tmp_path)
    collection = reopened(tmp_path)
    collection.upsert([record(300)])

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse) if failing == "fsync" else patched.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="No space left"):
            collection.snapshot()
    assert path.exists()
    assert not list(path.parent.glob(".writing-*"))
    collection.snapshot()
    assert not path.exists()  # replaced by the newer one


def test_only_the_newest_snapshot_is_kept_so_that_deleted_vectors_do_not_stay(tmp_path: Path) -> None:
    path, _ = filled(tmp_path)
    collection = reopened(tmp_path)
    collection.delete(["1"])
    collection.snapshot()
    assert [p.name for p in path.parent.glob("snapshot-*")] == ["snapshot-00000000000000000062"]


def test_no_file_holds_an_id_an_attribute_or_a_vector_in_the_clear(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(424242, product_id="PRODUCTMARK", note="ATTRIBUTEMARK")])
    normalised = vector(424242) / float((vector(424242).astype("f8") ** 2).sum() ** 0.5)
    tenant.close()
    content = all_bytes(tmp_path)
    for mark in (b"424242", b"PRODUCTMARK", b"ATTRIBUTEMARK", b"things", normalised.astype("<f4").tobytes()[:12],
                 normalised.astype("<f2").tobytes()[:8]):  # fmt: skip
        assert mark not in content
