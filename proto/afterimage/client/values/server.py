"""The server, its models, and what it keeps of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from afterimage.client.values.collections import ScoreCalibration


@dataclass(frozen=True)
class Encoder:
    """An encoder of the server.

    - near_duplicate_distance: maximum distance of near-duplicates.
    - calibration: of the scores of new collections.
    - takes_color, takes_text: whether `Term.color` and `Term.text` can be used.
    """

    id: str
    version: str
    license: str
    dimension: int
    fingerprint: str
    is_default: bool
    blocks: tuple[str, ...] = ()
    near_duplicate_distance: float = 0.0
    calibration: ScoreCalibration | None = None
    takes_color: bool = False
    takes_text: bool = False


@dataclass(frozen=True)
class Detector:
    """A model that finds objects in pictures. labels: up to 100 of them. min_score: of an object, by default."""

    id: str
    version: str
    license: str
    labels: tuple[str, ...]
    min_score: float


@dataclass(frozen=True)
class ServerInfo:
    """Information about the server. `limits` has the fields of the proto message Limits. detector: None without one."""

    version: str
    limits: Mapping[str, int]
    encoders: tuple[Encoder, ...]
    image_formats: tuple[str, ...]
    fetches_urls: bool
    scopes: tuple[str, ...]
    takes_idempotency_keys: bool = False
    detector: Detector | None = None


@dataclass(frozen=True)
class Protection:
    """A protection of pictures. state: "ok", "warning" or "failed"."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True)
class KeptOfCollection:
    """What is kept of the pictures of a collection, and of what people said of them."""

    collection: str
    picture_policy: str
    record_count: int
    copy_count: int
    copy_bytes: int
    url_count: int
    snapshot_count: int
    judged_pair_count: int = 0
    feedback_count: int = 0


@dataclass(frozen=True)
class PrivacyReport:
    """Protections of the server, and what it keeps of the tenant's pictures. The fields are those of
    GetPrivacyReportResponse."""

    protections: tuple[Protection, ...]
    collections: tuple[KeptOfCollection, ...]
    training_picture_count: int
    model_count: int
    region: str
    read_audit_minutes: int
    approved_access_count: int
    open_access_count: int
