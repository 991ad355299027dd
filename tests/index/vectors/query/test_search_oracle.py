"""Every kind of search against a full listing: the result must equal the matching part of the list."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from index import Collection, RecordWrite, SearchQuery
from index.vectors.ann.centering import CenteringTransform
from tests.support.data.collections import SPEC, directory, loaded, vector

ROWS, PICTURES, PRODUCTS = 360, 150, 60
Entry = tuple[str, float]  # a record's id and its distance
Answer = list[list[Entry]]


def product_of(number: int) -> str:
    """Products of one to many records; every seventh record has none."""
    return "" if number % 7 == 0 else f"p{number * number % PRODUCTS}"


@pytest.fixture(scope="module", params=["plain", "learnt"])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """ROWS records of PICTURES pictures, so that many have equal distances; no test changes them."""
    tenant = directory(tmp_path_factory.mktemp("searched"))
    made = tenant.create(SPEC)
    made.upsert([RecordWrite(str(n), vector(n % PICTURES), product_of(n), {"kind": f"k{n % 3}"}) for n in range(ROWS)])
    if request.param == "learnt":
        chance = np.random.default_rng(2)
        means = 0.2 * chance.standard_normal((2, 16)).astype(np.float32)
        loaded(made).index.learn(CenteringTransform(means[0], means[1]))
    yield made
    tenant.close()


def answer(collection: Collection, query: SearchQuery) -> Answer:
    return [[(h.record.record_id, h.distance) for h in group] for group in collection.search(query).groups]


def expected(everything: list[Entry], query: SearchQuery) -> Answer:
    """The expected result of a query, from the ordered list of all records."""
    limit = 2.0 if query.max_distance is None else query.max_distance
    kind = query.filter.removeprefix("kind = ")
    left = [
        (i, d) for i, d in everything
        if d <= limit and i not in query.exclude_record_ids and kind in ("", f"k{int(i) % 3}")
    ]  # fmt: skip
    groups: dict[str, list[Entry]] = {}
    for record_id, distance in left:
        product = product_of(int(record_id)) if query.group_by_product else ""
        groups.setdefault(product or f"record {record_id}", []).append((record_id, distance))
    size = query.group_size if query.group_by_product else 1
    return [group[:size] for group in groups.values()][query.offset : query.offset + query.k]


def queries(chance: np.random.Generator, everything: list[Entry], ann_index: SearchQuery) -> Iterator[SearchQuery]:
    """Requests of every kind; half of the limits are exactly at a record."""
    for _ in range(24):
        at = int(chance.integers(0, ROWS))
        yield ann_index._replace(
            k=int(chance.choice([1, 2, 5, 20, 100, ROWS])),
            offset=int(chance.choice([0, 0, 1, 3, 17, 60, 200])),
            filter=str(chance.choice(["", "", "kind = k0", "kind = k2"])),
            group_by_product=bool(chance.integers(0, 2)),
            group_size=int(chance.choice([1, 2, 3, 10])),
            max_distance=[None, everything[at][1], float(chance.uniform(0, 1.5))][int(chance.integers(0, 3))],
            exclude_record_ids=frozenset(i for i, _ in everything[: int(chance.choice([0, 0, 1, 4, 40]))]),
            exact=bool(chance.integers(0, 2)),
        )


@pytest.mark.parametrize("by_distance", [False, True])
def test_what_a_search_finds_is_what_its_parts_leave_of_the_whole_list(
    collection: Collection, by_distance: bool
) -> None:
    chance = np.random.default_rng(11)
    for n in range(2):
        ann_index = SearchQuery(vector(9000 + n), ROWS, by_distance=by_distance, own_record=bool(n % 2))
        everything = [group[0] for group in answer(collection, ann_index)]
        for query in queries(chance, everything, ann_index):
            found, wanted = answer(collection, query), expected(everything, query)
            assert [[i for i, _ in group] for group in found] == [[i for i, _ in group] for group in wanted], query[1:]
            assert [d for g in found for _, d in g] == pytest.approx([d for g in wanted for _, d in g], abs=2e-7)


def test_a_limit_keeps_every_hit_that_lies_exactly_at_it(collection: Collection) -> None:
    ann_index = SearchQuery(vector(9200), ROWS, by_distance=True)
    everything = [group[0] for group in answer(collection, ann_index)]
    for _, limit in everything[:60:6]:
        found = answer(collection, ann_index._replace(max_distance=limit))
        assert [group[0] for group in found] == [entry for entry in everything if entry[1] <= limit]


def test_a_limit_keeps_the_group_whose_nearest_member_lies_exactly_at_it(collection: Collection) -> None:
    ann_index = SearchQuery(vector(9200), ROWS, by_distance=True, group_by_product=True)
    leaders = [group[0] for group in answer(collection, ann_index)]
    for n in range(0, 30, 3):
        found = answer(collection, ann_index._replace(max_distance=leaders[n][1]))
        assert [g[0][0] for g in found] == [i for i, d in leaders if d <= leaders[n][1]]


def test_the_whole_list_holds_every_record_at_its_distance_and_equal_ones_in_the_order_of_writing(
    collection: Collection,
) -> None:
    stored = np.stack([vector(n % PICTURES) / np.linalg.norm(vector(n % PICTURES)) for n in range(ROWS)])
    for n in range(5):
        wanted = vector(9100 + n) / np.linalg.norm(vector(9100 + n))
        found = [group[0] for group in answer(collection, SearchQuery(vector(9100 + n), ROWS, by_distance=True))]
        numbers = [int(record_id) for record_id, _ in found]
        assert sorted(numbers) == list(range(ROWS))
        assert [d for _, d in found] == pytest.approx((1 - stored @ wanted)[numbers], abs=2e-3)
        for (before, near), (after, far) in pairwise(found):
            assert near < far or (near == far and int(before) < int(after))


def test_facets_and_counts_are_of_all_that_the_filter_allows_whatever_page_is_shown(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    made = tenant.create(SPEC)
    made.upsert([RecordWrite(str(n), vector(n), "", {"kind": f"k{n % 3}"}) for n in range(10)])
    found = made.search(SearchQuery(vector(1), 2, offset=1, filter="kind != k0", facets=("kind",), max_distance=0.5))
    assert found.allowed == 6
    assert found.facets[0].counts == (("k1", 3), ("k2", 3))
    tenant.close()
