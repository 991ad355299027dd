"""Saved searches of a collection, against a plain dictionary of lists."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from index import (
    Collection,
    InvalidInput,
    Quota,
    QuotaExceeded,
    SavedSearch,
    SavedSearchExists,
    SavedSearchMoved,
    SavedSearchNotFound,
    StorageLimits,
)
from index.records.extensions import saved_searches as module
from tests.support.data.collections import KEY, SPEC, directory, record


class Model:
    """What must be kept: for each name its versions, oldest first, and the numbers that were given."""

    def __init__(self) -> None:
        self.kept: dict[str, list[SavedSearch]] = {}
        self.numbers: dict[str, int] = {}

    def bytes(self) -> int:
        return sum(len(s.name) + len(s.content) for versions in self.kept.values() for s in versions)

    def agrees(self, collection: Collection) -> None:
        book = collection.saved_searches
        assert book.page("", 1000) == [self.kept[name][-1] for name in sorted(self.kept)]
        for name, versions in self.kept.items():
            assert book.versions(name) == versions[::-1]
            assert book.get(name) == versions[-1]
            assert [book.get(name, v.version) for v in versions] == versions
        assert collection.usage().bytes == self.bytes()


@pytest.mark.parametrize("seed", range(3))
def test_names_and_versions_are_those_of_a_plain_model(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SAVED_VERSIONS", 4)
    monkeypatch.setattr(module, "MAX_SAVED_SEARCHES", 3)
    chance, model, tenant = random.Random(seed), Model(), directory(tmp_path)
    collection = tenant.create(SPEC)
    for step in range(120):
        name, content = chance.choice("abcde"), chance.randbytes(chance.randrange(20))
        before = model.kept.get(name)
        known = before[-1].etag if before else ""
        etag = chance.choice(["", known, "other"])
        book = collection.saved_searches
        match chance.choice(["create", "update", "update", "delete"]):
            case "create" if before is not None:
                with pytest.raises(SavedSearchExists):
                    book.create(name, content)
            case "create" if len(model.kept) == 3:
                with pytest.raises(QuotaExceeded):
                    book.create(name, content)
            case "create":
                made = book.create(name, content)
                assert made.version == model.numbers.get(name, 0) + 1
                model.kept[name], model.numbers[name] = [made], made.version
            case change if before is None:
                with pytest.raises(SavedSearchNotFound):
                    book.update(name, content) if change == "update" else book.delete(name)
            case change if etag not in ("", known):
                with pytest.raises(SavedSearchMoved):
                    book.update(name, content, etag) if change == "update" else book.delete(name, etag)
            case "update":
                made = book.update(name, content, etag)
                assert (made.version, made.created_ms) == (before[-1].version + 1, before[-1].created_ms)
                model.kept[name], model.numbers[name] = [*before, made][-4:], made.version
            case _:
                assert book.delete(name, etag) == len(before)
                del model.kept[name]
        if step % 30 == 29:
            tenant.close()
            tenant = directory(tmp_path)
            collection = tenant.collection(SPEC.name)
        model.agrees(collection)
    etags = [s.etag for versions in model.kept.values() for s in versions]
    assert len(set(etags)) == len(etags)
    tenant.close()


def test_snapshots_bring_saved_searches_back_also_to_another_tenant(tmp_path: Path) -> None:
    tenant = directory(tmp_path / "one")
    collection = tenant.create(SPEC)
    collection.upsert([record(1)])
    first = collection.saved_searches.create("similar", b"one")
    kept = collection.keep_snapshot()
    collection.saved_searches.update("similar", b"two")
    restored = tenant.restore("things", kept.snapshot_id, "restored")
    assert restored.saved_searches.versions("similar") == [first]
    assert restored.usage() == kept_usage(first, restored)
    other = directory(tmp_path / "two", bytes(reversed(KEY)))
    folder = collection.handle.place.layout.kept(kept.snapshot_id)
    adopted = other.adopt_snapshot(folder, KEY, "adopted")
    assert adopted.saved_searches.versions("similar") == [first]
    assert adopted.usage() == kept_usage(first, restored)


def kept_usage(saved: SavedSearch, collection: Collection) -> tuple[int, int]:
    (found,) = collection.list(0, 10, vectors=True)
    assert found.vector is not None
    return 1, len(found.record_id) + len("{}") + found.vector.nbytes + len(saved.name) + len(saved.content)


def test_bytes_count_towards_the_quota_and_a_refusal_changes_nothing(tmp_path: Path) -> None:
    tenant = directory(tmp_path, limits=StorageLimits(lambda: Quota(bytes=20)))
    book = tenant.create(SPEC).saved_searches
    made = book.create("a", b"x" * 15)
    with pytest.raises(QuotaExceeded):
        book.update("a", b"x" * 10)
    assert book.versions("a") == [made]
    book.delete("a")
    assert book.create("a", b"x" * 19).version == 2


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 64, "ä", "a/b"])
def test_names_that_no_path_can_have_are_refused(collection: Collection, name: str) -> None:
    with pytest.raises(InvalidInput):
        collection.saved_searches.create(name, b"")


def test_a_search_of_more_than_64_kib_is_refused(collection: Collection) -> None:
    collection.saved_searches.create("large", bytes(65_536))
    with pytest.raises(InvalidInput, match="65537"):
        collection.saved_searches.update("large", bytes(65_537))
