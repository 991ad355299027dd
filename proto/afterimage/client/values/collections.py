"""Collections, their scores, snapshots and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class ScoreCalibration:
    """How distances are read: as a score, and as a word of `Hit.likeness`.

    - source: ENCODER, DRAWN, PRODUCTS or PAIRS: what it was measured on.
    - midpoint, width: of the logistic curve that gives the score.
    - same_picture_distance to alike_distance: the largest distance of each word.
    - pair_count: that it was measured on; 0 if unknown.
    """

    source: str
    midpoint: float
    width: float
    same_picture_distance: float
    same_product_distance: float
    very_alike_distance: float
    alike_distance: float
    pair_count: int


@dataclass(frozen=True)
class Collection:
    """A collection and its counts.

    - default_emphasis: weights of blocks for searches without `emphasis`. learned_emphasis: a tuning chose them.
    - calibration: how scores and likeness of hits are computed; None from a server of an earlier version.
    """

    name: str
    description: str
    encoder_id: str
    encoder_fingerprint: str
    dimension: int
    record_count: int
    tombstone_count: int
    sequence: int
    create_time: datetime
    index_time: datetime
    learning: str
    learned: bool
    picture_policy: str
    policy_version: int
    partial: bool = False
    keep_feedback: bool = False
    default_emphasis: Mapping[str, float] = field(default_factory=dict)
    learned_emphasis: bool = False
    calibration: ScoreCalibration | None = None


@dataclass(frozen=True)
class Snapshot:
    """A copy of a collection on the server."""

    snapshot_id: str
    collection: str
    create_time: datetime
    sequence: int
    record_count: int
    size_bytes: int
    encoder_id: str
    encoder_fingerprint: str


@dataclass(frozen=True)
class IndexStats:
    """Structure of a collection's index. The fields are those of GetIndexStatsResponse."""

    record_count: int
    tombstone_count: int
    base_rows: int
    memory_bytes: int
    sequence: int
    saved_sequence: int
    recall: float | None
    recall_sample: int
    search_effort: int
    learning_gain: float | None
    learned: bool


@dataclass(frozen=True)
class Usage:
    """What a tenant stores, and its limits; 0: no limit.

    Pictures are counted from midnight UTC, and only while there is a limit.
    """

    record_count: int
    stored_bytes: int
    max_records: int
    max_stored_bytes: int
    collection_count: int
    max_collections: int
    pictures_today: int
    max_pictures_per_day: int
    max_runs: int
    max_requests_per_second: float
    key_max_requests_per_second: float


@dataclass(frozen=True)
class SearchDay:
    """The searches of one day. date: YYYY-MM-DD, UTC. best_score_counts: 20 counts of searches by their best score,
    from 0 to 0.05, from 0.05 to 0.1 and so on."""

    date: str
    search_count: int
    without_hit_count: int
    best_score_counts: tuple[int, ...]


@dataclass(frozen=True)
class SearchReport:
    """How good the best hits of searches were. enabled: whether searches are counted. days: those with searches."""

    enabled: bool
    days: tuple[SearchDay, ...]
