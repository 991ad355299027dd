"""Values that several services share, and checks of limits that only the API has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from afterimage.v1 import collection_service_pb2 as collection_pb
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import types_pb2 as types_pb
from index import (
    Attributes,
    AttributeValue,
    Outcome,
    PicturePolicy,
    RecordPatch,
    RecordWrite,
    Region,
    StoredRecord,
    Vector,
    WriteResult,
)
from service.calls.error_details import to_record_error
from service.engine.faults import as_service_error
from service.engine.ingest import Inserted, RecordInput, missing_source
from service.engine.pictures import PictureSource
from service.errors import Reason, ServiceError
from service.handlers.request_limits import PAGE, PageSize
from service.intake.notes import Note
from service.runtime.call_facts import about

_POLICY = "PICTURE_POLICY_"
_MAX_VECTOR_BYTES = 16 * 1024 * 1024  # of a message; clients commonly receive 20 MiB
_OUTCOMES = {
    Outcome.CREATED: records_pb.WRITE_OUTCOME_CREATED,
    Outcome.UPDATED: records_pb.WRITE_OUTCOME_UPDATED,
    Outcome.UNCHANGED: records_pb.WRITE_OUTCOME_UNCHANGED,
    Outcome.FAILED: records_pb.WRITE_OUTCOME_FAILED,
}


def invalid(field: str, message: str) -> ServiceError:
    """Returns an ARGUMENT_INVALID error."""
    return ServiceError(Reason.ARGUMENT_INVALID, message, field=field)


def check_count(field: str, count: int, most: int) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) unless 1 <= count <= most."""
    if not 1 <= count <= most:
        raise invalid(field, f"{field} must contain 1 to {most} items, not {count}")


def check_most(field: str, count: int, most: int) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) unless count <= most."""
    if count > most:
        raise invalid(field, f"{field} must contain at most {most} items, not {count}")


def within(field: str, value: int, low: int, high: int) -> int:
    """Returns the value. Raises ServiceError (ARGUMENT_INVALID) unless low <= value <= high."""
    if not low <= value <= high:
        raise invalid(field, f"{field} is {value}, not within {low}..{high}")
    return value


def number_within(field: str, value: float, low: float, high: float) -> float:
    """Returns the value. Raises ServiceError (ARGUMENT_INVALID) unless low <= value <= high; NaN never is."""
    if not low <= value <= high:
        raise invalid(field, f"{field} is {value:g}, not within {low:g}..{high:g}")
    return value


def to_attributes(source: Mapping[str, types_pb.AttributeValue]) -> dict[str, AttributeValue]:
    """Returns attributes. Raises ServiceError (ARGUMENT_INVALID) if one has no value."""
    result: dict[str, AttributeValue] = {}
    for name, value in source.items():
        kind = value.WhichOneof("kind")
        if kind is None:
            raise invalid(f"attributes.{name[:80]}", f"attribute {name[:80]!r} has no value")
        result[name] = tuple(value.list_value.values) if kind == "list_value" else getattr(value, kind)
    return result


def from_attributes(attributes: Attributes, target: Mapping[str, types_pb.AttributeValue]) -> None:
    """Writes attributes into a message's map."""
    for name, value in attributes.items():
        from_attribute(value, target[name])


def from_attribute(value: AttributeValue, message: types_pb.AttributeValue) -> None:
    """Writes the value of an attribute into a message."""
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, tuple):
        message.list_value.values.extend(value)
        message.list_value.SetInParent()
    else:
        message.number_value = value


def to_region(message: types_pb.Region) -> Region:
    """Returns a region. Its bounds are not checked here."""
    return Region(message.left, message.top, message.right, message.bottom)


def from_region(region: Region) -> types_pb.Region:
    """Returns the message of a region."""
    return types_pb.Region(left=region.left, top=region.top, right=region.right, bottom=region.bottom)


def to_vector(field: str, content: bytes) -> Vector:
    """Returns a vector from little-endian float32: float32, shape (n,). Its length and values are not checked here.

    Raises ServiceError (ARGUMENT_INVALID) unless the size is a positive multiple of 4 bytes.
    """
    if not content or len(content) % 4:
        raise invalid(field, f"{field} has {len(content)} bytes, not a positive multiple of 4")
    return np.frombuffer(content, "<f4").astype(np.float32)


def from_vector(vector: Vector) -> bytes:
    """Returns a vector as little-endian float32."""
    return vector.astype("<f4").tobytes()


