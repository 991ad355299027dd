"""Copies of pictures and what has them, interrupted at each step: after a start every copy that a record has is there,
and no other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from index import AfterimageIndexError, Collection, KeptPicture, PicturePolicy, RecordWrite, TenantDirectory
from service.engine.picture_storage import PictureStorage
from service.engine.workers import Workers
from service.objects.sealed import SealedObjects, new_object_id
from service.objects.store import ObjectStore
from tests.support.data.collections import KEY, SPEC, directory, vector
from tests.support.data.cuts import copy_of, cut
from tests.support.data.files import flip_byte

TENANT = "a" * 32


@dataclass(frozen=True)
class Place:
    """A tenant's directory and the copies of its pictures."""

    directory: TenantDirectory
    storage: ObjectStore
    pictures: PictureStorage

    def keep(self, name: str, record_id: str, picture: bytes) -> None:
        """Stores a record with a copy of its picture, as the service does."""
        collection, object_id = self.directory.collection(name), new_object_id()
        collection.pictures.announce(object_id)
        self.pictures.objects.put(TENANT, collection.pictures.home, object_id, picture)
        kept = KeptPicture(object_id, len(picture))
        collection.upsert([RecordWrite(record_id, vector(1), digest=object_id.encode(), kept=kept)])

    def sweep(self) -> None:
        """Deletes what is nobody's, as the service does in the background."""
        self.pictures.sweep_all([(TENANT, self.directory)], cold_too=True)

    def restore(self) -> None:
        kept = self.directory.kept("hats").list()[0]
        self.directory.restore("hats", kept.snapshot_id, "hats", replacing=True)

    def held(self, collection: Collection) -> dict[str, bytes]:
        """The picture of each record that has a copy."""
        home, found = collection.pictures.home, collection.pictures.of([str(n) for n in range(9)])
        return {i: self.pictures.objects.get(TENANT, home, kept.object_id) for i, kept in found.items()}


def opened(root: Path, workers: Workers) -> Place:
    storage = ObjectStore(root / "objects")
    return Place(directory(root), storage, PictureStorage(SealedObjects(storage, lambda _: KEY), workers))


CHANGES: dict[str, Callable[[Place], object]] = {
    "keep a copy": lambda p: p.keep("hats", "7", b"new"),
    "replace a copy": lambda p: p.keep("hats", "1", b"other"),
    "delete a record": lambda p: p.directory.collection("hats").delete(["1"]),
    "erase a record": lambda p: p.directory.collection("hats").erase(["1"]),
    "discard": lambda p: p.directory.set_policy("hats", PicturePolicy.DISCARD),
    "restore": lambda p: p.restore(),
    "delete a collection": lambda p: p.directory.delete("hats", with_kept=True),
}


@pytest.fixture(autouse=True)
def _uploads_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.records.extensions.picture_book.UPLOAD_S", -1.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    with closing(Workers(1)) as workers:
        place = opened(root, workers)
        for name in ("hats", "shoes"):
            place.directory.create(replace(SPEC, name=name, picture_policy=PicturePolicy.ENCRYPTED_COPY))
            for number in range(3):
                place.keep(name, str(number), f"{name} {number}".encode())
        place.directory.collection("hats").keep_snapshot()
        place.keep("hats", "3", b"after the snapshot")
        place.directory.close()
    return root


def state(root: Path, workers: Workers) -> dict[str, dict[str, bytes]]:
    """The copies that records have after a start. There are no others."""
    place = opened(root, workers)
    try:
        place.sweep()
        collections = [place.directory.collection(name) for name in place.directory.names()]
        found = {c.spec.name: place.held(c) for c in collections}
        assert len(place.storage.names(TENANT)) == sum(map(len, found.values()))
        return found
    finally:
        place.directory.close()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_copies_that_is_cut_off_is_as_before_or_after(whole: Path, tmp_path: Path, name: str) -> None:
    root = copy_of(whole, tmp_path / "data")
    with closing(Workers(1)) as workers:
        place = opened(root, workers)

        def change() -> None:
            CHANGES[name](place)
            place.sweep()

        cuts = cut(change, root, tmp_path / "cuts")
        place.directory.close()
        before, after = state(copy_of(whole, tmp_path / "before"), workers), state(root, workers)
        found = [state(path, workers) for path in cuts]
    assert before != after
    assert all(one in (before, after) for one in found), [path.name for path in cuts]
    which = [one == after for one in found]
    assert which == sorted(which), "what was done is undone"
    assert len(cuts) >= 1


def test_what_others_deleted_goes_while_a_collection_is_damaged(whole: Path, tmp_path: Path) -> None:
    root = copy_of(whole, tmp_path / "data")
    with closing(Workers(1)) as workers:
        place = opened(root, workers)
        hats = place.directory.collection("hats").handle.place.layout.records
        place.directory.collection("shoes").delete(["1"])
        place.directory.close()
        for position in range(6144, hats.stat().st_size, 4096):
            flip_byte(hats, position)
        place = opened(root, workers)
        with pytest.raises(AfterimageIndexError):
            place.directory.collection("hats").pictures.loose()
        before = len(place.storage.names(TENANT))
        place.sweep()
        assert len(place.storage.names(TENANT)) == before - 1
        place.directory.close()
