import numpy as np
import pytest

from index import Collection, InvalidInput, RecordWrite
from tests.support.collections import record, vector

ROWS = 3000


def with_copies(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(ROWS)])
    near = np.random.default_rng(3)
    copies = [vector(n) + 0.01 * near.standard_normal(len(vector(n))).astype(np.float32) for n in range(0, 600, 2)]
    collection.build_base()
    collection.upsert([RecordWrite(f"copy-{2 * i}", v) for i, v in enumerate(copies[:200])])
    collection.upsert([RecordWrite(f"again-{n}", vector(n), attributes={"late": True}) for n in range(0, 100, 4)])


def groups(collection: Collection, filter_text: str = "", distance: float = 0.01) -> set[tuple[str, ...]]:
    return {g.record_ids for g in collection.duplicates(filter_text, distance)}


def test_a_look_up_in_the_graph_finds_the_groups_that_comparing_all_finds(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_copies(collection)
    exact = groups(collection)
    assert len(exact) == 200
    assert ("0", "copy-0", "again-0") in exact
    monkeypatch.setattr("index.duplicates.COMPARED_ROWS", 100)
    assert len(groups(collection) & exact) >= 198
    collection.delete([str(n) for n in range(0, 40, 2)])
    assert all(not {str(n) for n in range(0, 40, 2)} & set(g) for g in groups(collection))
    late = groups(collection, "late = true OR NOT late:*")
    assert len(late & groups(collection)) >= len(late) - 2


def test_a_record_with_very_many_copies_is_one_group(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    collection.upsert([record(n) for n in range(2000)])
    collection.upsert([RecordWrite(f"same-{n}", vector(7)) for n in range(300)])
    collection.build_base()
    monkeypatch.setattr("index.duplicates.COMPARED_ROWS", 100)
    (group,) = groups(collection, distance=0.001)
    assert group[0] == "7"
    assert len(group) >= 295


def test_more_than_can_be_compared_without_an_index_is_refused_with_what_to_do(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record(n) for n in range(50)])
    monkeypatch.setattr("index.duplicates.MAX_ROWS", 20)
    monkeypatch.setattr("index.duplicates.COMPARED_ROWS", 10)
    with pytest.raises(InvalidInput, match="narrow them with a filter"):
        groups(collection)
