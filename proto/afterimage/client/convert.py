"""Conversion between the client's values and protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timezone
from numbers import Real
from typing import Any, Union

from afterimage.client.checks import (
    checked_attributes,
    checked_image,
    checked_sources,
    checked_text,
    checked_texts,
    is_url,
)
from afterimage.client.errors import invalid
from afterimage.client.values import (
    AttributeValue,
    Collection,
    Comparison,
    DetectedObject,
    Detector,
    DuplicateGroup,
    EncodedPicture,
    Encoder,
    Facet,
    Hit,
    HitGroup,
    ImageSource,
    NewRecord,
    NumberRange,
    ObjectHits,
    PassedOver,
    Patch,
    Picture,
    PictureNote,
    PictureObjects,
    RankedPicture,
    Record,
    RecordFailure,
    RecordPart,
    RecordResult,
    RecordSample,
    Region,
    ScoreCalibration,
    SearchResult,
    ServerInfo,
    Term,
    pack_vector,
)
from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import search_service_pb2 as search_pb
from afterimage.v1 import server_info_service_pb2 as info_pb
from afterimage.v1 import types_pb2 as types_pb

_POLICY = "PICTURE_POLICY_"
# A picture, the URL of one, or terms.
Query = Union[ImageSource, str, Term, Sequence[Term]]


def record_input(record: NewRecord) -> records_pb.RecordInput:
    """Returns the message of a record to insert. Raises InvalidArgument."""
    if not isinstance(record, NewRecord):
        raise invalid("records", f"a record is of type {type(record).__name__}; pass NewRecord(record_id, image=...)")
    message = records_pb.RecordInput(
        record_id=checked_text("record_id", record.record_id), product_id=checked_text("product_id", record.product_id)
    )
    _fill_attributes(message.attributes, record.attributes)
    _fill_source(message, record)
    return message


def record_patch(patch: Patch) -> records_pb.RecordPatch:
    """Returns the message of a change of a record. Raises InvalidArgument."""
    checked_text("record_id", patch.record_id)
    message = records_pb.RecordPatch(
        record_id=patch.record_id, remove_attributes=checked_texts("remove_attributes", patch.remove_attributes)
    )
    if patch.product_id is not None:
        message.product_id = checked_text("product_id", patch.product_id)
    _fill_attributes(message.set_attributes, patch.set_attributes)
    return message


def query_terms(query: Query) -> list[search_pb.QueryTerm]:
    """Returns the messages of the terms of a query. Raises InvalidArgument for other types."""
    terms = query if isinstance(query, (list, tuple)) else [query]
    return [_query_term(_term(term)) for term in terms]


def _term(given: object) -> Term:
    if isinstance(given, Term):
        return given
    return Term(url=given) if isinstance(given, str) and is_url(given) else Term(image=checked_image(given, "query"))


def picture_input(picture: Picture | ImageSource | str) -> search_pb.PictureInput:
    """Returns the message of a picture to process once; a text is its URL. Raises InvalidArgument."""
    given = picture if isinstance(picture, Picture) else _picture(picture)
    message = search_pb.PictureInput()
    if checked_sources({"image": given.image, "url": given.url}, optional=False) == "url":
        message.url = checked_text("url", given.url)
    else:
        message.image = checked_image(given.image)
    if given.region is not None:
        message.region.CopyFrom(_region(given.region))
    return message


def _picture(given: ImageSource | str) -> Picture:
    if isinstance(given, str) and is_url(given):
        return Picture(url=given)
    return Picture(checked_image(given, "picture"))


def to_result(message: records_pb.RecordResult) -> RecordResult:
    """Returns the result for a record."""
    error = to_failure(message.error) if message.HasField("error") else None
    parts = tuple(RecordPart(p.record_id, _outcome(p.outcome), to_object(p.object)) for p in message.parts)
    return RecordResult(
        message.record_id, _outcome(message.outcome), message.sequence, error, to_notes(message.notes), parts,
        tuple(message.removed_record_ids),
    )  # fmt: skip


def _outcome(value: records_pb.WriteOutcome.ValueType) -> str:
    return records_pb.WriteOutcome.Name(value).removeprefix("WRITE_OUTCOME_").lower()


def to_notes(messages: Iterable[types_pb.PictureNote]) -> tuple[PictureNote, ...]:
    """Returns the notes about pictures."""
    return tuple(PictureNote(m.reason, m.message) for m in messages)


def to_failure(message: types_pb.RecordError) -> RecordFailure:
    """Returns the error of a record."""
    delay_s = message.retry_delay_ms / 1000
    return RecordFailure(message.code, message.reason, message.message, message.field, delay_s)


def to_record(message: types_pb.Record) -> Record:
    """Returns a stored record."""
    region = message.region
    return Record(
        message.record_id,
        message.product_id,
        _attributes(message.attributes),
        Region(region.left, region.top, region.right, region.bottom) if message.HasField("region") else None,
        message.vector,
        message.encoder_fingerprint,
        message.sequence,
        message.create_time.ToDatetime(timezone.utc),
        message.update_time.ToDatetime(timezone.utc),
    )


def to_sample(message: records_pb.SampleRecordsResponse) -> RecordSample:
    """Returns a sample of records."""
    return RecordSample(
        tuple(to_record(m) for m in message.records), message.allowed_count, message.seed,
        tuple(message.unknown_attributes), tuple(message.filter_hints),
    )  # fmt: skip


def object_search(name: str) -> search_pb.ObjectSearch.ValueType:
    """Returns the enum value of "none" or "each". Raises InvalidArgument."""
    if name not in ("", "none", "each"):
        raise invalid("objects", f'objects is {name!r}; pass "each" or "none"')
    return search_pb.ObjectSearch.Value(f"OBJECT_SEARCH_{name.upper() or 'UNSPECIFIED'}")


def facet_over(name: str) -> search_pb.FacetOver.ValueType:
    """Returns the enum value for "matching" or "hits"; empty: unspecified. Raises InvalidArgument."""
    if name not in ("", "matching", "hits"):
        raise invalid("facet_over", f'facet_over is {name!r}; pass "matching" or "hits"')
    return search_pb.FacetOver.Value(f"FACET_OVER_{name.upper() or 'UNSPECIFIED'}")


def learning(name: str) -> collections_pb.Learning.ValueType:
    """Returns the enum value for "auto" or "off"; empty: unspecified. Raises InvalidArgument."""
    if name not in ("", "auto", "off"):
        raise invalid("learning", f'learning is {name!r}; pass "auto" or "off"')
    return collections_pb.Learning.Value(f"LEARNING_{name.upper() or 'UNSPECIFIED'}")


def to_collection(message: collections_pb.Collection) -> Collection:
    """Returns a collection."""
    return Collection(
        message.name,
        message.description,
        message.encoder_id,
        message.encoder_fingerprint,
        message.dimension,
        message.record_count,
        message.tombstone_count,
        message.sequence,
        message.create_time.ToDatetime(timezone.utc),
        message.index_time.ToDatetime(timezone.utc),
        collections_pb.Learning.Name(message.learning).removeprefix("LEARNING_").lower(),
        message.learned,
        from_policy(message.picture_policy),
        message.policy_version,
        message.partial,
        message.keep_feedback,
        dict(sorted(message.default_emphasis.items())),
        message.learned_emphasis,
        to_calibration(message.calibration) if message.HasField("calibration") else None,
    )


def to_calibration(message: types_pb.ScoreCalibration) -> ScoreCalibration:
    """Returns a calibration of scores."""
    return ScoreCalibration(
        _source_name(message.source), message.midpoint, message.width, message.same_picture_distance,
        message.same_product_distance, message.very_alike_distance, message.alike_distance, message.pair_count,
    )  # fmt: skip


def _source_name(value: types_pb.CalibrationSource.ValueType) -> str:
    """Returns the name of a source; empty if it is unspecified, or later than this client."""
    names = types_pb.CalibrationSource
    return names.Name(value).removeprefix("CALIBRATION_SOURCE_") if value and value in names.values() else ""


def _likeness_name(value: types_pb.Likeness.ValueType) -> str:
    names = types_pb.Likeness
    return names.Name(value).removeprefix("LIKENESS_") if value and value in names.values() else ""


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
        _source_name(message.calibration),
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


def to_picture_objects(message: search_pb.PictureObjects) -> PictureObjects:
    """Returns the objects of a picture or its error."""
    error = to_failure(message.error) if message.HasField("error") else None
    return PictureObjects(tuple(to_object(o) for o in message.objects), error, to_notes(message.notes))


def to_object(message: types_pb.DetectedObject) -> DetectedObject:
    """Returns an object in a picture."""
    region = message.region
    return DetectedObject(Region(region.left, region.top, region.right, region.bottom), message.label, message.score)


def _object_hits(message: search_pb.ObjectHits) -> ObjectHits:
    hits = tuple(_hit(h) for h in message.hits)
    return ObjectHits(to_object(message.object), hits, _groups(message.groups), message.search_id)


def _groups(messages: Iterable[search_pb.HitGroup]) -> tuple[HitGroup, ...]:
    return tuple(HitGroup(g.product_id, tuple(_hit(h) for h in g.hits)) for g in messages)


def to_ranked(message: search_pb.RankedPicture) -> RankedPicture:
    """Returns a ranked picture."""
    error = to_failure(message.error) if message.HasField("error") else None
    return RankedPicture(message.index, message.score, message.distance, error)


def duplicates_request(
    collection: str, filter: str, max_distance: float | None, ignore_verdicts: bool, with_summary: bool
) -> search_pb.FindDuplicatesRequest:
    """Returns the request of a search for duplicates."""
    return search_pb.FindDuplicatesRequest(
        collection=collection, filter=filter, max_distance=max_distance, ignore_verdicts=ignore_verdicts,
        with_summary=with_summary,
    )  # fmt: skip


def to_duplicate_group(message: search_pb.FindDuplicatesResponse) -> DuplicateGroup:
    """Returns a group of duplicates."""
    kind = search_pb.DuplicateKind.Name(message.kind).removeprefix("DUPLICATE_KIND_").lower()
    identical = tuple(tuple(same.record_ids) for same in message.identical)
    contradictions = tuple((pair.record_id, pair.other_record_id) for pair in message.contradictions)
    return DuplicateGroup(
        kind, tuple(message.record_ids), message.max_distance, identical, message.same_product_pairs, contradictions
    )


def to_server_info(message: info_pb.GetServerInfoResponse) -> ServerInfo:
    """Returns information about the server."""
    limits = {f.name: getattr(message.limits, f.name) for f in message.limits.DESCRIPTOR.fields}
    encoders = tuple(
        Encoder(
            e.id,
            e.version,
            e.license,
            e.dimension,
            e.fingerprint,
            e.is_default,
            tuple(e.blocks),
            e.near_duplicate_distance,
            to_calibration(e.calibration) if e.HasField("calibration") else None,
            e.takes_color,
            e.takes_text,
        )
        for e in message.encoders
    )
    return ServerInfo(
        message.version, limits, encoders, tuple(message.image_formats), message.fetches_urls, tuple(message.scopes),
        message.takes_idempotency_keys, _detector(message.detector) if message.HasField("detector") else None,
    )  # fmt: skip


def _detector(message: info_pb.Detector) -> Detector:
    return Detector(message.id, message.version, message.license, tuple(message.labels), message.min_score)


def _query_term(term: Term) -> search_pb.QueryTerm:
    if isinstance(term.weight, bool) or not isinstance(term.weight, Real):
        raise invalid("query.weight", f"weight is of type {type(term.weight).__name__}; use a number")
    message = search_pb.QueryTerm(weight=float(term.weight))
    sources = {"image": term.image, "url": term.url, "record_id": term.record_id, "vector": term.vector}
    checked_sources({**sources, "search_id": term.search_id, "color": term.color, "text": term.text})
    if term.region is not None and term.image is None and not term.url:
        raise invalid("query.region", "a region can only be set with a picture, as image or url")
    if term.record_id:
        message.record_id = checked_text("record_id", term.record_id)
    elif term.search_id:
        message.search_id = checked_text("search_id", term.search_id)
    elif term.color:
        message.color = checked_text("color", term.color)
    elif term.text:
        message.text = checked_text("text", term.text)
    else:
        _fill_source(message, term)
    return message


def _fill_source(message: Any, source: NewRecord | Term) -> None:
    checked_sources({"image": source.image, "url": source.url, "vector": source.vector})
    if source.image is not None:
        message.image = checked_image(source.image)
    elif source.url:
        message.url = checked_text("url", source.url)
    elif source.vector is not None:
        message.vector = pack_vector(source.vector)
    if source.region is not None:
        message.region.CopyFrom(_region(source.region))


def _region(region: Region) -> types_pb.Region:
    return types_pb.Region(left=region.left, top=region.top, right=region.right, bottom=region.bottom)


def _fill_attributes(target: Any, attributes: Mapping[str, AttributeValue]) -> None:
    for name, value in checked_attributes(attributes).items():
        if isinstance(value, bool):
            target[name].bool_value = value
        elif isinstance(value, str):
            target[name].string_value = value
        elif isinstance(value, float):
            target[name].number_value = value
        else:
            target[name].list_value.values.extend(value)
            target[name].list_value.SetInParent()


def _attributes(source: Mapping[str, types_pb.AttributeValue]) -> dict[str, AttributeValue]:
    values = ((name, to_value(value)) for name, value in source.items())
    return {name: value for name, value in values if value is not None}


def to_value(message: types_pb.AttributeValue) -> AttributeValue | None:
    """Returns the value of an attribute; None if the message has none."""
    kind = message.WhichOneof("kind")
    if kind is None:
        return None
    value: AttributeValue = tuple(message.list_value.values) if kind == "list_value" else getattr(message, kind)
    return value


def attribute_value(field: str, value: AttributeValue) -> types_pb.AttributeValue:
    """Returns the message of one value. Raises InvalidArgument."""
    holder = records_pb.RecordInput()
    _fill_attributes(holder.attributes, {field: value})
    return holder.attributes[field]


def to_attribute_value(message: types_pb.AttributeValue) -> AttributeValue:
    """Returns a value."""
    return _attributes({"value": message})["value"]


def fill_parameters(target: Any, parameters: Mapping[str, AttributeValue]) -> None:
    """Writes the parameters of a saved search into a message's map. Raises InvalidArgument."""
    _fill_attributes(target, parameters)


