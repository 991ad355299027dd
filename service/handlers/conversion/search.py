"""Messages of SearchService: checks and reads requests, and writes responses."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from index import SearchQuery
from service.engine.emphasis import Emphasis
from service.engine.pictures import Encoded, PictureSource
from service.engine.query import QueryTerm, distance_limit
from service.handlers.conversion.boosts import boost_cap_of, to_boosts
from service.handlers.conversion.colors import to_color
from service.handlers.conversion.ordering import to_order
from service.handlers.conversion.shown import shown_hit
from service.handlers.conversion.values import (
    check_count,
    check_most,
    from_region,
    invalid,
    number_within,
    to_region,
    to_vector,
    within,
)
from service.handlers.request_limits import (
    DEFAULT_OBJECTS,
    MAX_DISTANCE,
    MAX_DIVERSE,
    MAX_EXCLUDED,
    MAX_FACETS,
    MAX_GROUP_SIZE,
    MAX_HITS,
    MAX_K,
    MAX_OBJECTS,
    MAX_OFFSET,
    MAX_ONLY,
    MAX_SCORE,
    MAX_SORTED,
    MAX_TERMS,
    MAX_TEXT,
    MAX_WEIGHT,
)
from service.tuning.calibration import Calibration


def check_search(request: pb.SearchRequest) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) unless all fields but the terms are within their limits."""
    if request.group_by not in ("", "product_id"):
        raise invalid("group_by", "group_by must be product_id or empty")
    check_most("exclude_record_ids", len(request.exclude_record_ids), MAX_EXCLUDED)
    check_most("only_record_ids", len(request.only_record_ids), MAX_ONLY)
    check_most("facets", len(request.facets), MAX_FACETS)
    if request.group_by and request.k * request.group_size > MAX_HITS:
        raise invalid("group_size", f"k times group_size is more than {MAX_HITS}")
    check_k(request)
    within("offset", request.offset, 0, MAX_OFFSET)
    within("group_size", request.group_size, 0, MAX_GROUP_SIZE)
    if number_within("diversity", request.diversity, 0.0, 1.0) and request.offset + request.k > MAX_DIVERSE:
        raise invalid("diversity", f"with diversity, offset plus k is at most {MAX_DIVERSE}")
    _check_order(request)
    _check_objects(request)
    boost_cap_of(request)
    max_distance_of(request)
    min_score_of(request)


