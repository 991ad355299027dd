from pathlib import Path

import numpy as np
import pytest

from index import Collection
from tests.support.data.collections import SPEC, directory, loaded, record
from tests.support.data.files import flip_byte


def filled(root: Path) -> Collection:
    collection = directory(root).create(SPEC)
    collection.upsert([record(n, f"p{n % 7}", price=n) for n in range(60)])
    collection.delete(["3"])
    collection.snapshot()
    collection.keep_snapshot()
    return collection


def test_nothing_is_said_of_a_whole_collection_also_while_it_is_written_to(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    assert list(collection.problems()) == []
    collection.upsert([record(n) for n in range(100, 120)])
    collection.upsert([record(5, color="x")])
    assert list(collection.problems()) == []


def test_a_vector_in_memory_that_is_not_the_stored_one_is_named(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    loaded(collection).index.view.float16[7] = np.float16(0.25)
    (line,) = collection.problems()
    assert "vector of row 8 differs from the stored one" in line


def test_what_is_shown_and_not_what_is_stored_is_named(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    view = loaded(collection).index.view
    view.payloads._last[1][9] = view.payloads._last[1][10]
    (line,) = collection.problems()
    assert "record of row 10 differs" in line


def test_a_record_that_searches_do_not_know_is_named(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    loaded(collection).store.connection.execute("DELETE FROM records WHERE record_id = '11'")
    assert list(collection.problems()) == ["memory: 59 records are searchable, 58 are stored"]


def test_a_flipped_byte_of_the_store_is_found(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    database = next(p for p in tmp_path.rglob("records.db") if "kept" not in str(p))
    flip_byte(database, 4096 * 3 + 100)
    assert any(line.startswith("records.db: ") for line in collection.problems())


@pytest.mark.parametrize("name", ["vectors-00000.enc", "records-00000.enc", "rows.enc", "columns.enc", "manifest.json"])
def test_a_flipped_byte_of_a_snapshot_is_found_and_its_file_named(tmp_path: Path, name: str) -> None:
    collection = filled(tmp_path)
    flip_byte(next(tmp_path.rglob("snapshot-*")) / name, 40)
    (line,) = collection.problems()
    assert line.startswith("snapshot-")


def test_a_flipped_byte_of_a_kept_snapshot_is_found(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    flip_byte(next(tmp_path.rglob("kept-*")) / "records.db", 9000)
    (line,) = collection.problems()
    assert line.startswith("kept-")
