"""Messages of CompareSearches."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.v1 import search_service_pb2 as pb
from service.handlers.conversion.values import check_most, invalid
from service.handlers.request_limits import MAX_IDS


def to_searches(request: pb.CompareSearchesRequest) -> tuple[pb.SearchRequest, pb.SearchRequest]:
    """Returns both searches with their queries. Raises ServiceError (ARGUMENT_INVALID)."""
    check_most("relevant_ids", len(request.relevant_ids), MAX_IDS)
    for name, search in (("first", request.first), ("second", request.second)):
        if search.include_vectors:
            raise invalid(f"{name}.include_vectors", "a comparison returns no vectors")
        if search.objects == pb.OBJECT_SEARCH_EACH:
            raise invalid(f"{name}.objects", "a comparison is of whole pictures, or of regions")
        if not search.query:
            search.query.extend(request.query)
    return request.first, request.second


def compared(
    request: pb.CompareSearchesRequest, first: pb.SearchResponse, second: pb.SearchResponse
) -> pb.CompareSearchesResponse:
    """Returns the response."""
    one, other = _ids(first, request.by_product), _ids(second, request.by_product)
    response = pb.CompareSearchesResponse(
        first=first, second=second, overlap=overlap(one, other), average_overlap=average_overlap(one, other),
        only_first=[i for i in one if i not in set(other)], only_second=[i for i in other if i not in set(one)],
    )  # fmt: skip
    if request.relevant_ids:
        relevant = frozenset(request.relevant_ids)
        response.first_precision, response.second_precision = _precision(one, relevant), _precision(other, relevant)
    return response


def overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of the longer list that both have; 1 if both are empty. Neither has an id twice."""
    longer = max(len(first), len(second))
    return len(set(first) & set(second)) / longer if longer else 1.0


def average_overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Mean of the overlaps of the first 1, 2, 3, ... ids."""
    longer = max(len(first), len(second))
    overlaps = [len(set(first[:depth]) & set(second[:depth])) / depth for depth in range(1, longer + 1)]
    return sum(overlaps) / longer if longer else 1.0


def _ids(response: pb.SearchResponse, by_product: bool) -> list[str]:
    """Ids of the hits, or of the best hits of groups, in order and once each."""
    hits = [*response.hits, *(group.hits[0] for group in response.groups)]
    return list(dict.fromkeys((by_product and hit.product_id) or hit.record_id for hit in hits))


def _precision(ids: Sequence[str], relevant: frozenset[str]) -> float:
    return sum(i in relevant for i in ids) / len(ids) if ids else 0.0
