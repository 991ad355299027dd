"""Collections, their scores and settings."""

from __future__ import annotations

from datetime import timezone

from afterimage.client.errors import invalid
from afterimage.client.values import Collection, ScoreCalibration
from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import types_pb2 as types_pb

_POLICY = "PICTURE_POLICY_"


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
        source_name(message.source), message.midpoint, message.width, message.same_picture_distance,
        message.same_product_distance, message.very_alike_distance, message.alike_distance, message.pair_count,
    )  # fmt: skip


def source_name(value: types_pb.CalibrationSource.ValueType) -> str:
    """Returns the name of a source; empty if it is unspecified, or later than this client."""
    names = types_pb.CalibrationSource
    return names.Name(value).removeprefix("CALIBRATION_SOURCE_") if value and value in names.values() else ""


def to_policy(name: str) -> collections_pb.PicturePolicy.ValueType:
    """Returns the enum value of a picture policy. Raises InvalidArgument for an unknown name."""
    if _POLICY + name not in collections_pb.PicturePolicy.keys():  # noqa: SIM118 - an enum of protobuf is no mapping
        raise invalid("picture_policy", f"picture_policy is {name!r}; pass DISCARD, REFERENCE or ENCRYPTED_COPY")
    return collections_pb.PicturePolicy.Value(_POLICY + name)


def from_policy(value: collections_pb.PicturePolicy.ValueType) -> str:
    """Returns the name of a picture policy."""
    return collections_pb.PicturePolicy.Name(value).removeprefix(_POLICY)
