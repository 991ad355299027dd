"""Arrangements of plain and learnt collections, against a full listing of likeness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import Boost, Collection, FilterSyntaxError, NumberFactor, Order, RecordWrite, SearchQuery, Side, Vector
from index.vectors.ann.centering import CenteringTransform
from index.vectors.query.execute import Query
from index.vectors.query.search import within
from tests.support.data.collections import SPEC, directory, loaded, vector

ROWS = 600
MORE = NumberFactor("sold", 500.0, 100.0, side=Side.MORE)
BOOSTS = {
    "slight": (Boost(0.05, number=MORE),), "rare and strong": (Boost(0.9, 'brand = "b3"'),),
    "against": (Boost(-0.6, "sold < 300"), Boost(0.2, number=MORE)),
}  # fmt: skip


def attributes_of(number: int) -> dict[str, str | float]:
    priced = {} if number % 4 else {"price": float(number % 11)}
    return {"brand": f"b{number % 60}", "sold": number * 37 % ROWS, **priced}


@pytest.fixture(scope="module", params=["plain", "learnt"])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Records of sixty brands; no test changes them."""
    tenant = directory(Path(tmp_path_factory.mktemp("arranged")))
    made = tenant.create(SPEC)
    made.upsert([
        RecordWrite(str(n), vector(n % 550), f"p{n % 90}", attributes_of(n))
        for n in range(ROWS)
    ])  # fmt: skip
    if request.param == "learnt":
        means = 0.3 * np.random.default_rng(2).standard_normal((2, 16)).astype(np.float32)
        loaded(made).index.learn(CenteringTransform(means[0], means[1]))
    yield made
    tenant.close()


def unit(seed: int) -> Vector:
    return np.asarray(vector(seed) / np.linalg.norm(vector(seed)), np.float32)


def likeness(collection: Collection, query: SearchQuery) -> dict[str, float]:
    """Of every record, as the order without boosts has it: learnt where the collection has learnt."""
    index = loaded(collection).index
    view, transform = index.view, index.view.transform
    compared = query.vector
    if transform is not None and not query.by_distance:
        compared = transform.query(query.vector, own_record=False)
    resolved = Query(compared, query.vector, index.select(), ROWS, exact=True, by_distance=query.by_distance,
                     scale=query.scale)  # fmt: skip
    hits = within(resolved, ROWS)
    row_ids = view.row_ids[hits.slots].tolist()
    records = loaded(collection).store.rows(row_ids)
    assert len(records) == ROWS
    return {records[row].record_id: float(score) for row, score in zip(row_ids, hits.scores, strict=True)}


@pytest.mark.parametrize("how", [{}, {"by_distance": True, "scale": 1.2}])
@pytest.mark.parametrize("name", list(BOOSTS))
def test_boosted_hits_are_the_best_of_all_records(
    collection: Collection, name: str, how: dict[str, float | bool]
) -> None:
    for seed in range(8):
        query = SearchQuery(unit(1000 + seed), 12, offset=seed % 3 * 4, boosts=BOOSTS[name], **how)  # type: ignore[arg-type]
        hits = collection.search(query).hits
        whole = {h.record.record_id: h.boost for h in collection.search(query._replace(k=ROWS, offset=0)).hits}
        values = {i: alike + whole[i] for i, alike in likeness(collection, query).items()}
        wanted = sorted(values.values(), reverse=True)[query.offset : query.offset + query.k]
        np.testing.assert_allclose([values[h.record.record_id] for h in hits], wanted, atol=2e-5)
        assert [h.record.record_id for h in hits] == list(whole)[query.offset : query.offset + query.k]


def test_boosted_hits_have_the_distances_of_the_vectors_that_were_inserted(collection: Collection) -> None:
    for how in ({"by_distance": True, "scale": 1.2}, {}):
        query = SearchQuery(unit(1000), 12, boosts=BOOSTS["against"], **how)  # type: ignore[arg-type]
        for hit in collection.search(query).hits:
            cosine = float(unit(int(hit.record.record_id) % 550) @ query.vector)
            assert hit.distance == pytest.approx(1 - query.scale * cosine, abs=2e-3)  # half precision


