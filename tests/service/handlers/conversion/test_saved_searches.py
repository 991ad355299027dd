"""What a saved search adds to a search, against the rules of docs/saved-searches.md in plain Python."""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from afterimage.v1 import saved_search_service_pb2 as pb
from afterimage.v1 import search_service_pb2 as search_pb
from service.errors import Reason, ServiceError
from service.handlers.conversion.saved_searches import fill_in, sample_search, to_content

STRING = pb.SearchParameter(type=pb.PARAMETER_TYPE_STRING)
CHOICES: dict[str, list[Any]] = {
    "k": [5, 20], "offset": [3], "filter": ["a = 1", "b = 2 OR c = 3"], "group_by": ["product_id"], "group_size": [2],
    "max_distance": [0.0, 0.5], "min_score": [0.25], "exclude_record_ids": [["x"], ["x", "y"]],
    "fields": [["a"], ["-"]],
    "exact": [True], "emphasis": [{"colour": 2.0}, {"shape": 3.0}], "facets": [["a"], ["b", "c"]],
    "only_record_ids": [["1"]], "diversity": [0.25, 0.5], "order_by": ["price"],
    "facet_over": [search_pb.FACET_OVER_HITS],
    "boosts": [[search_pb.Boost(weight=0.5, filter="a = 1")]], "boost_cap": [0.5],
}  # fmt: skip


def some(chance: random.Random) -> dict[str, Any]:
    return {name: chance.choice(values) for name, values in CHOICES.items() if chance.random() < 0.4}


def filled(saved: dict[str, Any], given: dict[str, Any]) -> search_pb.SearchRequest:
    request = search_pb.SearchRequest(
        collection="c", query=[search_pb.QueryTerm(image=b"p")], saved_search="s", **given
    )
    fill_in(request, to_content(pb.SavedSearch(search=search_pb.SearchRequest(**saved))))
    return request


@pytest.mark.parametrize("seed", range(100))
def test_fields_are_those_of_the_call_then_those_of_the_saved_search(seed: int) -> None:
    chance = random.Random(seed)
    saved, given = some(chance), some(chance)
    without = chance.sample(sorted(CHOICES), 2)
    left = {name: value for name, value in saved.items() if name not in without}
    wanted = {"k": 10, **left, **given}
    filters = [fields["filter"] for fields in (left, given) if "filter" in fields]
    wanted["filter"] = " AND ".join(f"({f})" for f in filters) if len(filters) == 2 else "".join(filters)
    excluded = [*left.get("exclude_record_ids", []), *given.get("exclude_record_ids", [])]
    wanted["exclude_record_ids"] = list(dict.fromkeys(excluded))
    request = filled(saved, {**given, "saved_search_without": without})
    expected = search_pb.SearchRequest(
        collection="c",
        query=[search_pb.QueryTerm(image=b"p")],
        saved_search="s",
        saved_search_without=without,
        **wanted,
    )
    assert MessageToDict(request) == MessageToDict(expected)


@pytest.mark.parametrize("text", ["a = 1) OR (b = 2", "a = ", "a = 1) AND NOT (b = 2", '"'])
def test_a_filter_of_the_call_cannot_leave_its_parentheses(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        filled({"filter": "in_stock = true"}, {"filter": text})
    assert refused.value.reason is Reason.FILTER_INVALID


def with_parameters(given: dict[str, Any], **parameters: pb.SearchParameter) -> search_pb.SearchRequest:
    used = " AND ".join(f"{name} = ${name}" for name in parameters)
    saved = pb.SavedSearch(search=search_pb.SearchRequest(filter=used), parameters=parameters)
    request = search_pb.SearchRequest(collection="c", saved_search="s", k=1, filter=given.pop("filter", ""))
    for name, value in given.items():
        kind = "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
        setattr(request.parameters[name], kind, value)
    fill_in(request, to_content(saved))
    return request


def test_parameters_have_types_and_defaults() -> None:
    number, truth = (
        pb.SearchParameter(type=pb.PARAMETER_TYPE_NUMBER),
        pb.SearchParameter(type=pb.PARAMETER_TYPE_BOOLEAN),
    )
    number.default_value.number_value = 5.5
    request = with_parameters({"a": 'x" OR b = "', "c": True}, a=STRING, b=number, c=truth)
    assert request.filter == 'a = "x\\" OR b = \\"" AND b = 5.5 AND c = true'


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "parameters.a"),
        ({"a": 5}, "parameters.a"),
        ({"a": True}, "parameters.a"),
        ({"a": "x", "b": "y"}, "parameters.b"),
    ],
)
def test_a_call_with_wrong_parameters_is_refused_by_their_names(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ServiceError) as refused:
        with_parameters(given, a=STRING)
    assert (refused.value.reason, refused.value.field) == (Reason.ARGUMENT_INVALID, named)


@pytest.mark.parametrize(
    ("saved", "named"),
    [
        (pb.SavedSearch(search=search_pb.SearchRequest(collection="c")), "saved_search.search.collection"),
        (pb.SavedSearch(search=search_pb.SearchRequest(query=[{}])), "saved_search.search.query"),  # type: ignore[list-item]
        (pb.SavedSearch(search=search_pb.SearchRequest(include_vectors=True)), "saved_search.search.include_vectors"),
        (pb.SavedSearch(search=search_pb.SearchRequest(saved_search="s")), "saved_search.search.saved_search"),
        (pb.SavedSearch(search=search_pb.SearchRequest(filter="a = $a")), "saved_search.parameters.a"),
        (pb.SavedSearch(parameters={"a": STRING}), "saved_search.parameters.a"),
        (
            pb.SavedSearch(search=search_pb.SearchRequest(filter="a = $a"), parameters={"a": pb.SearchParameter()}),
            "saved_search.parameters.a",
        ),
    ],
)
def test_what_cannot_be_saved_is_refused_by_its_name(saved: pb.SavedSearch, named: str) -> None:
    with pytest.raises(ServiceError) as refused:
        to_content(saved)
    assert (refused.value.reason, refused.value.field) == (Reason.ARGUMENT_INVALID, named)


def test_a_saved_search_is_tried_with_defaults_or_samples() -> None:
    first, second = pb.SearchParameter(type=pb.PARAMETER_TYPE_NUMBER), pb.SearchParameter(type=pb.PARAMETER_TYPE_STRING)
    first.default_value.number_value = 2.0
    boosts = [search_pb.Boost(weight=0.5, filter="b = $b")]
    saved = pb.SavedSearch(
        search=search_pb.SearchRequest(filter="a = $a", boosts=boosts), parameters={"a": first, "b": second}
    )
    request = sample_search(to_content(saved))
    assert (request.filter, request.boosts[0].filter, request.k) == ("a = 2.0", 'b = "sample"', 10)
