"""Databases with damaged pages: affected reads fail with an error, writes are refused, and the damage does not
spread."""

import shutil
from pathlib import Path

import pytest

from index import Collection, StoreDamaged
from index.storage.sqlite import opened
from tests.support.data.collections import SPEC, directory, loaded, record
from tests.support.data.files import flip_byte


def damaged(root: Path, page: int, records: int = 2000) -> Collection:
    """A closed collection with a flipped bit in one page, opened again."""
    tenant = directory(root)
    tenant.create(SPEC).upsert([record(n, note="x" * 100) for n in range(records)])
    tenant.close()
    path = next(root.rglob("records.db"))
    size = path.stat().st_size
    pages = size // 8192
    assert page < pages
    flip_byte(path, page * 8192 + 4000)
    return directory(root).collection("things")


def read_everything(collection: Collection) -> None:
    collection.get([str(n) for n in range(2000)], vectors=True)


def test_a_read_of_a_damaged_page_says_what_to_do(tmp_path: Path) -> None:
    collection = damaged(tmp_path, 60)
    with pytest.raises(StoreDamaged, match=r"records.db is damaged .*index verify.*restore"):
        read_everything(collection)


def test_once_a_read_met_damage_writes_are_refused_and_whole_pages_are_read(tmp_path: Path) -> None:
    collection = damaged(tmp_path, 60)
    with pytest.raises(StoreDamaged):
        read_everything(collection)
    assert collection.damaged
    with pytest.raises(StoreDamaged, match="damaged"):
        collection.upsert([record(1)])
    readable = 0
    for n in range(0, 2000, 50):
        try:
            readable += len(collection.get([str(n)]))
        except StoreDamaged:
            continue
    assert 0 < readable < 40


def test_verify_names_the_page(tmp_path: Path) -> None:
    problems = list(damaged(tmp_path, 60).problems())
    assert "records.db: HMAC verification failed for page 61" in problems


def test_verify_names_the_page_also_where_the_collection_cannot_be_loaded(tmp_path: Path) -> None:
    """It gave the error that says to use it."""
    collection = damaged(tmp_path, 60)
    for snapshot in tmp_path.rglob("snapshot-*"):
        shutil.rmtree(snapshot)
    assert not collection.damaged
    with pytest.raises(StoreDamaged):
        collection.count()
    assert collection.damaged
    assert "records.db: HMAC verification failed for page 61" in list(collection.problems())
    flip_byte(next(tmp_path.rglob("records.db")), 60 * 8192 + 4000)
    assert (collection.count(), collection.damaged, list(collection.problems())) == (2000, False, [])


@pytest.mark.parametrize("page", [1, 2, 3, 5, 8, 13])
def test_damage_in_any_page_is_a_storage_error_and_nothing_else(tmp_path: Path, page: int) -> None:
    collection = damaged(tmp_path, page, 200)
    for call in (
        lambda: read_everything(collection), collection.stats, collection.usage, collection.loaded_stats,
        lambda: collection.upsert([record(n) for n in range(200)]), lambda: collection.delete(["1"]),
        collection.keep_snapshot, lambda: list(collection.problems()),
    ):  # fmt: skip
        try:
            call()
        except StoreDamaged:
            continue


def test_a_kept_snapshot_of_a_damaged_collection_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    collection = damaged(tmp_path, 60)
    with pytest.raises(StoreDamaged):
        collection.keep_snapshot()
    assert collection.kept.ids() == []
    assert not list(tmp_path.rglob(".writing-*"))


def test_a_cold_collections_counts_of_a_damaged_file_are_a_storage_error(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    tenant.create(SPEC).upsert([record(1)])
    key = loaded(tenant.collection("things")).store.readers._key
    tenant.close()
    path = next(tmp_path.rglob("records.db"))
    for page in range(1, path.stat().st_size // 8192):
        flip_byte(path, page * 8192 + 4000)
    with pytest.raises(StoreDamaged), opened(path, key) as connection:
        connection.execute("SELECT * FROM records").fetchall()