def _facet(message: search_pb.Facet) -> Facet:
    return Facet(message.attribute, {_facet_value(c): c.count for c in message.counts}, message.value_count)


def _facet_value(message: search_pb.FacetCount) -> str | bool | NumberRange:
    if message.HasField("range_value"):
        ends = message.range_value
        return NumberRange(ends.low if ends.HasField("low") else None, ends.high if ends.HasField("high") else None)
    return message.bool_value if message.HasField("bool_value") else message.string_value


def _hit(message: search_pb.Hit) -> Hit:
    return Hit(
        message.record_id, message.product_id, message.score, message.distance, _attributes(message.attributes),
        message.vector, message.boost, tuple(message.boosts), _likeness_name(message.likeness),
    )  # fmt: skip


def to_policy(name: str) -> collections_pb.PicturePolicy.ValueType:
    """Returns the enum value of a picture policy. Raises InvalidArgument for an unknown name."""
    if _POLICY + name not in collections_pb.PicturePolicy.keys():  # noqa: SIM118 - an enum of protobuf is no mapping
        raise invalid("picture_policy", f"picture_policy is {name!r}; pass DISCARD, REFERENCE or ENCRYPTED_COPY")
    return collections_pb.PicturePolicy.Value(_POLICY + name)


def from_policy(value: collections_pb.PicturePolicy.ValueType) -> str:
    """Returns the name of a picture policy."""
    return collections_pb.PicturePolicy.Name(value).removeprefix(_POLICY)
