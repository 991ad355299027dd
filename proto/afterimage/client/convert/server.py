"""The server and its models."""

from __future__ import annotations

from afterimage.client.convert.collections import to_calibration
from afterimage.client.values import Detector, Encoder, ServerInfo
from afterimage.v1 import server_info_service_pb2 as info_pb


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
