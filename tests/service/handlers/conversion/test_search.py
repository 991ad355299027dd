"""Limits of search requests."""

from typing import Any

import pytest

from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from service.errors import Reason, ServiceError
from service.handlers.conversion.search import check_search, max_hits, region_used, to_terms

GOOD: list[dict[str, Any]] = [
    {"k": 1}, {"k": 1000, "offset": 10_000}, {"k": 100, "group_by": "product_id", "group_size": 100},
    {"k": 1, "max_distance": 2.0, "min_score": 1.0}, {"k": 1, "facets": ["a"] * 16},
    {"k": 1, "exclude_record_ids": ["a"] * 1000},
]  # fmt: skip
BAD: list[tuple[str, dict[str, Any]]] = [
    ("k", {"k": 0}), ("k", {"k": 1001}), ("offset", {"k": 1, "offset": 10_001}),
    ("group_by", {"k": 1, "group_by": "colour"}), ("group_size", {"k": 1, "group_size": 101}),
    ("group_size", {"k": 101, "group_by": "product_id", "group_size": 100}),
    ("max_distance", {"k": 1, "max_distance": 2.1}), ("max_distance", {"k": 1, "max_distance": float("nan")}),
    ("min_score", {"k": 1, "min_score": -0.1}), ("facets", {"k": 1, "facets": ["a"] * 17}),
    ("exclude_record_ids", {"k": 1, "exclude_record_ids": ["a"] * 1001}),
]  # fmt: skip


@pytest.mark.parametrize("fields", GOOD)
def test_a_request_at_its_limits_passes(fields: dict[str, Any]) -> None:
    check_search(pb.SearchRequest(**fields))


@pytest.mark.parametrize(("field", "fields"), BAD)
def test_a_request_beyond_a_limit_is_refused_with_the_name_of_the_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        check_search(pb.SearchRequest(**fields))
    assert (caught.value.reason, caught.value.field) == (Reason.ARGUMENT_INVALID, field)


def test_the_region_of_a_whole_picture_is_all_of_it_and_a_vector_has_none() -> None:
    part = types_pb.Region(left=0.25, top=0.0, right=0.5, bottom=1.0)
    terms = [pb.QueryTerm(image=b"x"), pb.QueryTerm(image=b"x", region=part), pb.QueryTerm(record_id="1")]
    assert [region_used(t) for t in to_terms(terms)] == [types_pb.Region(right=1, bottom=1), part, types_pb.Region()]


def test_a_response_has_at_most_k_hits_or_k_groups_of_hits() -> None:
    assert max_hits(pb.SearchRequest(k=7, group_size=3)) == 7
    assert max_hits(pb.SearchRequest(k=7, group_by="product_id")) == 7
    assert max_hits(pb.SearchRequest(k=7, group_by="product_id", group_size=3)) == 21


def test_the_weight_of_a_term_is_1_unless_it_is_set_and_one_term_must_count_positively() -> None:
    terms = to_terms([pb.QueryTerm(record_id="a"), pb.QueryTerm(record_id="b", weight=-2)])
    assert [(t.record_id, t.weight) for t in terms] == [("a", 1.0), ("b", -2.0)]
    for messages in ([], [pb.QueryTerm(record_id="a")] * 17, [pb.QueryTerm(record_id="a", weight=-1)]):
        with pytest.raises(ServiceError) as caught:
            to_terms(messages)
        assert caught.value.field.startswith("query")