@pytest.mark.parametrize("descending", [False, True])
def test_the_best_hits_come_in_the_order_of_an_attribute_and_those_without_it_last(
    collection: Collection, descending: bool
) -> None:
    query = SearchQuery(unit(1000), 20, offset=10, order=Order("price", descending), filter="sold < 90")
    alike = [h.record for h in collection.search(query._replace(k=ROWS, offset=0, order=None)).hits]
    with_price = [r for r in alike if "price" in r.attributes]
    assert 0 < len(with_price) < 30 < len(alike)
    with_price.sort(key=lambda r: r.attributes["price"], reverse=descending)
    wanted = [*with_price, *(r for r in alike if "price" not in r.attributes)][10:30]
    assert [h.record.record_id for h in collection.search(query).hits] == [r.record_id for r in wanted]


@pytest.mark.parametrize("name", list(BOOSTS))
def test_boosted_groups_are_those_of_all_records_in_order(collection: Collection, name: str) -> None:
    """Also where a page needs more products than a first look finds, or more than there are."""
    for seed, wanted in enumerate((12, 80, 90, 95)):
        query = SearchQuery(unit(1000 + seed), ROWS, boosts=BOOSTS[name])
        products: dict[str, list[str]] = {}
        for hit in collection.search(query).hits:
            products.setdefault(hit.record.product_id, []).append(hit.record.record_id)
        grouped = query._replace(k=wanted, group_by_product=True, group_size=3)
        found = [[hit.record.record_id for hit in group] for group in collection.search(grouped).groups]
        assert found == [members[:3] for members in list(products.values())[:wanted]]


def test_diverse_pages_begin_with_the_first_hit_and_fit_together(collection: Collection) -> None:
    for seed in range(8):
        query = SearchQuery(unit(1000 + seed), 6, diversity=0.4)
        nearest = collection.search(query._replace(diversity=0.0)).hits
        pages = [collection.search(query._replace(offset=offset)).hits for offset in (0, 6, 12)]
        ids = [hit.record.record_id for page in pages for hit in page]
        assert ids[0] == nearest[0].record.record_id
        assert len(set(ids)) == 18
        again = [collection.search(query._replace(offset=offset)).hits for offset in (0, 6, 12)]
        assert [hit.record.record_id for page in again for hit in page] == ids


@pytest.mark.parametrize("boosts", [(), BOOSTS["against"]])
@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9])
def test_each_place_goes_to_the_hit_that_gains_most(
    collection: Collection, diversity: float, boosts: tuple[Boost, ...]
) -> None:
    """By distance, so that the vectors that are compared are those that were inserted."""
    rows = {str(n): unit(n % 550).astype(np.float64) for n in range(ROWS)}
    for seed in range(3):
        query = SearchQuery(unit(1000 + seed), 5, diversity=diversity, by_distance=True, scale=1.2, boosts=boosts)
        plain = collection.search(query._replace(diversity=0.0, k=60)).hits
        worth = {h.record.record_id: 1.2 * float(rows[h.record.record_id] @ query.vector) + h.boost for h in plain}
        candidates, picked = [h.record.record_id for h in plain], list[str]()
        for page in range(3):
            answer = collection.search(query._replace(offset=5 * page))
            for hit in answer.hits:
                most = gains(candidates[: 20 * (page + 1)], picked, worth, rows, diversity)
                assert most[hit.record.record_id] > max(most.values()) - 3e-3  # half precision
                picked.append(hit.record.record_id)
            farthest = max(candidates.index(one) for one in picked[5 * page :])
            passed = [one for one in candidates[:farthest] if one not in picked]
            assert [one.record_id for one in answer.passed_over] == passed[: len(answer.passed_over)]
            assert answer.passed_over_total == len(passed)
            for one in answer.passed_over:
                alike = {hit: float(rows[one.record_id] @ rows[hit]) for hit in picked}
                assert alike[one.similar_to] > max(alike.values()) - 3e-3
        assert picked[0] == candidates[0]
        assert len(set(picked)) == 15


def gains(
    candidates: list[str], picked: list[str], worth: dict[str, float], rows: dict[str, Any], diversity: float
) -> dict[str, float]:
    """Of each candidate without a place: maximal marginal relevance, in full. The first place is the nearest one's."""
    if not picked:
        return {one: -float(n) for n, one in enumerate(candidates)}
    left = [one for one in candidates if one not in picked]
    closest = {one: max(float(rows[one] @ rows[hit]) for hit in picked) for one in left}
    return {one: (1 - diversity) * worth[one] - diversity * closest[one] for one in left}


def test_the_filter_of_a_boost_that_does_not_parse_is_named(collection: Collection) -> None:
    with pytest.raises(FilterSyntaxError, match="column") as refused:
        collection.search(SearchQuery(unit(1), 3, boosts=(Boost(0.1, "brand ="),)))
    assert refused.value.field == "boosts.filter"
