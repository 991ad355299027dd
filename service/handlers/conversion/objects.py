"""Messages about objects in pictures."""

from __future__ import annotations

from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import server_info_service_pb2 as info_pb
from afterimage.v1 import types_pb2 as types_pb
from service.calls.error_details import to_record_error
from service.detector.manifest import DetectorManifest
from service.detector.suppression import DetectedObject, ObjectLimits
from service.engine.detection.pipeline import ObjectsOfPicture
from service.engine.detection.splitting import Split
from service.engine.ingest import Inserted
from service.errors import ServiceError
from service.handlers.conversion.values import (
    from_inserted,
    from_notes,
    from_region,
    from_results,
    number_within,
    within,
)
from service.handlers.request_limits import DEFAULT_OBJECTS, MAX_OBJECTS, MAX_SCORE

_MOST_LABELS = 100


def to_object_limits(max_objects: int, min_score: float | None = None) -> ObjectLimits:
    """Returns how many objects of a picture are wanted, and how good. Raises ServiceError (ARGUMENT_INVALID)."""
    most = within("max_objects", max_objects, 0, MAX_OBJECTS) or DEFAULT_OBJECTS
    least = None if min_score is None else number_within("min_score", min_score, 0.0, MAX_SCORE)
    return ObjectLimits(most, least)


def from_object(found: DetectedObject) -> types_pb.DetectedObject:
    """Returns the message of an object."""
    return types_pb.DetectedObject(region=from_region(found.region), label=found.label, score=found.score)


def from_objects(found: ObjectsOfPicture | ServiceError) -> pb.PictureObjects:
    """Returns the message of the objects of a picture, or of its error."""
    if isinstance(found, ServiceError):
        return pb.PictureObjects(error=to_record_error(found))
    return pb.PictureObjects(objects=[from_object(o) for o in found.objects], notes=from_notes(found.notes))


def add_object(response: pb.SearchResponse, found: DetectedObject, answer: pb.SearchResponse) -> None:
    """Adds the hits of an object to the response of a search with each object."""
    response.objects.add(object=from_object(found), hits=answer.hits, groups=answer.groups, search_id=answer.search_id)
    response.regions_used.append(from_region(found.region))


def from_split(split: Split, record_id: str) -> records_pb.RecordResult:
    """Returns the result of a record that was split, with its id as it was sent."""
    (message,) = from_inserted([Inserted(split.result, split.notes)], [record_id])
    ids = [part.result.record_id for part in split.parts]
    for part, of_part in zip(split.parts, from_results([p.result for p in split.parts], ids), strict=True):
        message.parts.add(record_id=of_part.record_id, outcome=of_part.outcome, object=from_object(part.found))
    message.removed_record_ids.extend(split.removed)
    return message


def from_detector(manifest: DetectorManifest) -> info_pb.Detector:
    """Returns the message about a detector."""
    return info_pb.Detector(
        id=manifest.id, version=manifest.version, license=manifest.license, min_score=manifest.min_score,
        labels=manifest.labels[:_MOST_LABELS],
    )  # fmt: skip
