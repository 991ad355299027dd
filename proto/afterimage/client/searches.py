"""Calls that search or compare. See `calls`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afterimage.client import convert
from afterimage.client.calls import Call
from afterimage.client.checks import checked_text, checked_texts
from afterimage.client.errors import invalid
from afterimage.client.judgements import Feedback, feedback_message
from afterimage.client.values import (
    Boost,
    Comparison,
    EncodedPicture,
    EncodedText,
    ImageSource,
    Label,
    Picture,
    PictureObjects,
    ProjectedRecord,
    RankedPicture,
    RecordMap,
    SearchResult,
    Variant,
)
from afterimage.v1 import search_service_pb2 as search_pb

_DECAYS: dict[str, search_pb.Decay.ValueType] = {
    "gauss": search_pb.DECAY_GAUSS, "exponential": search_pb.DECAY_EXPONENTIAL, "linear": search_pb.DECAY_LINEAR,
}  # fmt: skip
_SIDES: dict[str, search_pb.BoostSide.ValueType] = {
    "both": search_pb.BOOST_SIDE_BOTH, "more": search_pb.BOOST_SIDE_MORE, "less": search_pb.BOOST_SIDE_LESS,
}  # fmt: skip


def search(
    collection: str,
    query: convert.Query,
    *,
    k: int | None = None,
    offset: int = 0,
    filter: str = "",
    group_by: str = "",
    group_size: int | None = None,
    max_distance: float | None = None,
    min_score: float | None = None,
    exclude_record_ids: Sequence[str] = (),
    only_record_ids: Sequence[str] = (),
    fields: Sequence[str] = (),
    include_vectors: bool = False,
    emphasis: Mapping[str, float] | None = None,
    facets: Sequence[str] = (),
    facet_over: str = "",
    order_by: str = "",
    exact: bool = False,
    diversity: float = 0.0,
    boosts: Sequence[Boost] = (),
    boost_cap: float | None = None,
    feedback: Feedback | None = None,
    with_search_id: bool = False,
    saved_search: str = "",
    saved_search_version: int = 0,
    parameters: Mapping[str, str | float | bool] | None = None,
    saved_search_without: Sequence[str] = (),
    objects: str = "",
    max_objects: int = 0,
    timeout_s: float | None = None,
) -> Call[SearchResult]:
    """Returns the records nearest to a picture (bytes), a Term, or several weighted Terms.

    - k: number of hits or groups; None: that of the saved search, or 10.
    - group_size: hits per group; None: that of the saved search, or 1.
    - only_record_ids: the records to search, up to 1,000, each of which is compared; empty: all.
    - facets: attributes whose values are counted, and ranges of numbers such as "price[0,50,100]".
    - facet_over: "matching" (the default): all records that match the filter; "hits": those of the result.
    - order_by: "price" or "price desc": sorts the best 1,000 hits, or groups, by an attribute.
    - exact: compare all matching records.
    - diversity: 0 to 1: how much a hit gives way to one that is less like the hits before it.
    - boosts: what is added to the similarity of records, up to 8; all together at most `boost_cap`.
    - emphasis: weights of named blocks of the encoder's vector, 0 to 100, such as {"colour": 3}; other blocks have
      weight 1.
    - feedback: what was liked and disliked of earlier hits.
    - with_search_id: return a `search_id`, which stands for the query in the next rounds.
    - saved_search: name of a saved search, whose options hold where none are given here. Both filters must match.
    - parameters: values of what its filters contain as `$name`.
    - saved_search_without: options of it to leave out, such as ["filter"].
    - objects: "each": search with each object in the picture alone; their hits are in `objects` of the result.
    - max_objects: number of objects with the best scores, 1 to 32; 0: 16.
    """
    request = search_pb.SearchRequest(
        collection=collection, query=convert.query_terms(query), offset=offset, filter=filter,
        k=k if k is not None else 0 if saved_search else 10, group_by=group_by, group_size=group_size or 0,
        fields=checked_texts("fields", fields),
        exclude_record_ids=checked_texts("exclude_record_ids", exclude_record_ids),
        only_record_ids=checked_texts("only_record_ids", only_record_ids),
        include_vectors=include_vectors, max_distance=max_distance, min_score=min_score,
        emphasis=emphasis or {}, facets=checked_texts("facets", facets), exact=exact, diversity=diversity,
        facet_over=convert.facet_over(facet_over), order_by=order_by,
        boosts=[_boost(b) for b in boosts], boost_cap=boost_cap, with_search_id=with_search_id,
        feedback=None if feedback is None else feedback_message(feedback),
        saved_search=saved_search,
        saved_search_version=saved_search_version,
        saved_search_without=checked_texts("saved_search_without", saved_search_without),
        objects=convert.object_search(objects), max_objects=max_objects,
    )  # fmt: skip
    convert.fill_parameters(request.parameters, parameters or {})
    return Call("SearchService", "Search", request, convert.to_search_result, timeout_s=timeout_s)


def compare(
    query: convert.Query, first: Variant, second: Variant, *, by_product: bool = False,
    relevant_ids: Sequence[str] = (),
) -> Call[Comparison]:  # fmt: skip
    """Runs two searches with one query, over two collections or with two settings, and compares their hits.

    - by_product: compare products instead of records.
    - relevant_ids: up to 1,000 relevant records, or products, for the precision of both.
    """
    request = search_pb.CompareSearchesRequest(
        query=convert.query_terms(query), first=_variant(first), second=_variant(second), by_product=by_product,
        relevant_ids=checked_texts("relevant_ids", relevant_ids),
    )  # fmt: skip
    return Call("SearchService", "CompareSearches", request, convert.to_comparison)


def _variant(variant: Variant) -> search_pb.SearchRequest:
    """Returns the request of one side of a comparison. Raises InvalidArgument or TypeError."""
    if not isinstance(variant, Variant):
        raise invalid("first", f'a side is of type {type(variant).__name__}; pass Variant("shoes", {{"k": 10}})')
    options: dict[str, Any] = dict(variant.options)
    request: search_pb.SearchRequest = search(variant.collection, (), **options).request
    return request


def encode(pictures: Sequence[Picture | ImageSource | str], *, encoder_id: str = "") -> Call[list[EncodedPicture]]:
    """Returns the vectors of pictures. Stores nothing."""
    request = search_pb.EncodeRequest(encoder_id=encoder_id, pictures=[convert.picture_input(p) for p in pictures])
    return Call("SearchService", "Encode", request, lambda r: [convert.to_encoded(p) for p in r.pictures])


def encode_texts(texts: Sequence[str], *, encoder_id: str = "") -> Call[list[EncodedText]]:
    """Returns the vectors of texts, for encoders with a text tower (`Encoder.takes_text`). Stores nothing."""
    request = search_pb.EncodeRequest(encoder_id=encoder_id, texts=checked_texts("texts", texts))
    return Call("SearchService", "Encode", request, lambda r: [convert.to_encoded_text(t) for t in r.texts])


def detect_objects(
    pictures: Sequence[Picture | ImageSource | str], *, max_objects: int = 0, min_score: float | None = None
) -> Call[list[PictureObjects]]:
    """Finds the objects in up to 100 pictures. Stores nothing.

    - max_objects: number of objects of a picture with the best scores, 1 to 32; 0: 16.
    - min_score: of an object, 0 to 1; None: that of the detector.
    """
    request = search_pb.DetectObjectsRequest(
        pictures=[convert.picture_input(p) for p in pictures], max_objects=max_objects, min_score=min_score
    )
    return Call(
        "SearchService", "DetectObjects", request, lambda r: [convert.to_picture_objects(p) for p in r.pictures]
    )


def classify(
    collection: str, query: convert.Query, attribute: str, *, k: int = 0, filter: str = "",
    min_score: float | None = None,
) -> Call[tuple[list[Label], bool]]:  # fmt: skip
    """Predicts an attribute by a vote of the neighbours. Returns the labels, the likeliest first, and whether the vote
    is undecided."""
    request = search_pb.ClassifyRequest(
        collection=collection, query=convert.query_terms(query), attribute=attribute, k=k, filter=filter,
        min_score=min_score,
    )  # fmt: skip
    return Call(
        "SearchService", "Classify", request,
        lambda r: ([Label(m.value, m.confidence, m.votes) for m in r.labels], bool(r.undecided)),
    )  # fmt: skip


def rank(
    query: Picture | ImageSource | str, pictures: Sequence[Picture | ImageSource | str], *, encoder_id: str = ""
) -> Call[list[RankedPicture]]:
    """Sorts pictures by similarity to a query. Stores nothing."""
    request = search_pb.RankRequest(
        encoder_id=encoder_id, query=convert.picture_input(query),
        pictures=[convert.picture_input(p) for p in pictures],
    )  # fmt: skip
    return Call("SearchService", "Rank", request, lambda r: [convert.to_ranked(m) for m in r.ranked])


def project_records(
    collection: str, *, count: int = 0, filter: str = "", seed: int | None = None, attribute: str = ""
) -> Call[RecordMap]:
    """Draws up to 5,000 records uniformly and places them on a plane, similar ones near each other.

    - count: 0 means 1,000.
    - seed: 0 to 2**32 - 1. The same seed gives the same map while nothing is written. None: the server chooses one.
    - attribute: its value is returned with each record.
    """
    request = search_pb.ProjectRecordsRequest(
        collection=collection, count=count, filter=filter, seed=seed, attribute=attribute
    )
    return Call("SearchService", "ProjectRecords", request, _record_map)


def _record_map(message: search_pb.ProjectRecordsResponse) -> RecordMap:
    records = [
        ProjectedRecord(r.record_id, r.product_id, r.x, r.y, convert.to_value(r.value) if r.HasField("value") else None)
        for r in message.records
    ]
    return RecordMap(
        tuple(records), message.allowed_count, message.seed, message.kept_neighbors,
        tuple(message.unknown_attributes), tuple(message.filter_hints),
    )  # fmt: skip


def _boost(boost: Boost) -> search_pb.Boost:
    """Returns the message of a boost. Raises InvalidArgument."""
    if not isinstance(boost, Boost):
        raise invalid("boosts", f"a boost is of type {type(boost).__name__}; pass Boost(0.1, filter=...)")
    checked_text("boosts.filter", boost.filter)
    if bool(boost.filter) == bool(checked_text("boosts.attribute", boost.attribute)):
        raise invalid("boosts", "a boost needs either a filter or an attribute")
    if boost.filter:
        return search_pb.Boost(weight=boost.weight, filter=boost.filter)
    for field, name, known in (("decay", boost.decay, _DECAYS), ("side", boost.side, _SIDES)):
        if checked_text(f"boosts.{field}", name) not in known:
            raise invalid(f"boosts.{field}", f"{field} is {name!r}; pass {', '.join(known)}")
    number = search_pb.NumberFactor(
        attribute=boost.attribute, origin=boost.origin, scale=boost.scale, offset=boost.offset,
        decay=_DECAYS[boost.decay], side=_SIDES[boost.side],
    )  # fmt: skip
    return search_pb.Boost(weight=boost.weight, number=number)


def boost_value(message: search_pb.Boost) -> Boost:
    """Returns the boost of a message."""
    if message.WhichOneof("factor") != "number":
        return Boost(message.weight, message.filter)
    number = message.number
    decay = next((name for name, value in _DECAYS.items() if value == number.decay), "gauss")
    side = next((name for name, value in _SIDES.items() if value == number.side), "both")
    return Boost(message.weight, "", number.attribute, number.origin, number.scale, number.offset, decay, side)


def facet_over_name(value: search_pb.FacetOver.ValueType) -> str:
    """Returns the name of what facets count; empty: unspecified."""
    return {search_pb.FACET_OVER_MATCHING: "matching", search_pb.FACET_OVER_HITS: "hits"}.get(value, "")


def object_search_name(value: search_pb.ObjectSearch.ValueType) -> str:
    """Returns "none" or "each"."""
    return search_pb.ObjectSearch.Name(value).removeprefix("OBJECT_SEARCH_").lower()