def to_record_input(message: records_pb.RecordInput) -> RecordInput | ServiceError:
    """Returns a record to insert, or the error of an invalid one."""
    try:
        attributes = to_attributes(message.attributes)
        region = to_region(message.region) if message.HasField("region") else None
        kind = message.WhichOneof("source")
        if kind is None:
            return missing_source()
        if kind == "vector":
            if region is not None:
                return invalid("region", "a region can only be set with a picture, not with a vector")
            vector = to_vector("vector", message.vector)
            return RecordInput(RecordWrite(message.record_id, vector, message.product_id, attributes))
        picture = PictureSource(message.image if kind == "image" else None, message.url, region)
        return RecordInput(RecordWrite(message.record_id, None, message.product_id, attributes), picture)
    except ServiceError as error:
        return error


def to_patch(message: records_pb.RecordPatch) -> RecordPatch:
    """Returns a change of a record. Raises ServiceError (ARGUMENT_INVALID) if a name is both set and removed."""
    removed = frozenset(message.remove_attributes)
    both = removed & set(message.set_attributes)
    if both:
        raise invalid("remove_attributes", f"attribute {min(both)[:80]!r} is both set and removed")
    product_id = message.product_id if message.HasField("product_id") else None
    return RecordPatch(message.record_id, product_id, to_attributes(message.set_attributes), removed)


def from_inserted(inserted: Iterable[Inserted], record_ids: Iterable[str]) -> list[records_pb.RecordResult]:
    """Returns the results of inserts, with the ids as they were sent and the notes about the pictures."""
    messages = []
    for (result, notes), record_id in zip(inserted, record_ids, strict=True):
        messages.append(_from_result(result, record_id))
        messages[-1].notes.extend(from_notes(notes))
    return messages


def from_notes(notes: Iterable[Note]) -> list[types_pb.PictureNote]:
    """Returns the messages of notes about a picture."""
    return [types_pb.PictureNote(reason=note.name, message=note.value) for note in notes]


def from_results(results: Iterable[WriteResult], record_ids: Iterable[str]) -> list[records_pb.RecordResult]:
    """Returns the results of writes, with the ids as they were sent."""
    return [_from_result(result, record_id) for result, record_id in zip(results, record_ids, strict=True)]


def _from_result(result: WriteResult, record_id: str) -> records_pb.RecordResult:
    message = records_pb.RecordResult(record_id=record_id, outcome=_OUTCOMES[result.outcome], sequence=result.sequence)
    if result.error is not None:
        with about(record_id=record_id):
            message.error.CopyFrom(to_record_error(as_service_error(result.error)))
    return message


def from_record(record: StoredRecord, message: types_pb.Record) -> None:
    """Writes a stored record into a message."""
    message.record_id = record.record_id
    message.product_id = record.product_id
    message.encoder_fingerprint = record.encoder_fingerprint
    message.sequence = record.sequence
    message.create_time.FromMilliseconds(record.created_ms)
    message.update_time.FromMilliseconds(record.updated_ms)
    from_attributes(record.attributes, message.attributes)
    if record.region is not None:
        message.region.CopyFrom(from_region(record.region))
    if record.vector is not None:
        message.vector = from_vector(record.vector)


def timestamp(milliseconds: int) -> Timestamp:
    """Returns a timestamp. milliseconds: since 1970."""
    message = Timestamp()
    message.FromMilliseconds(milliseconds)
    return message


def most_vectors(dimension: int) -> int:
    """Returns the maximum number of vectors of a dimension in one response."""
    return max(1, _MAX_VECTOR_BYTES // (4 * dimension))


def page_size(requested: int, allowed: PageSize = PAGE) -> int:
    """Returns the page size; 0 means the default. Raises ServiceError (ARGUMENT_INVALID) if it is not allowed."""
    return within("page_size", requested, 0, allowed.largest) or allowed.default


def to_policy(value: int, field: str) -> PicturePolicy:
    """Returns a picture policy. Raises ServiceError (ARGUMENT_INVALID) for an unknown one."""
    name = collection_pb.PicturePolicy.Name(value) if value in collection_pb.PicturePolicy.values() else ""  # type: ignore[arg-type]
    known = name.removeprefix(_POLICY)
    if known not in PicturePolicy.__members__:
        raise invalid(field, "unknown picture policy")
    return PicturePolicy(known)


def from_policy(policy: PicturePolicy) -> collection_pb.PicturePolicy.ValueType:
    """Returns the enum value of a picture policy."""
    return collection_pb.PicturePolicy.Value(_POLICY + policy.value)
