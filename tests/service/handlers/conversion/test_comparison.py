"""Figures of a comparison, against plain counting."""

from __future__ import annotations

import random

import pytest

from afterimage.v1 import search_service_pb2 as pb
from service.errors import ServiceError
from service.handlers.conversion.comparison import average_overlap, compared, overlap, to_searches


def response(ids: list[str], products: dict[str, str] | None = None) -> pb.SearchResponse:
    return pb.SearchResponse(hits=[pb.Hit(record_id=i, product_id=(products or {}).get(i, "")) for i in ids])


@pytest.mark.parametrize("seed", range(20))
def test_overlaps_are_those_of_plain_counting(seed: int) -> None:
    chance = random.Random(seed)
    first, second = (chance.sample([str(n) for n in range(15)], chance.choice([1, 5, 10])) for _ in range(2))
    longer = max(len(first), len(second))
    shares = []
    for depth in range(1, longer + 1):
        shares.append(sum(i in second[:depth] for i in first[:depth]) / depth)
    assert overlap(first, second) == pytest.approx(shares[-1])
    assert average_overlap(first, second) == pytest.approx(sum(shares) / len(shares))
    made = compared(pb.CompareSearchesRequest(relevant_ids=["1", "2", "3"]), response(first), response(second))
    assert list(made.only_first) == [i for i in first if i not in second]
    assert list(made.only_second) == [i for i in second if i not in first]
    assert made.first_precision == pytest.approx(sum(i in ("1", "2", "3") for i in first) / len(first))


def test_of_nothing_the_overlap_is_whole_and_no_precision_is_stated() -> None:
    made = compared(pb.CompareSearchesRequest(), response([]), response([]))
    assert (made.overlap, made.average_overlap, made.HasField("first_precision")) == (1.0, 1.0, False)
    assert (overlap(["a"], []), average_overlap([], ["a"])) == (0.0, 0.0)


def test_products_and_groups_count_once_by_their_best_hit() -> None:
    products = {"a1": "a", "a2": "a", "b1": "b"}
    grouped = pb.SearchResponse(groups=[pb.HitGroup(product_id="b", hits=response(["b1", "x"], products).hits)])
    request = pb.CompareSearchesRequest(by_product=True)
    made = compared(request, response(["a1", "a2", "b1", "c"], products), grouped)
    assert (list(made.only_first), list(made.only_second)) == (["a", "c"], [])
    assert made.overlap == pytest.approx(1 / 3)


def test_a_search_takes_the_common_query_unless_it_has_its_own_and_returns_no_vectors() -> None:
    request = pb.CompareSearchesRequest(query=[pb.QueryTerm(record_id="common")])
    request.second.query.add(record_id="own")
    first, second = to_searches(request)
    assert (first.query[0].record_id, [t.record_id for t in second.query]) == ("common", ["own"])
    request.second.include_vectors = True
    with pytest.raises(ServiceError, match="no vectors"):
        to_searches(request)
