"""Samples of records, against what chance would draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest

from index import AnswerTooLarge, Collection, CollectionCache, FilterSyntaxError, LocalVectorIndexes, TenantDirectory
from index.contract import VectorIndexFactory
from index.storage.layout import DataDirectory
from tests.support.data.collections import KEY, SPEC, record
from tests.support.data.numpy_index import NumpyIndexes
from tests.support.data.remote_like import Faults, RemoteIndexes

FACTORIES: dict[str, Callable[[], VectorIndexFactory]] = {
    "local": LocalVectorIndexes, "numpy": NumpyIndexes, "remote": lambda: RemoteIndexes(NumpyIndexes(), Faults()),
}  # fmt: skip
RED = 'color = "red"'


def opened(folder: Path, indexes: VectorIndexFactory) -> TenantDirectory:
    return TenantDirectory(DataDirectory(folder).tenant("a" * 32), KEY, CollectionCache(indexes))


@pytest.fixture(params=list(FACTORIES))
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    """Sixty records, some of them deleted and written anew: 5 red ones, 2, 11, 23, 31 and 48."""
    tenant = opened(tmp_path, FACTORIES[request.param]())
    made = tenant.create(SPEC)
    made.upsert([record(n, color="blue") for n in range(60)])
    made.delete([str(n) for n in range(40, 45)])
    made.upsert([record(n, color="red", text="x" * 100) for n in (11, 48, 2, 31, 23)])
    yield made
    tenant.close()


def drawn(collection: Collection, size: int, seed: int, filter_text: str = "", *excluded: str) -> list[str]:
    found = collection.sample(size, filter_text, seed=seed, excluded_ids=excluded)
    return [r.record_id for r in found]


def chi_square(counts: Counter[tuple[str, ...]], cells: int) -> float:
    expected = counts.total() / cells
    return sum((counts[cell] - expected) ** 2 / expected for cell in counts) + (cells - len(counts)) * expected


def test_every_order_of_every_sample_is_equally_likely(collection: Collection) -> None:
    counts = Counter(tuple(drawn(collection, 2, seed, RED)) for seed in range(1500))
    assert counts.keys() == set(permutations(("2", "11", "23", "31", "48"), 2))
    assert chi_square(counts, 20) < 50  # 19 degrees of freedom: exceeded once in 8,000 runs


def test_without_excluded_records_the_others_stay_equally_likely(collection: Collection) -> None:
    counts = Counter(tuple(drawn(collection, 2, seed, RED, "11", "2", "0", "none")) for seed in range(900))
    assert counts.keys() == set(permutations(("23", "31", "48"), 2))
    assert chi_square(counts, 6) < 27  # 5 degrees of freedom: once in 17,000 runs


def test_the_same_seed_draws_the_same_records_while_nothing_is_written(collection: Collection) -> None:
    samples = [drawn(collection, 20, seed) for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert len(set(samples[0])) == 20


def test_where_fewer_match_all_come_and_a_sample_of_none_is_empty(collection: Collection) -> None:
    assert sorted(drawn(collection, 1000, 1, RED)) == ["11", "2", "23", "31", "48"]
    assert len(set(drawn(collection, 1000, 1))) == 55
    assert drawn(collection, 3, 1, 'color = "green"') == []
    assert drawn(collection, 5, 1, RED, "2", "11", "23", "31", "48") == []


def test_records_come_whole_and_too_many_bytes_are_refused(collection: Collection) -> None:
    (one,) = collection.sample(1, RED, seed=5, vectors=True)
    assert one.attributes["color"] == "red"
    assert one.vector is not None
    with pytest.raises(AnswerTooLarge):
        collection.sample(5, RED, seed=5, max_bytes=600)
    with pytest.raises(FilterSyntaxError):
        collection.sample(1, "color =", seed=1)


def test_each_index_draws_the_same_records_of_the_same_state(tmp_path: Path) -> None:
    tenant = opened(tmp_path, LocalVectorIndexes())
    tenant.create(SPEC).upsert([record(n, color=("red", "blue")[n % 2]) for n in range(50)])
    tenant.collection(SPEC.name).delete(["4", "9"])
    samples = [drawn(tenant.collection(SPEC.name), 10, seed, RED) for seed in range(20)]
    tenant.close()
    other = opened(tmp_path, NumpyIndexes())
    assert [drawn(other.collection(SPEC.name), 10, seed, RED) for seed in range(20)] == samples
    other.close()
