from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from index import Collection, CollectionSpec, InvalidInput, RecordWrite
from index.types.answer import DuplicateGroup
from tests.support.data.collections import directory, loaded, record, vector

WIDE = 48
Pairs = set[tuple[str, str]]


def wide(folder: Path, vectors: np.ndarray) -> Collection:
    """A collection of WIDE dimensions whose record n has vector n."""
    collection = directory(folder).create(CollectionSpec("things", "builtin", "f" * 16, WIDE, learning=False))
    for start in range(0, len(vectors), 1000):
        block = vectors[start : start + 1000].astype(np.float32)
        collection.upsert([RecordWrite(str(start + n), v) for n, v in enumerate(block)])
    return collection


def uniform(rows: int) -> np.ndarray:
    """Rows, a twentieth of them with a near copy, and a few of those with an even nearer one."""
    chance = np.random.default_rng(rows)
    made = chance.standard_normal((rows, WIDE)) + 0.4
    for start, spread in ((0, 0.25), (rows // 20, 0.15)):
        some = made[start : start + rows // 20]
        made[rows // 2 + start : rows // 2 + start + rows // 20] = some + spread * chance.standard_normal(some.shape)
    return made


def clustered(rows: int) -> np.ndarray:
    """Rows in clusters of very different sizes and widths, including chains and one cluster with a tenth of all."""
    chance = np.random.default_rng(rows)
    centers = chance.standard_normal((60, WIDE)) + 0.4
    which = np.where(chance.random(rows) < 0.1, 0, chance.integers(0, 60, rows))
    return centers[which] + chance.uniform(0.1, 0.6, 60)[which, None] * chance.standard_normal((rows, WIDE))


def pairs_within(vectors: np.ndarray, distance: float) -> Pairs:
    """All pairs certainly within the distance: the margin exceeds the error of half precision."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, others = np.nonzero(np.triu(1 - unit @ unit.T <= distance - 1e-4, 1))
    return {(str(a), str(b)) for a, b in zip(rows.tolist(), others.tolist(), strict=True)}


def pairs_of(groups: list[DuplicateGroup]) -> Pairs:
    return {pair for g in groups for pair in combinations(sorted(g.record_ids, key=int), 2)}


def groups(collection: Collection, filter_text: str = "", distance: float = 0.01) -> set[tuple[str, ...]]:
    return {g.record_ids for g in collection.duplicates(filter_text, distance)}


@pytest.mark.parametrize("shape", [uniform, clustered])
@pytest.mark.parametrize(("rows", "compared"), [(600, 4096), (2500, 100)])
def test_two_records_within_the_distance_are_together_and_none_is_with_one_that_it_is_far_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Callable[[int], np.ndarray], rows: int, compared: int
) -> None:
    monkeypatch.setattr("index.vectors.query.pairs.COMPARED_ROWS", compared)
    vectors = shape(rows)
    collection = wide(tmp_path, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for distance in (0.02, 0.1, 0.4):
        found = list(collection.duplicates("", distance))
        wanted = pairs_within(vectors, distance)
        share = len(wanted & pairs_of(found)) / len(wanted) if wanted else 1.0
        assert share == 1.0 if compared > rows else share >= 0.995
        for group in found:
            members = [int(i) for i in group.record_ids]
            assert members[0] == min(members)
            apart = 1 - unit[members[1:]] @ unit[members[0]]
            assert float(apart.max()) == pytest.approx(group.max_distance, abs=1e-3)
            assert group.max_distance <= distance
    assert wanted


def test_a_chain_joins_nothing_that_is_far_apart_and_hides_no_pair(tmp_path: Path) -> None:
    angles = np.arange(12) * 0.2  # each is at a distance of 0.02 from the next
    vectors = np.zeros((12, WIDE))
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    collection = wide(tmp_path, vectors)
    found = list(collection.duplicates("", 0.025))
    assert {g.record_ids for g in found} == {(str(n), str(n + 1)) for n in range(11)}
    farthest = max(g.max_distance for g in found)
    assert len(groups(collection, distance=farthest)) == 11  # at the distance is within it
    assert len(groups(collection, distance=farthest * 0.9999)) < 11


def with_copies(collection: Collection) -> None:
    """3,000 records and an ANN index; later a near copy of each of 200, and an equal copy of some of those."""
    collection.upsert([record(n) for n in range(3000)])
    near = np.random.default_rng(3)
    copies = [vector(n) + 0.01 * near.standard_normal(len(vector(n))).astype(np.float32) for n in range(0, 400, 2)]
    collection.build_ann_index()
    collection.upsert([RecordWrite(f"copy-{2 * i}", v) for i, v in enumerate(copies)])
    collection.upsert([RecordWrite(f"again-{n}", vector(n), attributes={"late": True}) for n in range(0, 100, 4)])


@pytest.mark.parametrize("graph", [False, True])
def test_copies_are_found_in_the_base_and_beyond_it(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    monkeypatch.setattr("index.vectors.query.pairs.COMPARED_ROWS", 100)
    with_copies(collection)
    if graph:
        monkeypatch.setattr("index.vectors.query.duplicates.SKETCHED_ROWS", 100)
    found = groups(collection)
    assert ("0", "copy-0", "again-0") in found
    wanted = {(str(n), f"copy-{n}", *([f"again-{n}"] if n < 100 and n % 4 == 0 else [])) for n in range(0, 400, 2)}
    assert len(found & wanted) >= 198
    assert len(found - wanted) <= 2
    collection.delete([str(n) for n in range(0, 40, 2)])
    assert all(not {str(n) for n in range(0, 40, 2)} & set(g) for g in groups(collection))
    assert ("copy-0", "again-0") in groups(collection)
    assert all(i.startswith("again") for g in groups(collection, "late = true") for i in g)


@pytest.mark.parametrize("graph", [False, True])
def test_equal_vectors_are_at_distance_0_however_many_and_whatever_rounding_says(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    collection.upsert([record(n) for n in range(600)])
    collection.upsert([RecordWrite(f"same-{n}", vector(7)) for n in range(300)])
    if graph:
        assert collection.build_ann_index()
        monkeypatch.setattr("index.vectors.query.duplicates.SKETCHED_ROWS", 100)
    (group,) = collection.duplicates("", 0.0)
    assert group.record_ids == ("7", *(f"same-{n}" for n in range(300)))
    assert group.max_distance == 0.0


def test_records_of_the_same_picture_are_distinguished_from_near_ones_within_a_group(collection: Collection) -> None:
    near = vector(1) + 0.01 * vector(2)
    digests = {"a": b"1" * 32, "copy": b"1" * 32, "near": b"2" * 32, "near too": b"2" * 32, "vector": None}
    vectors = {"near": near, "near too": near}
    collection.upsert([RecordWrite(i, vectors.get(i, vector(1)), digest=d) for i, d in digests.items()])
    collection.upsert(
        [RecordWrite("b", vector(5), digest=b"3" * 32), RecordWrite("b copy", vector(5), digest=b"3" * 32)]
    )
    first, second = collection.duplicates("", 0.01)
    assert first.record_ids == ("a", "copy", "near", "near too", "vector")
    assert first.identical_ids == (("a", "copy"), ("near", "near too"))
    assert not first.identical
    assert (second.record_ids, second.identical) == (("b", "b copy"), True)


def test_a_collection_that_has_learnt_finds_pairs_by_the_distances_of_the_encoder(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index.vectors.ann.centering import CenteringTransform

    with_copies(collection)
    monkeypatch.setattr("index.vectors.query.pairs.COMPARED_ROWS", 100)
    before = groups(collection)
    mean = np.full(16, 0.1, np.float32)
    loaded(collection).index.learn(CenteringTransform(mean, mean))
    assert len(groups(collection) & before) >= 198


def test_more_than_can_be_compared_without_an_index_is_refused_with_what_to_do(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record(n) for n in range(50)])
    monkeypatch.setattr("index.vectors.query.duplicates.SKETCHED_ROWS", 20)
    with pytest.raises(InvalidInput, match="reduce them with a filter"):
        groups(collection)
