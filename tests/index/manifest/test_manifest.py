"""The manifest of a tenant's directory: what is on disk at which moment, and what is deferred."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index.manifest import manifest as module
from index.manifest.entries import COLUMNS, MIGRATIONS, Entry, details_of, entry_of, read_entries, records_name
from index.manifest.manifest import Manifest, State, Thing, salt_of
from index.storage.layout import new_uid
from index.storage.sqlite import DatabaseError, connect
from index.storage.steps import watched
from index.types.collection import CollectionSpec
from index.types.companions import PicturePolicy
from index.types.errors import DataFault

KEY = bytes(range(32))
A, B = Thing("a/records.db", State.CREATING, b"s" * 16, 3, {"x": 1}), Thing("b/records.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.db"


@pytest.fixture
def manifest(path: Path) -> Manifest:
    return Manifest(path, KEY)


def on_disk(path: Path) -> dict[str, Thing]:
    return Manifest(path, KEY).things()


def test_what_is_put_is_on_disk_and_each_change_is_counted(manifest: Manifest, path: Path) -> None:
    assert (manifest.generation(), manifest.things(), manifest.thing("a/records.db")) == (0, {}, None)
    manifest.put(A, B)
    assert on_disk(path) == {A.name: A, B.name: B}
    assert manifest.generation() == 1
    manifest.put(replace(A, state=State.PRESENT))
    assert manifest.thing(A.name) == replace(A, state=State.PRESENT)
    assert manifest.generation() == 2
    assert (B.state, B.salt, B.number, dict(B.details)) == (State.PRESENT, b"", 0, {})


def test_a_generation_is_at_least_what_was_asked_for_and_always_grows(manifest: Manifest, path: Path) -> None:
    manifest.put(A, generation=10)
    assert manifest.generation() == 10
    manifest.put(A, generation=5)
    assert manifest.generation() == 11
    manifest.put(A, generation=20)
    assert manifest.generation() == 20
    assert Manifest(path, KEY).generation() == 20


def test_what_comes_later_is_seen_at_once_and_written_with_the_next_change(manifest: Manifest, path: Path) -> None:
    manifest.put(A, B)
    manifest.later(replace(A, number=9))
    manifest.drop_later(B.name, "unknown")
    assert manifest.things() == {A.name: replace(A, number=9)}
    assert (manifest.thing(A.name), manifest.thing(B.name)) == (replace(A, number=9), None)
    assert on_disk(path) == {A.name: A, B.name: B}
    manifest.flush()
    assert on_disk(path) == {A.name: replace(A, number=9)}
    assert manifest.generation() == 2
    manifest.flush()  # nothing waits
    assert manifest.generation() == 2


def test_a_change_takes_along_what_waits(manifest: Manifest, path: Path) -> None:
    manifest.later(A)
    manifest.note(A.name, 7, more=True)
    manifest.put(B)
    assert on_disk(path) == {A.name: replace(A, number=7, details={"x": 1, "more": True}), B.name: B}


def test_a_noted_number_only_grows_and_details_are_merged(manifest: Manifest, path: Path) -> None:
    manifest.put(A)
    for number, details in ((8, {"y": 2}), (5, {"z": 3}), (7, {"y": 4})):
        manifest.note(A.name, number, **details)
    manifest.note("unknown", 5)
    noted = replace(A, number=8, details={"x": 1, "y": 4, "z": 3})
    assert manifest.thing(A.name) == noted
    assert manifest.things() == {A.name: noted}
    assert on_disk(path) == {A.name: A}
    manifest.flush()
    assert on_disk(path) == {A.name: noted}
    manifest.note(A.name, 2)
    manifest.flush()
    assert on_disk(path) == {A.name: noted}


def test_a_change_that_fails_leaves_the_list_as_it_was_and_waits_on(
    manifest: Manifest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.put(A)
    manifest.later(B)
    monkeypatch.setattr(module, "json", None)
    with pytest.raises(AttributeError):
        manifest.flush()
    monkeypatch.undo()
    assert on_disk(path) == {A.name: A}
    assert manifest.thing(B.name) == B
    manifest.flush()
    assert on_disk(path) == {A.name: A, B.name: B}


def test_another_tenants_list_and_a_damaged_one_are_reported(manifest: Manifest, path: Path) -> None:
    with pytest.raises(DataFault, match="is damaged, or belongs to another tenant"):
        Manifest(path, bytes(32))
    path.unlink()
    with pytest.raises(DataFault):
        manifest.things()
    assert not path.exists()


def test_a_test_may_cut_before_and_after_each_change(manifest: Manifest) -> None:
    steps: list[str] = []
    with watched(steps.append):
        manifest.put(A)
        manifest.later(B)
    assert steps == ["before manifest.db is changed", "manifest.db is changed"]


def test_no_connection_stays_open(manifest: Manifest, path: Path) -> None:
    manifest.put(A)
    assert manifest.things()
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # a log would lie beside an open one


def test_the_salt_of_a_database_is_its_beginning(manifest: Manifest, path: Path) -> None:
    manifest.put(A)
    assert salt_of(path) == path.read_bytes()[:16]
    assert salt_of(path.with_name("nothing")) == b""


SPEC = CollectionSpec("shoes", "builtin", "f" * 16, 512, "of leather", False, PicturePolicy.REFERENCE, 3, True, True)


def test_the_details_of_a_collection_survive_json() -> None:
    for spec in (SPEC, replace(SPEC, learning=True, partial=False, picture_policy=PicturePolicy.DISCARD)):
        entry = Entry(new_uid(), "home", spec)
        assert entry_of(entry.uid, details_of(entry)) == entry
    with pytest.raises((KeyError, TypeError, ValueError)):
        entry_of("uid", {"home": "home", "spec": {"name": "shoes"}})
    assert records_name("uid") == "uid/records.db"


def test_a_list_of_collections_of_each_format_is_read(tmp_path: Path) -> None:
    first = connect(tmp_path / "collections.db", KEY)
    first.execute(MIGRATIONS[0])
    first.execute("INSERT INTO collections VALUES ('shoes', 'uid', 'of leather', 'builtin', 'ffff', 512, 7)")
    for migration in MIGRATIONS[1:]:
        for statement in filter(str.strip, migration.split(";")):
            first.execute(statement)
    spec = CollectionSpec("shoes", "builtin", "ffff", 512, "of leather", True, PicturePolicy.DISCARD, 1, False)
    assert read_entries(first) == [Entry("uid", "uid", spec)]
    marks = ", ".join("?" * len(COLUMNS.split(",")))
    row = ("u2", "h2", "hats", "builtin", "ffff", 512, "", 0, "REFERENCE", 3, 1, 1, "{}")
    first.execute(f"INSERT INTO collections ({COLUMNS}, created_ms) VALUES ({marks}, 1)", row)
    specs = {e.uid: (e.home, e.spec) for e in read_entries(first)}
    found = {n: (h, s.learning, s.partial, s.feedback, s.tuning) for n, (h, s) in specs.items()}
    assert found == {"uid": ("uid", True, False, False, ""), "u2": ("h2", False, True, True, "{}")}
    with pytest.raises(DatabaseError):
        first.execute("INSERT INTO collections (name, uid) VALUES ('shoes', 'other')")
    first.close()
