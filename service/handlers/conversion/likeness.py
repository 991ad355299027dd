"""Messages of the calls that compare pictures or records without a search: duplicates, Encode, Rank."""

from __future__ import annotations

import numpy as np

from afterimage.v1 import search_service_pb2 as pb
from index import DuplicateGroup
from service.calls.error_details import to_record_error
from service.encoder.manifest import ScoreSpec
from service.engine.pictures import Encoded
from service.errors import ServiceError
from service.handlers.conversion.values import from_notes, from_vector


def from_duplicates(group: DuplicateGroup, near_duplicate_distance: float) -> pb.FindDuplicatesResponse:
    """Returns the message of a group. near_duplicate_distance: the largest distance of the kind NEAR."""
    kind = pb.DUPLICATE_KIND_SIMILAR
    if group.identical:
        kind = pb.DUPLICATE_KIND_IDENTICAL
    elif group.max_distance <= near_duplicate_distance:
        kind = pb.DUPLICATE_KIND_NEAR
    return pb.FindDuplicatesResponse(
        kind=kind,
        record_ids=group.record_ids,
        max_distance=group.max_distance,
        identical=[pb.IdenticalRecords(record_ids=same) for same in group.identical_ids],
    )


def from_encoded(encoded: Encoded | ServiceError) -> pb.EncodedPicture:
    """Returns the message of one encoded picture, or of the error of one that could not be encoded."""
    if isinstance(encoded, ServiceError):
        return pb.EncodedPicture(error=to_record_error(encoded))
    return pb.EncodedPicture(vector=from_vector(encoded.vector), notes=from_notes(encoded.notes))


def from_encoded_text(encoded: Encoded | ServiceError) -> pb.EncodedText:
    """Returns the message of one encoded text, or of the error of one that could not be encoded."""
    if isinstance(encoded, ServiceError):
        return pb.EncodedText(error=to_record_error(encoded))
    return pb.EncodedText(vector=from_vector(encoded.vector))


def to_ranked(index: int, query: Encoded, encoded: Encoded | ServiceError, score: ScoreSpec) -> pb.RankedPicture:
    """Returns the message of one picture compared with the query. index: its position in the request."""
    if isinstance(encoded, ServiceError):
        return pb.RankedPicture(index=index, error=to_record_error(encoded))
    distance = max(0.0, 1.0 - float(np.dot(query.vector, encoded.vector)))
    return pb.RankedPicture(index=index, distance=distance, score=score.score(distance))
