"""Diversity, facets and orders by an attribute are the same for every vector index, and those of a plain oracle."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index import Boost, Decay, InvalidInput, NumberFactor, Order, RecordWrite, SearchQuery, Side, StoredRecord
from tests.index.conformance.opened import Opened, unit
from tests.support.data.collections import SPEC, record


def diverse_gains(query: SearchQuery, vectors: NDArray[np.float64], order: list[int]) -> Iterator[tuple[float, float]]:
    """For each place, what its hit gains and the most that any candidate does: maximal marginal relevance, in full.
    vectors: of the candidates, nearest first. order: the candidates' numbers, in the order of the hits."""
    for place, chosen in enumerate(order):
        reach, before = 4 * query.k * (place // query.k + 1), order[:place]
        gains = {
            n: (1 - query.diversity) * float(vectors[n] @ query.vector)
            - query.diversity * max((float(vectors[n] @ vectors[b]) for b in before), default=0.0)
            for n in range(min(reach, len(vectors)))
            if n not in before
        }
        yield gains[chosen], max(gains.values()) if before else gains[0]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_diverse_hits_are_those_of_maximal_marginal_relevance(opened: Opened, grouped: bool, seed: int) -> None:
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((8, SPEC.dimension))
    raw = (centres[chance.integers(0, 8, 150)] + 0.3 * chance.standard_normal((150, SPEC.dimension))).astype(np.float32)
    raw[140:] = raw[:10]  # some are the same
    writes = [RecordWrite(str(n), row, f"p{n % 60}" if n % 7 else "") for n, row in enumerate(raw)]
    opened.collection.upsert(writes)
    query = SearchQuery(unit(seed), 6, group_by_product=grouped, diversity=(0.2, 0.5, 1.0)[seed], filter="-sale:*")
    excluded = opened.store.row_ids(["3", "5", "8"])
    plain = opened.index.search(query._replace(diversity=0.0, k=150), excluded).groups
    rows = raw.astype(np.float64) / np.linalg.norm(raw.astype(np.float64), axis=1)[:, None]
    candidates = [int(group[0].record.record_id) for group in plain]
    order: list[int] = []
    for page in range(5):
        answer = opened.index.search(query._replace(offset=6 * page), excluded)
        order += [candidates.index(int(group[0].record.record_id)) for group in answer.groups]
        whole = opened.index.search(query._replace(offset=6 * page), excluded)
        assert whole == answer._replace(index_time_ms=whole.index_time_ms, filter_s=whole.filter_s)
        farthest = max(order[6 * page :])
        passed = [n for n in range(farthest) if n not in order]
        assert answer.passed_over_total == len(passed)
        assert [p.record_id for p in answer.passed_over] == [str(candidates[n]) for n in passed]
        for one in answer.passed_over:
            alike = {i: float(rows[int(one.record_id)] @ rows[candidates[i]]) for i in order}
            assert alike[candidates.index(int(one.similar_to))] > max(alike.values()) - 2e-3
    assert len(set(order)) == len(order) == 30
    for gain, most in diverse_gains(query, rows[candidates], order):
        assert gain > most - 3e-3  # half precision
    assert opened.index.search(query._replace(diversity=0.0), excluded).passed_over == ()


def test_a_diverse_page_of_few_candidates_has_them_all(opened: Opened) -> None:
    query = SearchQuery(unit(1), 10, diversity=0.7)
    assert opened.index.search(query).groups == ()
    opened.collection.upsert([record(n) for n in range(5)])
    assert sorted(opened.hits(query)) == ["0", "1", "2", "3", "4"]
    assert opened.hits(query._replace(offset=5)) == []
    assert opened.hits(query)[0] == opened.hits(query._replace(diversity=0.0))[0]
    limit = opened.index.search(query._replace(diversity=0.0)).groups[2][0].distance
    assert len(opened.hits(query._replace(max_distance=limit))) == 3


def test_a_facet_counts_numbers_in_ranges(opened: Opened) -> None:
    prices = [-1.0, 0.0, 9.99, 10.0, 10.0, 49.5, 50.0, 1e9]
    opened.collection.upsert([record(n, price=price, color="red") for n, price in enumerate(prices)])
    opened.collection.upsert([record(20, price="10"), record(21, price=True), record(22), record(23, price=10.0)])
    opened.collection.delete(["4"])
    facet = opened.index.select('color = "red"').facet("price[0,10,50]")
    assert facet.counts == (((None, 0), 1), ((0, 10), 2), ((10, 50), 2), ((50, None), 2))
    assert facet.values == 4
    assert opened.index.select().facet("price[10]").counts == (((None, 10), 3), ((10, None), 5))
    assert [count for _, count in opened.index.select().facet("none[1,2]").counts] == [0, 0, 0]
    for wrong in ("price[", "price]", "price[]", "price[1,1]", "price[2,1]", "price[a]", "price[nan]", "price[1,inf]",
                  "price[1]x", f"price[{','.join(map(str, range(33)))}]"):  # fmt: skip
        with pytest.raises(InvalidInput, match=r"facet|edge"):
            opened.index.select().facet(wrong)


def test_facets_count_the_hits_where_that_is_asked_for(opened: Opened) -> None:
    opened.collection.upsert([record(n, f"p{n % 9}", color=("red", "blue")[n % 2], price=n) for n in range(40)])
    for query in (
        SearchQuery(unit(3), 7, 4, facets=("color", "price[20]"), facets_over_hits=True),
        SearchQuery(unit(3), 4, 0, "", True, 3, facets=("color", "price[20]"), facets_over_hits=True),
        SearchQuery(unit(3), 5, facets=("color", "price[20]"), facets_over_hits=True, order=Order("price", True)),
    ):  # fmt: skip
        answer = opened.index.search(query)
        shown = [hit.record for group in answer.groups for hit in group]
        counts = dict(answer.facets[0].counts)
        assert counts == dict(Counter(r.attributes["color"] for r in shown))
        low = sum(float(r.attributes["price"]) < 20 for r in shown)  # type: ignore[arg-type]
        assert [count for _, count in answer.facets[1].counts] == [low, len(shown) - low]


VALUES = [3.0, -2.5, 0.0, 7, 7, "b", "a", "a", "\u00e9", True, False, False, ("x", "y"), None]


def mixed(opened: Opened, seed: int) -> list[StoredRecord]:
    """Sixty records with values of any kind, some written anew; in order of row id."""
    chance = random.Random(seed)
    for numbers in (range(60), chance.sample(range(60), 15)):
        values = {n: chance.choice(VALUES) for n in numbers}
        opened.collection.upsert([record(n, f"p{n % 7}", **({} if v is None else {"v": v})) for n, v in values.items()])
    opened.collection.delete([str(n) for n in chance.sample(range(60), 5)])
    return opened.store.page(0, 100, vectors=False).records


def order_key(value: object, descending: bool) -> Any:
    """By kind and value; what has none comes last in both directions."""
    kind = 2 if isinstance(value, bool) else 0 if isinstance(value, int | float) else 1 if isinstance(value, str) else 3
    return kind, value if kind < 3 else 0


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_records_come_in_the_order_of_an_attribute_page_by_page(opened: Opened, seed: int, descending: bool) -> None:
    records = mixed(opened, seed)
    with_value = [r for r in records if order_key(r.attributes.get("v"), descending)[0] < 3]
    wanted = sorted(with_value, key=lambda r: order_key(r.attributes.get("v"), descending), reverse=descending)
    if descending:  # equal values stay in the order of insertion
        wanted = sorted(with_value, key=lambda r: r.row_id)
        wanted.sort(key=lambda r: order_key(r.attributes.get("v"), descending), reverse=True)
    wanted += [r for r in records if r not in with_value]
    order, after = Order("v", descending), None
    found: list[str] = []
    while True:
        page, after = opened.collection.page_in_order(order, after, 7)
        found += [r.record_id for r in page.records]
        if len(found) == 14:  # the record that the next page begins after goes, and the page stays
            opened.collection.delete([found[-1]])
        if after is None:
            break
    assert found == [r.record_id for r in wanted]
    small = opened.collection.page_in_order(order, None, 50, max_bytes=1000)
    assert [r.record_id for r in small[0].records] == [i for i in found if i != found[13]][: len(small[0].records)]
    assert (0 < len(small[0].records) < 20, small[1] is not None) == (True, True)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_hits_come_in_the_order_of_an_attribute_page_by_page(opened: Opened, grouped: bool, descending: bool) -> None:
    mixed(opened, 5)
    query = SearchQuery(unit(9), 200, group_by_product=grouped, group_size=2, filter="NOT v = 7")
    nearest = [group[0].record for group in opened.index.search(query).groups]
    known = [r for r in nearest if order_key(r.attributes.get("v"), descending)[0] < 3]
    known.sort(key=lambda r: order_key(r.attributes.get("v"), descending), reverse=descending)
    wanted = [r.record_id for r in known] + [r.record_id for r in nearest if r not in known]
    ordered = query._replace(k=5, order=Order("v", descending))
    pages = [opened.index.search(ordered._replace(offset=start)).groups for start in range(0, 60, 5)]
    assert [group[0].record.record_id for page in pages for group in page] == wanted


def random_boosts(chance: random.Random) -> tuple[Boost, ...]:
    """Boosts by stock, popularity and brand, of any shape."""
    made = []
    for _ in range(chance.randint(1, 3)):
        weight = chance.choice([0.05, 0.3, 0.9, -0.4])
        if chance.random() < 0.4:
            made.append(Boost(weight, chance.choice(['brand = "b1"', "popularity > 50", "NOT brand:*", ""])))
            continue
        name, origin = chance.choice([("popularity", 80.0), ("popularity", 20.0), ("none", 1.0), ("brand", 1.0)])
        decay, side = chance.choice(list(Decay)), chance.choice(list(Side))
        number = NumberFactor(name, origin, chance.choice([5.0, 40.0]), chance.choice([0.0, 10.0]), decay, side)
        made.append(Boost(weight, number=number))
    return tuple(made)


def factor(boost: Boost, attributes: Any) -> float:
    """What the documentation says, for one record."""
    number = boost.number
    if number is None:
        held: dict[str, bool] = {
            'brand = "b1"': attributes.get("brand") == "b1", "popularity > 50": attributes.get("popularity", 0) > 50,
            "NOT brand:*": "brand" not in attributes, "": True,
        }  # fmt: skip
        return float(held[boost.filter])
    value = attributes.get(number.attribute)
    if not isinstance(value, int | float):
        return 0.0
    away = value - number.origin
    if number.side is not Side.BOTH and (away > 0) == (number.side is Side.MORE):
        return 1.0
    steps = max(0.0, abs(away) - number.offset) / number.scale
    if number.decay is Decay.LINEAR:
        return max(0.0, 1 - steps / 2)
    return float(2 ** -(steps if number.decay is Decay.EXPONENTIAL else steps**2))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_boosted_hits_come_by_likeness_plus_boost(opened: Opened, grouped: bool, seed: int) -> None:
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    centres = numbers.standard_normal((10, SPEC.dimension))
    rows = centres[numbers.integers(0, 10, 400)] + 0.3 * numbers.standard_normal((400, SPEC.dimension))
    writes = []
    for n, row in enumerate(rows.astype(np.float32)):
        attributes: dict[str, Any] = {"popularity": chance.randrange(100)} if chance.random() < 0.9 else {}
        if chance.random() < 0.7:
            attributes["brand"] = f"b{chance.randrange(9)}"
        writes.append(RecordWrite(str(n), row, f"p{n % 150}", attributes))
    opened.collection.upsert(writes)
    excluded = opened.store.row_ids(["7", "9", "300"])
    of_row = rows / np.linalg.norm(rows, axis=1)[:, None]
    for _ in range(12):
        boosts, cap = random_boosts(chance), chance.choice([None, None, 0.2])
        query = SearchQuery(
            unit(seed), chance.choice([3, 10]), chance.choice([0, 5]), group_by_product=grouped, boosts=boosts,
            boost_cap=cap, filter=chance.choice(["", "popularity < 70"]), max_distance=chance.choice([None, 1.0]),
        )  # fmt: skip
        value, boost_of = {}, {}
        for write, row in zip(writes, of_row, strict=True):
            parts = [b.weight * factor(b, write.attributes) for b in boosts]
            likeness = float(row @ query.vector)
            if query.filter and not write.attributes.get("popularity", 100) < 70:  # type: ignore[operator]
                continue
            if write.record_id in ("7", "9", "300") or (query.max_distance and 1 - likeness > query.max_distance):
                continue
            total = sum(parts) if cap is None else max(-cap, min(cap, sum(parts)))
            value[write.record_id], boost_of[write.record_id] = likeness + total, (parts, total)
        best: dict[str, str] = {}
        for i in sorted(value, key=lambda i: -value[i]):
            best.setdefault(writes[int(i)].product_id if grouped else i, i)
        wanted = list(best.values())[query.offset : query.offset + query.k]
        groups = opened.index.search(query, excluded).groups
        assert len(groups) == len(wanted)
        for group, right in zip(groups, wanted, strict=True):
            hit = group[0]
            assert abs(value[hit.record.record_id] - value[right]) < 3e-3  # half precision
            parts, total = boost_of[hit.record.record_id]
            np.testing.assert_allclose(hit.boosts, parts, atol=1e-5)
            assert abs(hit.boost - total) < 1e-5
            assert abs(hit.distance - (1 - (value[hit.record.record_id] - total))) < 3e-3


@pytest.mark.parametrize("grouped", [False, True])
def test_a_boost_brings_in_what_is_far_from_the_query(opened: Opened, grouped: bool) -> None:
    opened.collection.upsert([record(n, f"p{n}", brand="rare" if n % 40 == 0 else "b") for n in range(800)])
    query = SearchQuery(unit(999), 12, group_by_product=grouped)
    rare = [i for i in opened.hits(query._replace(k=800)) if int(i) % 40 == 0]
    rare_first = query._replace(boosts=(Boost(0.9, 'brand = "rare"'), Boost(0.9, 'brand = "rare"')))
    assert opened.hits(rare_first) == rare[:12]
    assert opened.hits(rare_first._replace(offset=12, k=8)) == rare[12:]
    others_last = query._replace(boosts=(Boost(-1.0, 'brand = "b"'), Boost(-1.0, "NOT sale:*")))
    assert opened.hits(others_last) == rare[:12]


def test_numbers_at_the_end_of_their_range_have_no_factor(opened: Opened) -> None:
    opened.collection.upsert([record(n, x=x) for n, x in enumerate((-1.7e308, 1.7e308, 0.0))])
    for decay in Decay:
        number = NumberFactor("x", -1.7e308, 1e-300, decay=decay)
        groups = opened.index.search(SearchQuery(unit(1), 3, boosts=(Boost(0.5, number=number),))).groups
        assert {g[0].record.record_id: g[0].boost for g in groups} == {"0": 0.5, "1": 0.0, "2": 0.0}


def test_boosts_go_with_diversity_orders_and_pages(opened: Opened) -> None:
    opened.collection.upsert([record(n, f"p{n % 20}", popularity=n) for n in range(80)])
    more = NumberFactor("popularity", 80.0, 20.0, side=Side.MORE, decay=Decay.LINEAR)
    query = SearchQuery(unit(3), 8, boosts=(Boost(0.5, number=more),))
    whole = opened.hits(query._replace(k=80))
    assert [i for offset in range(0, 80, 8) for i in opened.hits(query._replace(offset=offset))] == whole
    assert whole != opened.hits(query._replace(k=80, boosts=()))
    by_popularity = opened.hits(query._replace(order=Order("popularity", True)))
    assert by_popularity == [str(n) for n in range(79, 71, -1)]
    for grouped in (False, True):
        diverse = query._replace(diversity=0.4, group_by_product=grouped)
        pages = [opened.index.search(diverse._replace(offset=o)).groups for o in (0, 8)]
        assert pages[0][0][0].record.record_id == whole[0]
        assert len({g[0].record.record_id for page in pages for g in page}) == 16
        assert all(g[0].boosts for page in pages for g in page)
