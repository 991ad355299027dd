"""Records to write and stored ones, and results of writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timezone
from typing import Any

from afterimage.client.checks import checked_image, checked_sources, checked_text, checked_texts
from afterimage.client.convert.attributes import fill_attributes, to_attributes
from afterimage.client.errors import invalid
from afterimage.client.values import (
    DetectedObject,
    NewRecord,
    Patch,
    PictureNote,
    Record,
    RecordFailure,
    RecordPart,
    RecordResult,
    RecordSample,
    Region,
    Term,
    pack_vector,
)
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import types_pb2 as types_pb


def record_input(record: NewRecord) -> records_pb.RecordInput:
    """Returns the message of a record to insert. Raises InvalidArgument."""
    if not isinstance(record, NewRecord):
        raise invalid("records", f"a record is of type {type(record).__name__}; pass NewRecord(record_id, image=...)")
    message = records_pb.RecordInput(
        record_id=checked_text("record_id", record.record_id), product_id=checked_text("product_id", record.product_id)
    )
    fill_attributes(message.attributes, record.attributes)
    fill_source(message, record)
    return message


def record_patch(patch: Patch) -> records_pb.RecordPatch:
    """Returns the message of a change of a record. Raises InvalidArgument."""
    checked_text("record_id", patch.record_id)
    message = records_pb.RecordPatch(
        record_id=patch.record_id, remove_attributes=checked_texts("remove_attributes", patch.remove_attributes)
    )
    if patch.product_id is not None:
        message.product_id = checked_text("product_id", patch.product_id)
    fill_attributes(message.set_attributes, patch.set_attributes)
    return message


def fill_source(message: Any, source: NewRecord | Term) -> None:
    checked_sources({"image": source.image, "url": source.url, "vector": source.vector})
    if source.image is not None:
        message.image = checked_image(source.image)
    elif source.url:
        message.url = checked_text("url", source.url)
    elif source.vector is not None:
        message.vector = pack_vector(source.vector)
    if source.region is not None:
        message.region.CopyFrom(from_region(source.region))


def from_region(region: Region) -> types_pb.Region:
    return types_pb.Region(left=region.left, top=region.top, right=region.right, bottom=region.bottom)


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
        to_attributes(message.attributes),
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


def to_object(message: types_pb.DetectedObject) -> DetectedObject:
    """Returns an object in a picture."""
    region = message.region
    return DetectedObject(Region(region.left, region.top, region.right, region.bottom), message.label, message.score)
