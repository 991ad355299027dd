"""Snapshots of rows in many chunks: every row is restored, and unchanged chunks are not written again."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from index import Collection, SearchQuery
from index.storage.crypto import encrypted_frames
from index.types.errors import SnapshotDamaged
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.signatures import BYTES
from index.vectors.segment import payloads
from index.vectors.snapshots import files, parts
from index.vectors.snapshots.files import SnapshotFiles
from index.vectors.snapshots.manifest import new_lineage, purpose_of
from tests.support.data.collections import SPEC, directory, ids, loaded, record, vector
from tests.support.data.files import flip_byte

CHUNK, ROWS = 16, 50


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (payloads, files, parts):
        monkeypatch.setattr(module, "CHUNK_ROWS", CHUNK)


def filled(root: Path, transform: CenteringTransform | None = None) -> Collection:
    collection = directory(root).create(SPEC)
    if transform is not None:
        loaded(collection).index.learn(transform)
    collection.upsert([record(n, f"p{n % 7}", price=n, tags=("a", f"t{n % 3}")) for n in range(ROWS)])
    return collection


def folder(root: Path) -> Path:
    (found,) = root.rglob("snapshot-*")
    return found


def check(collection: Collection, gone: frozenset[int] = frozenset()) -> None:
    assert collection.stats().records == ROWS - len(gone)
    for n in range(ROWS):
        found = collection.get([str(n)], vectors=True).get(str(n))
        assert (found is None) == (n in gone)
        if found is not None:
            assert (found.product_id, found.attributes["price"], found.attributes["tags"]) == (
                f"p{n % 7}", float(n), ("a", f"t{n % 3}"),
            )  # fmt: skip
            assert ids(collection, SearchQuery(vector(n), 1, by_distance=True)) == [str(n)]
            assert ids(collection, SearchQuery(vector(n), 1, filter=f"product_id = p{n % 7}", by_distance=True)) == [
                str(n)
            ]


@pytest.mark.parametrize("learnt", [False, True])
def test_rows_of_every_chunk_are_loaded_as_they_were(tmp_path: Path, learnt: bool) -> None:
    means = 0.2 * np.random.default_rng(2).standard_normal((2, 16)).astype(np.float32)
    collection = filled(tmp_path, CenteringTransform(means[0], means[1]) if learnt else None)
    collection.delete(["0", "15", "16", "49"])
    collection.upsert([record(n, f"p{n % 7}", price=n, tags=("a", f"t{n % 3}"), new=1) for n in (20, 3)])
    collection.snapshot()
    view = loaded(collection).index.view
    asked = [SearchQuery(vector(1000 + n), 10) for n in range(5)]
    before = [ids(collection, query) for query in asked]
    names = {p.name for p in folder(tmp_path).iterdir()}
    assert names == {"manifest.json", "rows.enc", "columns.enc"} | {
        f"{kind}-0000{n}.enc" for kind in ("vectors", "records") for n in range(4)
    }
    assert list(_files(collection).all_problems()) == []
    again = directory(tmp_path).collection("things")
    check(again, frozenset({0, 15, 16, 49}))
    for name in ("row_ids", "sequences", "products"):
        kept = getattr(loaded(again).index.view, name)
        assert kept.tolist() == getattr(view, name).tolist()
    assert view.sequences.tolist() != view.row_ids.tolist()
    assert loaded(again).index.state.snapshot_sequence == again.stats().sequence
    assert again.damaged_snapshots == []
    assert [ids(again, query) for query in asked] == before


def test_chunks_that_did_not_change_are_linked_and_others_written(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.snapshot()

    def inodes() -> dict[str, int]:
        return {p.name: p.stat().st_ino for p in folder(tmp_path).glob("*-*.enc")}

    before = inodes()
    collection.delete(["20"])  # of the second chunk
    collection.upsert([record(100)])  # behind the last
    collection.snapshot()
    after = inodes()
    assert {name for name in after if before.get(name) == after[name]} == {
        f"{kind}-0000{n}.enc" for kind in ("vectors", "records") for n in (0, 2)
    }
    check_without_20 = directory(tmp_path).collection("things")
    assert check_without_20.get(["20"]) == {}
    assert ids(check_without_20, SearchQuery(vector(100), 1)) == ["100"]


def test_chunks_of_another_lineage_are_never_linked(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    before = {p.name: p.stat().st_ino for p in folder(tmp_path).glob("*-*.enc")}
    collection.upsert([record(100)])
    _files(collection).write(loaded(collection).index.state.rows.view, new_lineage())
    after = {p.name: p.stat().st_ino for p in folder(tmp_path).glob("*-*.enc")}
    assert not set(before.items()) & set(after.items())
    assert new_lineage() != new_lineage()
    assert len(new_lineage()) == 16


def test_deleted_rows_are_zeros_in_what_is_packed(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.delete(["17", "31"])
    view = loaded(collection).index.state.rows.view
    rows = np.frombuffer(parts.pack_vectors(view, 16, 32), np.float16).reshape(16, 16)
    assert [n for n in range(16) if not rows[n].any()] == [1, 15]
    packed = bytes(parts.pack_chunk(view, 16, 32))
    offsets = np.frombuffer(packed[: 4 * 17], np.uint32)
    assert offsets[0] == 0
    assert len(packed) == 4 * 17 + offsets[-1]
    contents = [packed[4 * 17 + a : 4 * 17 + b] for a, b in pairwise(offsets.tolist())]
    assert [n for n in range(16) if not any(contents[n])] == [1, 15]
    last = np.frombuffer(parts.pack_vectors(view, 48, 50), np.float16)
    assert last.size == 2 * 16


def test_what_is_wrong_with_a_snapshot_is_reported_file_by_file(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    path = folder(tmp_path)
    (path / "stranger").touch()
    flip_byte(path / "records-00001.enc", 50)
    (path / "vectors-00002.enc").unlink()
    told = sorted(_files(collection).problems(path))
    assert len(told) == 3
    assert all(line.startswith(f"{path.name}: ") for line in told)
    assert any("stranger does not belong to it" in line for line in told)
    assert any("records-00001.enc" in line for line in told)
    assert list(_files(collection).all_problems()) != []
    (path / "manifest.json").write_text("[]")
    assert list(_files(collection).problems(path)) == [f"{path.name}: the manifest has no MAC"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("format", 2, "format is invalid"), ("encoder_fingerprint", "0" * 16, "encoder_fingerprint is invalid"),
        ("collection", "b" * 32, "it belongs to another collection"), ("dimension", 8, "dimension"),
        ("rows", ROWS - 1, "rows"), ("rows", ROWS + 1, "rows"),
    ],
)  # fmt: skip
def test_a_manifest_that_fits_its_mac_and_not_its_rows_is_damaged(
    tmp_path: Path, name: str, value: object, said: str
) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    path, snapshots = folder(tmp_path), _files(collection)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest[name] != value
    manifest[name] = value
    manifest["mac"] = snapshots._manifests.mac(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SnapshotDamaged, match=said):
        snapshots.load(path, None)


@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_a_live_row_beyond_the_last_is_damage(tmp_path: Path, beyond: int) -> None:
    view = loaded(filled(tmp_path)).index.view
    arrays = bytes(parts.pack_rows(view))[: 20 * view.count]  # row ids, sequence numbers, product numbers
    packed = bytearray(arrays + BitMap([view.count + beyond]).serialize())
    rows = parts.LoadingRows(view.count, 0, 16, None)
    with pytest.raises(SnapshotDamaged, match="a live row is not there"):
        rows.finished({"rows.enc": packed})


def test_a_snapshot_seen_from_another_frame_is_passed_over(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    mean = np.full(16, 0.1, np.float32)
    assert _files(collection).load(folder(tmp_path), CenteringTransform(mean, mean)) is None


def test_damaged_snapshots_of_one_name_are_set_aside_under_names_of_their_own(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    placed = []
    for _ in range(3):
        collection.snapshot()
        path = folder(tmp_path)
        placed.append(_files(collection)._set_aside(path))
        assert not path.exists()
    assert len(set(placed)) == 3
    assert [p.name.removeprefix(placed[0].name) for p in placed] == ["", "-2", "-3"]
    assert all((p / "manifest.json").exists() for p in placed)


@pytest.mark.parametrize("rows", [CHUNK - 1, CHUNK + 1])
def test_vectors_of_fewer_or_more_rows_than_there_is_room_for_are_damage(tmp_path: Path, rows: int) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    path, snapshots = folder(tmp_path), _files(collection)
    manifest = snapshots._manifests.read(path)
    name = "vectors-00000.enc"
    (path / name).unlink()
    frames = encrypted_frames(snapshots._key, purpose_of(name), bytes(rows * SPEC.dimension * 2))
    manifest["files"][name] = files._written(path / name, frames, manifest["files"][name]["stamp"])
    (path / "manifest.json").write_bytes(snapshots._manifests.signed(manifest))
    with pytest.raises(SnapshotDamaged, match=f"{name} has another size than its rows"):
        snapshots.load(path, None)


def _files(collection: Collection) -> SnapshotFiles:
    return SnapshotFiles(collection.spec, collection.handle.place.site)


def test_chunks_that_were_loaded_are_packed_again_as_they_were(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    collection.snapshot()
    again = directory(tmp_path).collection("things")
    view, fresh = (loaded(c).index.state.rows.view for c in (again, collection))
    for start in range(0, ROWS, CHUNK):
        end = min(start + CHUNK, ROWS)
        assert bytes(parts.pack_chunk(view, start, end)) == bytes(parts.pack_chunk(fresh, start, end))
        assert bytes(parts.pack_vectors(view, start, end)) == bytes(parts.pack_vectors(fresh, start, end))
    assert bytes(parts.pack_rows(view)) == bytes(parts.pack_rows(fresh))
    again.delete(["3", "20", "37", "49"])  # of each chunk one
    again.snapshot()
    check(directory(tmp_path).collection("things"), frozenset({3, 20, 37, 49}))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 100])
def test_there_is_room_for_every_row_and_for_at_least_64(count: int) -> None:
    rows = parts.LoadingRows(count, 20, 16, None)
    sizes = {name: len(room) for name, room in rows.rooms.items()}
    starts = list(enumerate(range(0, count, CHUNK)))
    assert sizes == {
        **{f"vectors-{n:05d}.enc": 32 * min(CHUNK, count - start) for n, start in starts},
        **{f"sketches-{n:05d}.enc": BYTES * size for n, size in enumerate([16, 4])},
    }
    assert rows.float16.shape == (count, 16)
    assert rows.signatures.shape == (20, BYTES)
    for room in rows.rooms.values():
        room[:] = b"\1" * len(room)
    assert (rows.signatures == 1).all()
    assert (np.asarray(rows.float16[:]).view(np.uint8) == 1).all()


@pytest.mark.parametrize("ann_rows", [0, 1, 16, 17, 40])
def test_every_part_has_a_stamp_of_what_is_in_it(tmp_path: Path, ann_rows: int) -> None:
    collection = directory(tmp_path).create(SPEC)
    live = BitMap(range(ROWS)) - BitMap([3, 20, 21, 49])
    mean = SimpleNamespace(mean=np.zeros(4, np.float32))
    ann_index = SimpleNamespace(uid="base", signature_encoder=mean, to_bytes=bytes) if ann_rows else None
    view: Any = SimpleNamespace(count=ROWS, ann_rows=ann_rows, live=live, ann_index=ann_index, sequence=7)
    stamps = {name: stamp for name, _, stamp in _files(collection)._parts(view)}
    expected: dict[str, Any] = {"rows.enc": [7], "columns.enc": [7], **({"base.enc": ["base"]} if ann_index else {})}
    for kinds, count in ((("vectors", "records"), ROWS), (("sketches",), ann_rows)):
        for number, start in enumerate(range(0, count, CHUNK)):
            end = min(start + CHUNK, count)
            stamp = [end - start, sum(slot in live for slot in range(start, end))]
            for kind in kinds:
                seen = [parts.signed_through(view)] if kind == "sketches" else []
                expected[f"{kind}-{number:05d}.enc"] = stamp + seen
    assert stamps == expected
    assert parts.signed_through(view) == ("" if ann_index is None else hashlib.sha256(bytes(16)).hexdigest()[:16])