def check_k(request: pb.SearchRequest) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) unless k is within its limits."""
    within("k", request.k, 1, MAX_K)


def _check_order(request: pb.SearchRequest) -> None:
    if request.facet_over not in pb.FacetOver.values():
        raise invalid("facet_over", "unknown value of facet_over")
    if not request.order_by.strip():
        return
    if request.diversity:
        raise invalid("order_by", "order_by and diversity cannot be combined")
    if request.offset + request.k > MAX_SORTED:
        raise invalid("order_by", f"with order_by, offset plus k is at most {MAX_SORTED}")


def _check_objects(request: pb.SearchRequest) -> None:
    if request.objects not in pb.ObjectSearch.values():
        raise invalid("objects", "unknown value of objects")
    if not max_objects_of(request):
        return
    if len(request.query) > 1 or any(t.WhichOneof("source") not in ("image", "url") for t in request.query):
        raise invalid("query", "a search with each object needs one term, with an image or a url")
    if request.facets:
        raise invalid("facets", "facets cannot be combined with objects")
    if max_hits(request) > MAX_HITS:
        raise invalid("max_objects", f"k times max_objects (and group_size) is more than {MAX_HITS}")


def max_objects_of(request: pb.SearchRequest) -> int:
    """Returns the maximum number of objects to search with; 0 if the search is not for each object. Raises ServiceError
    (ARGUMENT_INVALID)."""
    if request.objects == pb.OBJECT_SEARCH_EACH:
        return int(within("max_objects", request.max_objects, 0, MAX_OBJECTS) or DEFAULT_OBJECTS)
    if request.max_objects:
        raise invalid("max_objects", "max_objects can only be set with objects: each")
    return 0


def max_hits(request: pb.SearchRequest) -> int:
    """Returns the maximum number of hits of the response."""
    return request.k * ((request.group_size or 1) if request.group_by else 1) * (max_objects_of(request) or 1)


def to_search_query(
    request: pb.SearchRequest, terms: Sequence[QueryTerm], query: Encoded, emphasis: Emphasis,
    calibration: Calibration, max_bytes: int, *, plain: bool = False,
) -> SearchQuery:  # fmt: skip
    """Returns the query of a checked request. max_bytes: of the records and vectors of its hits. plain: as `is_plain`
    says of the request."""
    emphasised = bool(emphasis.weights)
    by_distance = emphasis.by_distance or orders_by_distance(terms)
    learnt = emphasis.of_collection and not by_distance
    common = SearchQuery(
        vector=query.vector,
        k=request.k,
        by_distance=by_distance,
        composed=is_composed(terms) or emphasised,
        scale=query.scale,
        weights=query.weights if learnt else None,
        unweighted=query.unweighted if learnt else None,
        max_bytes=max_bytes,
        show=shown_hit,
    )
    if plain:
        return common
    judged = _judged_ids(request)
    return common._replace(
        offset=request.offset,
        filter=request.filter,
        group_by_product=bool(request.group_by),
        group_size=request.group_size or 1,
        max_distance=distance_limit(max_distance_of(request), min_score_of(request), calibration),
        exclude_record_ids=frozenset(request.exclude_record_ids) | record_ids_of(terms) | judged,
        only_record_ids=frozenset(request.only_record_ids) or None,
        include_vectors=request.include_vectors,
        exact=request.exact,
        boosts=to_boosts(request.boosts),
        boost_cap=boost_cap_of(request),
        diversity=request.diversity,
        order=to_order(request.order_by),
        facets=tuple(request.facets),
        facets_over_hits=request.facet_over == pb.FACET_OVER_HITS,
        own_record=all(t.record_id for t in terms),
        composed=common.composed or bool(judged),
        show=None if request.fields or request.include_vectors else shown_hit,
    )


def max_distance_of(request: pb.SearchRequest | pb.FindDuplicatesRequest) -> float | None:
    """Returns the maximum cosine distance, 0 to 2; None without one. Raises ServiceError (ARGUMENT_INVALID)."""
    if not request.HasField("max_distance"):
        return None
    return number_within("max_distance", request.max_distance, 0.0, MAX_DISTANCE)


def min_score_of(request: pb.SearchRequest | pb.ClassifyRequest) -> float | None:
    """Returns the minimum score, 0 to 1; None without one. Raises ServiceError (ARGUMENT_INVALID)."""
    if not request.HasField("min_score"):
        return None
    return number_within("min_score", request.min_score, 0.0, MAX_SCORE)


def record_ids_of(terms: Sequence[QueryTerm]) -> frozenset[str]:
    """Returns the ids of the records among the terms. Such records are no hits of their own search."""
    return frozenset(t.record_id for t in terms if t.record_id)


def is_composed(terms: Sequence[QueryTerm]) -> bool:
    """Returns whether the vector of the query is the sum of several, or otherwise none that a picture has."""
    return len(terms) > 1 or any(t.composed for t in terms) or orders_by_distance(terms)


def orders_by_distance(terms: Sequence[QueryTerm]) -> bool:
    """Returns whether a term is unlike pictures, so that nothing that a collection learnt of pictures applies."""
    return any(t.by_distance or t.color is not None or t.text for t in terms)


def _judged_ids(request: pb.SearchRequest) -> frozenset[str]:
    return frozenset((*request.feedback.liked_record_ids, *request.feedback.disliked_record_ids))


def region_used(term: QueryTerm) -> types_pb.Region:
    """Returns the message of the part of the picture that is encoded; an empty one for other terms."""
    if term.picture is None:
        return types_pb.Region()
    return from_region(term.picture.region) if term.picture.region else types_pb.Region(right=1.0, bottom=1.0)


def to_terms(messages: Sequence[pb.QueryTerm]) -> tuple[QueryTerm, ...]:
    """Returns the terms of a query. Raises ServiceError (ARGUMENT_INVALID)."""
    check_count("query", len(messages), MAX_TERMS)
    terms = tuple(_to_term(m) for m in messages)
    if not any(t.weight > 0 for t in terms):
        raise invalid("query.weight", "at least one term needs a positive weight")
    return terms


def _to_term(message: pb.QueryTerm) -> QueryTerm:
    weight = number_within("query.weight", message.weight, -MAX_WEIGHT, MAX_WEIGHT) or 1.0
    kind = message.WhichOneof("source")
    if kind in ("image", "url"):
        return QueryTerm(weight, picture=to_picture(message))
    if message.HasField("region"):
        raise invalid("query.region", "a region can only be set with a picture")
    if kind == "record_id" and message.record_id:
        return QueryTerm(weight, record_id=message.record_id)
    if kind == "vector":
        return QueryTerm(weight, vector=to_vector("query.vector", message.vector))
    if kind == "search_id" and message.search_id:
        return QueryTerm(weight, search_id=message.search_id)
    if kind == "color":
        return QueryTerm(weight, color=to_color(message.color))
    if kind == "text":
        return QueryTerm(weight, text=to_text(message.text, "query.text"))
    raise invalid("query", "a term needs an image, a url, a record_id, a vector, a search_id, a color or a text")


def to_text(text: str, field: str) -> str:
    """Returns a text to encode, without spaces around it. Raises ServiceError (ARGUMENT_INVALID)."""
    if not text.strip():
        raise invalid(field, "text is empty")
    if len(text) > MAX_TEXT:
        raise invalid(field, f"text has {len(text)} characters; at most {MAX_TEXT} are allowed")
    return text.strip()


def to_picture(message: pb.QueryTerm | pb.PictureInput) -> PictureSource:
    """Returns the picture of a message that has an image or a URL."""
    region = to_region(message.region) if message.HasField("region") else None
    return PictureSource(message.image if message.WhichOneof("source") == "image" else None, message.url, region)
