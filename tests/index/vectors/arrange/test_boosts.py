"""How far down boosted hits are looked for: rows whose likeness falls evenly, so that each place is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import Boost, Collection, RecordWrite, SearchQuery
from tests.support.data.collections import SPEC, directory

ROWS, FIRST_LOOK, MANY = 260, 64, 2600
QUERY = np.eye(16, dtype=np.float32)[0]
TWINS = (FIRST_LOOK - 1, FIRST_LOOK)  # the last row of the first look, and one that is as alike and was inserted later


def cosine(number: int) -> float:
    return 0.99 - 0.002 * (TWINS[0] if number in TWINS else number)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Record n is the n-th most alike to the query; no test changes them."""
    tenant = directory(Path(tmp_path_factory.mktemp("boosted")))
    yield filled(tenant.create(SPEC), [cosine(n) for n in range(ROWS)])
    tenant.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """More than are compared one by one; record n is the n-th most alike to the query, and no test changes them."""
    tenant = directory(Path(tmp_path_factory.mktemp("many")))
    yield filled(tenant.create(SPEC), np.linspace(0.99, 0.2, MANY).tolist())
    tenant.close()


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """As many that are as alike to the query as each other; no test changes them."""
    tenant = directory(Path(tmp_path_factory.mktemp("twins")))
    yield filled(tenant.create(SPEC), [0.9] * MANY)
    tenant.close()


def filled(collection: Collection, cosines: list[float]) -> Collection:
    vectors = np.zeros((len(cosines), 16), np.float32)
    vectors[:, 0] = cosines
    vectors[:, 1] = np.sqrt(1 - vectors[:, 0] ** 2)
    collection.upsert([RecordWrite(str(n), v, attributes={"place": float(n)}) for n, v in enumerate(vectors)])
    return collection


def found(collection: Collection, k: int, *boosts: Boost) -> list[int]:
    return [int(h.record.record_id) for h in collection.search(SearchQuery(QUERY, k, boosts=boosts)).hits]


def test_a_far_record_is_found_wherever_in_the_first_look_others_have_a_higher_boost(collection: Collection) -> None:
    for first in range(12, FIRST_LOOK - 11):
        high = range(first, first + 11)
        boosts = Boost(0.9, f"place >= {first} AND place < {first + 11}"), Boost(0.41, "place = 200")
        assert found(collection, 12, *boosts) == [*high, 200]


@pytest.mark.parametrize("ahead", [3e-6, 6e-6, 9e-6])
def test_a_record_is_found_that_its_boost_lifts_ahead_of_the_last_hit_by_next_to_nothing(
    collection: Collection, ahead: float
) -> None:
    hits = collection.search(SearchQuery(QUERY, FIRST_LOOK + 1)).hits
    assert [int(h.record.record_id) for h in hits] == list(range(FIRST_LOOK + 1))
    likeness = [1 - float(h.distance) for h in hits]
    needed = likeness[15] - likeness[FIRST_LOOK]
    assert found(collection, 16, Boost(needed + ahead, f"place = {FIRST_LOOK}")) == [*range(15), FIRST_LOOK]
    assert found(collection, 16, Boost(needed - 2e-5, f"place = {FIRST_LOOK}")) == list(range(16))


def test_a_far_record_is_found_where_a_look_is_deeper_than_what_is_sorted_at_once(many: Collection) -> None:
    """Of few values numpy sorts all, whichever is asked for; here only about the place that is asked for."""
    for first in range(0, 601, 50):
        boosts = Boost(0.9, f"place >= {first} AND place < {first + 199}"), Boost(1.0, "place = 2000")
        assert found(many, 200, *boosts) == [*range(first, first + 199), 2000]


@pytest.mark.parametrize("k", [10, 600])
def test_where_no_record_is_further_than_another_looking_ends_and_the_boost_decides(twins: Collection, k: int) -> None:
    """However deep a look goes, any other record may come before those found."""
    boosts = Boost(-0.3, "place >= 0"), Boost(0.2, f"place >= {MANY - 5}")
    assert found(twins, k, *boosts) == [*range(MANY - 5, MANY), *range(k - 5)]
