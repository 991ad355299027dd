"""Between the client's values and protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from afterimage.client.values import (
    AttributeValue,
    Collection,
    DuplicateGroup,
    EncodedPicture,
    Encoder,
    Facet,
    Hit,
    HitGroup,
    NewRecord,
    Patch,
    Picture,
    RankedPicture,
    Record,
    RecordFailure,
    RecordResult,
    Region,
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
Query = bytes | Term | Sequence[Term]


def record_input(record: NewRecord) -> records_pb.RecordInput:
    """A record to insert."""
    message = records_pb.RecordInput(record_id=record.record_id, product_id=record.product_id)
    _fill_attributes(message.attributes, record.attributes)
    _fill_source(message, record)
    return message


def record_patch(patch: Patch) -> records_pb.RecordPatch:
    """A change of a record."""
    message = records_pb.RecordPatch(record_id=patch.record_id, remove_attributes=list(patch.remove_attributes))
    if patch.product_id is not None:
        message.product_id = patch.product_id
    _fill_attributes(message.set_attributes, patch.set_attributes)
    return message


def query_terms(query: Query) -> list[search_pb.QueryTerm]:
    """The terms of a query; bytes are one picture."""
    terms = [Term(image=query)] if isinstance(query, bytes) else [query] if isinstance(query, Term) else list(query)
    return [_query_term(t) for t in terms]


def picture_input(picture: Picture | bytes) -> search_pb.PictureInput:
    """A picture to process once."""
    given = Picture(picture) if isinstance(picture, bytes) else picture
    message = search_pb.PictureInput(image=given.image)
    if given.region is not None:
        message.region.CopyFrom(_region(given.region))
    return message


def to_result(message: records_pb.RecordResult) -> RecordResult:
    """What became of a record."""
    outcome = records_pb.WriteOutcome.Name(message.outcome).removeprefix("WRITE_OUTCOME_").lower()
    error = to_failure(message.error) if message.HasField("error") else None
    return RecordResult(message.record_id, outcome, message.sequence, error)


def to_failure(message: types_pb.RecordError) -> RecordFailure:
    """Why a record failed."""
    delay_s = message.retry_delay_ms / 1000
    return RecordFailure(message.code, message.reason, message.message, message.field, delay_s)


def to_record(message: types_pb.Record) -> Record:
    """A stored record."""
    region = message.region
    return Record(
        message.record_id,
        message.product_id,
        _attributes(message.attributes),
        Region(region.left, region.top, region.right, region.bottom) if message.HasField("region") else None,
        message.vector,
        message.encoder_fingerprint,
        message.sequence,
        message.create_time.ToDatetime(UTC),
        message.update_time.ToDatetime(UTC),
    )


def learning(name: str) -> collections_pb.Learning.ValueType:
    """ "auto" or "off" as a message has it; empty: unspecified. Raises ValueError."""
    return collections_pb.Learning.Value(f"LEARNING_{name.upper() or 'UNSPECIFIED'}")


def to_collection(message: collections_pb.Collection) -> Collection:
    """A collection."""
    return Collection(
        message.name,
        message.description,
        message.encoder_id,
        message.encoder_fingerprint,
        message.dimension,
        message.record_count,
        message.tombstone_count,
        message.sequence,
        message.create_time.ToDatetime(UTC),
        message.index_time.ToDatetime(UTC),
        collections_pb.Learning.Name(message.learning).removeprefix("LEARNING_").lower(),
        message.learned,
        from_policy(message.picture_policy),
        message.policy_version,
    )


def to_search_result(message: search_pb.SearchResponse) -> SearchResult:
    """An answer."""
    return SearchResult(
        tuple(_hit(h) for h in message.hits),
        tuple(HitGroup(g.product_id, tuple(_hit(h) for h in g.hits)) for g in message.groups),
        message.allowed_count,
        message.encoder_id,
        message.encoder_fingerprint,
        message.sequence,
        message.index_time.ToDatetime(UTC),
        search_pb.SearchPath.Name(message.path).removeprefix("SEARCH_PATH_").lower(),
        message.timings.encode_ms,
        message.timings.search_ms,
        message.timings.total_ms,
        tuple(_facet(f) for f in message.facets),
        message.learned_order,
    )


def to_encoded(message: search_pb.EncodedPicture) -> EncodedPicture:
    """A vector, or why there is none."""
    return EncodedPicture(message.vector, to_failure(message.error) if message.HasField("error") else None)


def to_ranked(message: search_pb.RankedPicture) -> RankedPicture:
    """A ranked picture."""
    error = to_failure(message.error) if message.HasField("error") else None
    return RankedPicture(message.index, message.score, message.distance, error)


def duplicates_request(collection: str, filter: str, max_distance: float | None) -> search_pb.FindDuplicatesRequest:
    """A search for duplicates."""
    return search_pb.FindDuplicatesRequest(collection=collection, filter=filter, max_distance=max_distance)


def to_duplicate_group(message: search_pb.FindDuplicatesResponse) -> DuplicateGroup:
    """Records that look the same."""
    kind = search_pb.DuplicateKind.Name(message.kind).removeprefix("DUPLICATE_KIND_").lower()
    return DuplicateGroup(kind, tuple(message.record_ids), message.max_distance)


def to_server_info(message: info_pb.GetServerInfoResponse) -> ServerInfo:
    """What the server is."""
    limits = {f.name: getattr(message.limits, f.name) for f in message.limits.DESCRIPTOR.fields}
    encoders = tuple(
        Encoder(e.id, e.version, e.license, e.dimension, e.fingerprint, e.is_default, tuple(e.blocks))
        for e in message.encoders
    )
    return ServerInfo(
        message.version, limits, encoders, tuple(message.image_formats), message.fetches_urls, tuple(message.scopes)
    )


def _query_term(term: Term) -> search_pb.QueryTerm:
    message = search_pb.QueryTerm(weight=term.weight)
    if term.record_id:
        message.record_id = term.record_id
    else:
        _fill_source(message, term)
    return message


def _fill_source(message: Any, source: NewRecord | Term) -> None:
    if source.image is not None:
        message.image = source.image
    elif source.url:
        message.url = source.url
    elif source.vector is not None:
        message.vector = pack_vector(source.vector)
    if source.region is not None:
        message.region.CopyFrom(_region(source.region))


def _region(region: Region) -> types_pb.Region:
    return types_pb.Region(left=region.left, top=region.top, right=region.right, bottom=region.bottom)


def _fill_attributes(target: Any, attributes: Mapping[str, AttributeValue]) -> None:
    for name, value in attributes.items():
        if isinstance(value, bool):
            target[name].bool_value = value
        elif isinstance(value, str):
            target[name].string_value = value
        elif isinstance(value, int | float):
            target[name].number_value = value
        else:
            target[name].list_value.values.extend(value)
            target[name].list_value.SetInParent()


def _attributes(source: Mapping[str, types_pb.AttributeValue]) -> dict[str, AttributeValue]:
    result: dict[str, AttributeValue] = {}
    for name, value in source.items():
        kind = value.WhichOneof("kind")
        if kind == "list_value":
            result[name] = tuple(value.list_value.values)
        elif kind is not None:
            result[name] = getattr(value, kind)
    return result


def _facet(message: search_pb.Facet) -> Facet:
    counts = {c.bool_value if c.HasField("bool_value") else c.string_value: c.count for c in message.counts}
    return Facet(message.attribute, counts, message.value_count)


def _hit(message: search_pb.Hit) -> Hit:
    return Hit(
        message.record_id, message.product_id, message.score, message.distance, _attributes(message.attributes),
        message.vector,
    )  # fmt: skip


def to_policy(name: str) -> collections_pb.PicturePolicy.ValueType:
    """A picture policy as a message has it. Raises ValueError for a name that is none."""
    return collections_pb.PicturePolicy.Value(_POLICY + name)


def from_policy(value: collections_pb.PicturePolicy.ValueType) -> str:
    """The name of a picture policy."""
    return collections_pb.PicturePolicy.Name(value).removeprefix(_POLICY)
