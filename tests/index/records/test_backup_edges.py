"""Backups at their edges: many rows at once, names that are quoted, and whose of several a snapshot is."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from index import Collection, SnapshotDamaged, SnapshotNotFound, TenantDirectory
from index.contract import Companion
from index.records.backup_copies import copy_database, number_rows_after
from index.records.backup_manifest import manifest_mac, read_manifest
from index.records.backup_rows import delete_rows, has_excess, has_rows, narrow
from index.records.extensions.hook import Extension, Extensions, Reader
from index.records.extensions.registered import EXTENSIONS
from index.records.retained_backups import RetainedBackups
from index.records.transaction import Transaction
from index.storage.crypto import derive_key
from index.storage.sqlite import Connection, backup, opened
from index.types.collection import CollectionSpec
from tests.support.data.collections import KEY, SPEC, directory, loaded, record

ROWS = 1100


@pytest.fixture
def tenant(tmp_path: Path) -> TenantDirectory:
    return directory(tmp_path)


@pytest.fixture
def collection(tenant: TenantDirectory) -> Collection:
    made = tenant.create(SPEC)
    made.upsert([record(n) for n in range(5)])
    return made


def test_exactly_the_rows_that_are_named_are_erased_however_many(tenant: TenantDirectory, tmp_path: Path) -> None:
    made = tenant.create(SPEC)
    made.upsert([record(n) for n in range(ROWS)])
    source, key = loaded(made).store.connection, derive_key(KEY, "collection store")
    for count in (0, 1, 499, 500, 501, 1000, 1001):
        with closing(backup(source, tmp_path / f"{count}.db", key)) as copy:
            ids = [row[0] for row in copy.execute("SELECT row_id FROM records ORDER BY 1")]
            unknown = [10**9 + n for n in range(count)]
            assert not has_rows(copy, unknown)
            for place in {0, 500, count - 1} & set(range(count)):
                assert has_rows(copy, [*unknown[:place], ids[3], *unknown[place + 1 :]])
            delete_rows(copy, ids[7 : 7 + count], EXTENSIONS)
            left = [row[0] for row in copy.execute("SELECT row_id FROM records ORDER BY 1")]
            assert left == ids[:7] + ids[7 + count :]
            assert copy.execute("SELECT value FROM meta WHERE name = 'records'").fetchone() == (str(ROWS - count),)


class Beside(Extension):
    """An extension that may have something to drop, and notes what it was asked for."""

    def __init__(self, name: str, *, excess: bool) -> None:
        self.companion, self._excess = Companion(name), excess
        self.narrowed: list[CollectionSpec] = []

    def reads(self, reader: Reader) -> object:
        return None

    def writes(self, transaction: Transaction) -> object:
        return None

    def has_excess(self, connection: Connection) -> bool:
        return self._excess

    def narrow(self, connection: Connection, spec: CollectionSpec) -> None:
        assert connection.in_transaction
        self.narrowed.append(spec)
        connection.execute("DELETE FROM records WHERE record_id = '3'")


@pytest.mark.parametrize("excess", [(False, False), (False, True), (True, False), (True, True)])
def test_extensions_that_have_too_much_are_narrowed_and_no_others(
    collection: Collection, tmp_path: Path, excess: tuple[bool, bool]
) -> None:
    extensions = [Beside("one", excess=excess[0]), Beside("other", excess=excess[1])]
    key = derive_key(KEY, "collection store")
    with closing(backup(loaded(collection).store.connection, tmp_path / "copy.db", key)) as copy:
        assert has_excess(copy, Extensions(*extensions)) is any(excess)
        narrow(copy, SPEC, Extensions(*extensions))
        assert not copy.in_transaction
        left = [row[0] for row in copy.execute("SELECT record_id FROM records ORDER BY 1")]
    assert [e.narrowed for e in extensions] == [[SPEC] if e else [] for e in excess]
    assert ("3" in left) is not any(excess)


def test_each_erasure_is_a_revision_of_its_own(tmp_path: Path, collection: Collection) -> None:
    made = collection.keep_snapshot()
    (path,) = tmp_path.rglob("kept-*")
    for revision in (1, 2, 3):
        collection.delete([str(revision)])
        collection.compact()
        snapshot, _ = read_manifest(path, KEY)
        assert (snapshot.revision, snapshot.file, snapshot.records) == (
            revision,
            f"records-{revision}.db",
            5 - revision,
        )
        assert sorted(p.name for p in path.glob("records*.db")) == [f"records-{revision}.db"]
        assert snapshot.bytes == (path / snapshot.file).stat().st_size
        assert collection.kept.checked(made.snapshot_id)[0] == snapshot


def test_a_snapshot_is_of_the_second_at_which_it_was_made(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.records.backups.time.time", lambda: 1_700_000_000.25)
    made = collection.keep_snapshot()
    assert (made.created_ms, made.snapshot_id[:15]) == (1_700_000_000_250, "20231114T221320")


def test_what_is_refused_is_quoted_up_to_eighty_characters(tmp_path: Path, collection: Collection) -> None:
    collection.keep_snapshot()
    (path,) = tmp_path.rglob("kept-*")
    with pytest.raises(SnapshotNotFound, match=f"^no snapshot '{'x' * 80}'$"):
        collection.kept.checked("x" * 100)
    with pytest.raises(SnapshotNotFound, match=f"^no snapshot '{'x' * 80}'$"):
        RetainedBackups([], "things").delete("x" * 100)
    told = {**json.loads((path / "manifest.json").read_text()), "file": "y" * 100}
    del told["mac"]
    (path / "manifest.json").write_text(json.dumps({**told, "mac": manifest_mac(KEY, told)}))
    with pytest.raises(SnapshotDamaged, match=f" '{'y' * 80}' is not a valid database name"):
        read_manifest(path, KEY)


class Kept:
    """Snapshots of a collection that is gone: name and id of each."""

    def __init__(self, *listed: tuple[str, str]) -> None:
        self._listed = [SimpleNamespace(spec=SimpleNamespace(name=name), snapshot_id=i) for name, i in listed]
        self.deleted: list[str] = []

    def list(self) -> list[Any]:
        return self._listed

    def delete(self, snapshot_id: str) -> None:
        self.deleted.append(snapshot_id)


def test_snapshots_that_are_retained_are_those_of_the_name_the_newest_first() -> None:
    first, second = Kept(("b", "3"), ("a", "1"), ("c", "2")), Kept(("b", "4"), ("b", "0"), ("c", "5"))
    homes: list[Any] = [first, second]
    assert [s.snapshot_id for s in RetainedBackups(homes, "b").list()] == ["4", "3", "0"]
    assert [s.snapshot_id for s in RetainedBackups(homes, "a").list()] == ["1"]
    assert RetainedBackups(homes, "").list() == []
    RetainedBackups(homes, "b").delete("0")
    RetainedBackups(homes, "c").delete("2")
    assert (first.deleted, second.deleted) == (["2"], ["0"])
    for name, wrong in (("b", "1"), ("a", "3"), ("c", "4"), ("d", "5"), ("b", "")):
        with pytest.raises(SnapshotNotFound):
            RetainedBackups(homes, name).delete(wrong)


def copy_to(source: Path, target: Path, key: bytes = KEY) -> None:
    """Copies a database under the test's key to one under another."""
    place: Any = SimpleNamespace(
        layout=SimpleNamespace(records=target), key=key, store_key=derive_key(key, "collection store")
    )
    copy_database(source, KEY, place, EXTENSIONS)


