"""Databases of every released format still open."""

import shutil
from pathlib import Path

from index import RecordWrite, Region, SearchQuery
from tests.support.data.collections import directory, ids, record, vector

GOLDEN = Path(__file__).parents[2] / "data"


def test_a_collection_of_format_1_opens_answers_and_takes_writes(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "collection-v1", tmp_path, dirs_exist_ok=True)
    collection = directory(tmp_path).collection("things")
    assert collection.damaged_snapshots == [] or collection.stats().snapshot_sequence == 0
    found = collection.get(["a", "2", "3", "4"], vectors=True)
    assert found.keys() == {"a", "2", "3"}
    assert found["a"].attributes == {"color": "red", "price": 9.5, "sale": True, "tags": ("x", "y")}
    assert (found["a"].product_id, found["a"].region) == ("p1", Region(0, 0, 0.5, 1))
    assert ids(collection, SearchQuery(vector(2), k=1, filter='size = "42"')) == ["2"]
    same = RecordWrite("a", None, "p1", found["a"].attributes, Region(0, 0, 0.5, 1), collection.digests(["a"])["a"])
    assert collection.content_digest(b"picture", Region(0, 0, 0.5, 1)) == same.digest
    assert collection.upsert([same, record(9)])[0].outcome.value == "unchanged"
    assert collection.stats().records == 4


def test_a_collection_of_format_3_opens_with_its_digests_and_its_kept_snapshot(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "collection-v3", tmp_path, dirs_exist_ok=True)
    collection = directory(tmp_path).collection("things")
    assert collection.get(["a", "2", "3", "4"]).keys() == {"a", "2", "3"}
    assert collection.digests(["a"])["a"] == collection.content_digest(b"picture", Region(0, 0, 0.5, 1))
    assert collection.origins(["a"])["a"].etag == '"v1"'
    assert list(collection.sourced.marks("any")) == []
    (kept,) = collection.kept.list()
    assert list(collection.kept.problems(kept.snapshot_id)) == []
    assert collection.upsert([record(9)])[0].outcome.value == "created"
    assert collection.stats().records == 4
