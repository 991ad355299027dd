"""What searches return."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timezone

from afterimage.client.convert.attributes import to_attributes
from afterimage.client.convert.collections import source_name
from afterimage.client.convert.records import to_failure, to_notes, to_object
from afterimage.client.values import (
    Comparison,
    DuplicateGroup,
    EncodedPicture,
    EncodedText,
    Facet,
    Hit,
    HitGroup,
    NumberRange,
    ObjectHits,
    PassedOver,
    PictureObjects,
    RankedPicture,
    SearchResult,
)
from afterimage.v1 import search_service_pb2 as search_pb
from afterimage.v1 import types_pb2 as types_pb


def to_search_result(message: search_pb.SearchResponse) -> SearchResult:
    """Returns the result of a search."""
    return SearchResult(
        tuple(_hit(h) for h in message.hits),
        _groups(message.groups),
        message.allowed_count,
        message.encoder_id,
        message.encoder_fingerprint,
        message.sequence,
        message.index_time.ToDatetime(timezone.utc),
        search_pb.SearchPath.Name(message.path).removeprefix("SEARCH_PATH_").lower(),
        message.timings.encode_ms,
        message.timings.search_ms,
        message.timings.total_ms,
        tuple(_facet(f) for f in message.facets),
        message.learned_order,
        to_notes(message.notes),
        tuple(message.unknown_attributes),
        tuple(message.filter_hints),
        tuple(PassedOver(p.record_id, p.distance, p.similar_to) for p in message.passed_over),
        message.passed_over_total,
        message.search_id,
        message.saved_search_version,
        dict(sorted(message.weights.items())),
        source_name(message.calibration),
        tuple(_object_hits(found) for found in message.objects),
    )


def to_comparison(message: search_pb.CompareSearchesResponse) -> Comparison:
    """Returns two results and how they compare."""
    return Comparison(
        to_search_result(message.first), to_search_result(message.second), message.overlap, message.average_overlap,
        tuple(message.only_first), tuple(message.only_second),
        message.first_precision if message.HasField("first_precision") else None,
        message.second_precision if message.HasField("second_precision") else None,
    )  # fmt: skip


def to_encoded(message: search_pb.EncodedPicture) -> EncodedPicture:
    """Returns a vector or an error."""
    error = to_failure(message.error) if message.HasField("error") else None
    return EncodedPicture(message.vector, error, to_notes(message.notes))


def to_encoded_text(message: search_pb.EncodedText) -> EncodedText:
    """Returns a vector or an error."""
    error = to_failure(message.error) if message.HasField("error") else None
    return EncodedText(message.vector, error)


def to_picture_objects(message: search_pb.PictureObjects) -> PictureObjects:
    """Returns the objects of a picture or its error."""
    error = to_failure(message.error) if message.HasField("error") else None
    return PictureObjects(tuple(to_object(o) for o in message.objects), error, to_notes(message.notes))


def to_ranked(message: search_pb.RankedPicture) -> RankedPicture:
    """Returns a ranked picture."""
    error = to_failure(message.error) if message.HasField("error") else None
    return RankedPicture(message.index, message.score, message.distance, error)


def to_duplicate_group(message: search_pb.FindDuplicatesResponse) -> DuplicateGroup:
    """Returns a group of duplicates."""
    kind = search_pb.DuplicateKind.Name(message.kind).removeprefix("DUPLICATE_KIND_").lower()
    identical = tuple(tuple(same.record_ids) for same in message.identical)
    contradictions = tuple((pair.record_id, pair.other_record_id) for pair in message.contradictions)
    return DuplicateGroup(
        kind, tuple(message.record_ids), message.max_distance, identical, message.same_product_pairs, contradictions
    )


def _object_hits(message: search_pb.ObjectHits) -> ObjectHits:
    hits = tuple(_hit(h) for h in message.hits)
    return ObjectHits(to_object(message.object), hits, _groups(message.groups), message.search_id)


def _groups(messages: Iterable[search_pb.HitGroup]) -> tuple[HitGroup, ...]:
    return tuple(HitGroup(g.product_id, tuple(_hit(h) for h in g.hits)) for g in messages)


def _hit(message: search_pb.Hit) -> Hit:
    return Hit(
        message.record_id, message.product_id, message.score, message.distance, to_attributes(message.attributes),
        message.vector, message.boost, tuple(message.boosts), _likeness_name(message.likeness),
    )  # fmt: skip


def _likeness_name(value: types_pb.Likeness.ValueType) -> str:
    names = types_pb.Likeness
    return names.Name(value).removeprefix("LIKENESS_") if value and value in names.values() else ""


def _facet(message: search_pb.Facet) -> Facet:
    return Facet(message.attribute, {_facet_value(c): c.count for c in message.counts}, message.value_count)


def _facet_value(message: search_pb.FacetCount) -> str | bool | NumberRange:
    if message.HasField("range_value"):
        ends = message.range_value
        return NumberRange(ends.low if ends.HasField("low") else None, ends.high if ends.HasField("high") else None)
    return message.bool_value if message.HasField("bool_value") else message.string_value