@pytest.mark.parametrize("other", [bytes(32), b"\xff" * 32, KEY])
def test_digests_are_copied_under_the_same_key_alone(collection: Collection, tmp_path: Path, other: bytes) -> None:
    collection.upsert([replace(record(1), digest=b"d")])
    source = next(tmp_path.rglob("records.db"))
    copy_to(source, tmp_path / "copy.db", other)
    with opened(tmp_path / "copy.db", derive_key(other, "collection store")) as copy:
        assert copy.execute("SELECT count(*) FROM records").fetchone() == (5,)
        digests = [row[0] for row in copy.execute("SELECT digest FROM records WHERE digest IS NOT NULL")]
    assert digests == ([b"d"] if other == KEY else [])


def test_rows_are_numbered_after_the_highest_of_all(collection: Collection, tmp_path: Path) -> None:
    key, source = derive_key(KEY, "collection store"), next(tmp_path.rglob("records.db"))
    others = []
    for number in (3, 900, 40):
        others.append(tmp_path / f"{number}.db")
        copy_to(source, others[-1])
        with opened(others[-1], key) as copy:
            copy.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'records'", (number,))
    (tmp_path / "damaged.db").write_bytes(b"x" * 5000)
    others.insert(1, tmp_path / "damaged.db")
    for path, highest in ((others[0], 900), (others[2], 900)):
        number_rows_after(path, key, others)
        with opened(path, key) as copy:
            assert copy.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone() == (highest,)


def test_what_a_manifest_tells_never_changes(collection: Collection) -> None:
    made = collection.keep_snapshot()
    for name in vars(made):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, 1)
