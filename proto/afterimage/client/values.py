"""Values of requests and responses: frozen, without protobuf. Vectors are little-endian float32 bytes."""

from __future__ import annotations

import array
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Union

from afterimage.client.errors import invalid

AttributeValue = Union[str, float, bool, Sequence[str]]
# The content of a picture file, the path of one, or one that is open for reading in binary mode.
ImageSource = Union[bytes, "os.PathLike[str]", BinaryIO]


def pack_vector(vector: bytes | Sequence[float]) -> bytes:
    """Returns a sequence of numbers as little-endian float32; bytes are returned unchanged."""
    if isinstance(vector, bytes):
        return vector
    try:
        packed = array.array("f", vector)
    except (TypeError, OverflowError) as error:
        raise invalid("vector", f"vector is not a flat sequence of float32 numbers: {error}") from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_vector(content: bytes) -> list[float]:
    """Returns the numbers of little-endian float32 bytes."""
    numbers = array.array("f", content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


@dataclass(frozen=True)
class Region:
    """A rectangle in fractions of a picture's sides."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class DetectedObject:
    """An object in a picture. label: of its class. score: 0 to 1, how sure the detector is."""

    region: Region
    label: str
    score: float


@dataclass(frozen=True)
class NewRecord:
    """A record to insert, with exactly one of image, url and vector."""

    record_id: str
    image: ImageSource | None = field(default=None, repr=False)
    url: str = ""
    vector: bytes | Sequence[float] | None = field(default=None, repr=False)
    product_id: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    region: Region | None = None


@dataclass(frozen=True)
class Patch:
    """A change of a record. None: unchanged."""

    record_id: str
    product_id: str | None = None
    set_attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    remove_attributes: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A picture to process once, with exactly one of image and url."""

    image: ImageSource | None = field(default=None, repr=False)
    region: Region | None = None
    url: str = ""


@dataclass(frozen=True)
class Term:
    """One part of a query, with exactly one of image, url, record_id, vector, search_id, color and text. A negative
    weight searches away from it.

    - search_id: of an earlier `SearchResult`, instead of its picture.
    - color: "#d02030", "#d23", or a name of CSS such as "crimson".
    - text: what is shown, in words, such as "red mug with stripes".
    """

    image: ImageSource | None = field(default=None, repr=False)
    url: str = ""
    record_id: str = ""
    vector: bytes | Sequence[float] | None = field(default=None, repr=False)
    region: Region | None = None
    weight: float = 1.0
    search_id: str = field(default="", repr=False)
    color: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class RecordFailure:
    """The error of one record of a batch. `code` is a google.rpc.Code number."""

    code: int
    reason: str
    message: str
    field: str
    retry_delay_s: float


@dataclass(frozen=True)
class PictureNote:
    """A defect of a picture that was accepted. `reason` is stable."""

    reason: str
    message: str


@dataclass(frozen=True)
class RecordResult:
    """The result for one record: "created", "updated", "unchanged" or "failed" (with `error`).

    - notes: about its picture.
    - parts: with `split_objects`, the records that were made of its objects.
    - removed_record_ids: with `split_objects`, earlier parts that were deleted.
    """

    record_id: str
    outcome: str
    sequence: int
    error: RecordFailure | None
    notes: tuple[PictureNote, ...] = ()
    parts: tuple[RecordPart, ...] = ()
    removed_record_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordPart:
    """A record that was made of an object in a picture. outcome: "created", "updated" or "unchanged"."""

    record_id: str
    outcome: str
    object: DetectedObject


@dataclass(frozen=True)
class Progress:
    """Progress of an import."""

    done: int
    failed: int


@dataclass(frozen=True)
class Record:
    """A stored record. `vector` is empty unless it was requested."""

    record_id: str
    product_id: str
    attributes: Mapping[str, AttributeValue]
    region: Region | None
    vector: bytes = field(repr=False)
    encoder_fingerprint: str
    sequence: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True)
class RecordSample:
    """Records that were drawn from the `allowed_count` that match, in random order.

    - seed: draws the same records again while nothing is written.
    - filter_hints: warnings about the filter.
    """

    records: tuple[Record, ...]
    allowed_count: int
    seed: int
    unknown_attributes: tuple[str, ...] = ()
    filter_hints: tuple[str, ...] = ()


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
class Boost:
    """Adds `weight` (-1 to 1) times a factor to the similarity of records: 1 for those that match `filter`, or a factor
    of 0 to 1 by the number of `attribute`.

    - origin: the number with the factor 1. scale: distance from it at which the factor is 0.5.
    - offset: numbers within this distance of the origin count as the origin.
    - decay: "gauss", "exponential" or "linear".
    - side: "both"; "more": numbers above the origin count as the origin; "less": those below it.
    """

    weight: float
    filter: str = ""
    attribute: str = ""
    origin: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    decay: str = "gauss"
    side: str = "both"


@dataclass(frozen=True)
class Hit:
    """A record of a search result.

    - boost: what all boosts add to its similarity. boosts: what each adds.
    - likeness: SAME_PICTURE, SAME_PRODUCT, VERY_ALIKE, ALIKE or NOT_ALIKE; empty from a server of an earlier version.
    """

    record_id: str
    product_id: str
    score: float
    distance: float
    attributes: Mapping[str, AttributeValue]
    vector: bytes = field(repr=False)
    boost: float = 0.0
    boosts: tuple[float, ...] = ()
    likeness: str = ""


@dataclass(frozen=True)
class HitGroup:
    """Hits of one product, nearest first."""

    product_id: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: `hits`, or `groups` if the search was grouped.

    - path: the search strategy.
    - unknown_attributes: names in the filter that no record has.
    - filter_hints: warnings about the filter.
    - weights: of blocks that this search used; other blocks have weight 1.
    - calibration: what scores are based on: ENCODER, DRAWN, PRODUCTS or PAIRS.
    - passed_over: with `diversity`, nearer records that gave way; at most 100 of the `passed_over_total`.
    - search_id: with `with_search_id`, stands for the query in a `Term` for an hour.
    - saved_search_version: of the saved search that was used; 0: none.
    - objects: with `objects="each"`, the hits of each object, instead of `hits` and `groups`.
    """

    hits: tuple[Hit, ...]
    groups: tuple[HitGroup, ...]
    allowed_count: int
    encoder_id: str
    encoder_fingerprint: str
    sequence: int
    index_time: datetime
    path: str
    encode_ms: float
    search_ms: float
    total_ms: float
    facets: tuple[Facet, ...] = ()
    learned_order: bool = False
    notes: tuple[PictureNote, ...] = ()
    unknown_attributes: tuple[str, ...] = ()
    filter_hints: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    passed_over_total: int = 0
    search_id: str = field(default="", repr=False)
    saved_search_version: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    calibration: str = ""
    objects: tuple[ObjectHits, ...] = ()


@dataclass(frozen=True)
class ObjectHits:
    """The hits, or groups, of one object of a picture. search_id: as that of SearchResult, for this object.

    If no object was found, it is the whole picture, or its region, without a label and a score.
    """

    object: DetectedObject
    hits: tuple[Hit, ...]
    groups: tuple[HitGroup, ...] = ()
    search_id: str = field(default="", repr=False)


@dataclass(frozen=True)
class PassedOver:
    """A record that gave way to less similar ones (`diversity`). similar_to: the hit that it is most like."""

    record_id: str
    distance: float
    similar_to: str


@dataclass(frozen=True)
class NumberRange:
    """Numbers from `low` up to but not including `high`. None: without end."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Facet:
    """The number of records with each value of an attribute, the most frequent first, or in each range, the lowest
    first.

    At most 100 of the `value_count` values.
    """

    attribute: str
    counts: Mapping[str | bool | NumberRange, int]
    value_count: int


@dataclass(frozen=True)
class Variant:
    """One side of a comparison: a collection, and further arguments of `search`, such as {"k": 20}."""

    collection: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchParameter:
    """A value that a saved search takes. type: string, number or boolean. default: None: each search must give one."""

    type: str = "string"
    default: str | float | bool | None = None
    description: str = ""


@dataclass(frozen=True)
class SavedSearch:
    """A version of a saved search. options: arguments of `search`, such as {"k": 20}. hints: warnings about its
    filters, when it has just been saved."""

    name: str
    options: Mapping[str, object]
    parameters: Mapping[str, SearchParameter]
    description: str
    version: int
    etag: str
    create_time: datetime
    update_time: datetime
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The results of two searches with one query.

    - overlap: share of the ids of the longer list that both have. average_overlap: its mean over the first 1, 2, 3, ...
    - only_first, only_second: ids that only one has.
    - first_precision, second_precision: share of relevant ids; None if none were given.
    """

    first: SearchResult
    second: SearchResult
    overlap: float
    average_overlap: float
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    first_precision: float | None = None
    second_precision: float | None = None


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


@dataclass(frozen=True)
class ProjectedRecord:
    """A record on a map. x, y: -1 to 1. value: of the attribute that was asked for; None: it has none."""

    record_id: str
    product_id: str
    x: float
    y: float
    value: AttributeValue | None


@dataclass(frozen=True)
class RecordMap:
    """Records on a plane, similar ones near each other.

    - allowed_count: records that match the filter.
    - kept_neighbors: share of the 10 nearest records that are among the 10 nearest on the map, 0 to 1.
    - filter_hints: warnings about the filter.
    """

    records: tuple[ProjectedRecord, ...]
    allowed_count: int
    seed: int
    kept_neighbors: float
    unknown_attributes: tuple[str, ...] = ()
    filter_hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deletion:
    """What was deleted, or would be if `deleted` is false.

    - missing_record_ids: ids that do not exist.
    - filter_hints: warnings about the filter.
    - snapshot_count: kept snapshots of a deleted collection.
    """

    record_count: int
    deleted: bool
    sample_record_ids: tuple[str, ...] = ()
    missing_record_ids: tuple[str, ...] = ()
    unknown_attributes: tuple[str, ...] = ()
    filter_hints: tuple[str, ...] = ()
    snapshot_count: int = 0


@dataclass(frozen=True)
class FilterCheck:
    """The number of records that a filter matches, names in it that no record has, and warnings."""

    record_count: int
    unknown_attributes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class DuplicateGroup:
    """Records that look the same, the first inserted one first.

    - kind: "identical", "near" or "similar".
    - identical_ids: groups of members with the same picture bytes.
    - same_product_pairs: pairs in it that were judged to be the same product.
    - contradictions: pairs in it that were judged different, although other verdicts make them the same product.
    """

    kind: str
    record_ids: tuple[str, ...]
    max_distance: float
    identical_ids: tuple[tuple[str, ...], ...] = ()
    same_product_pairs: int = 0
    contradictions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EncodedPicture:
    """A vector or an error."""

    vector: bytes = field(repr=False)
    error: RecordFailure | None
    notes: tuple[PictureNote, ...] = ()


@dataclass(frozen=True)
class PictureObjects:
    """The objects of a picture, the best score first, or its error."""

    objects: tuple[DetectedObject, ...]
    error: RecordFailure | None = None
    notes: tuple[PictureNote, ...] = ()


@dataclass(frozen=True)
class Label:
    """A predicted value, its share of the votes and its number of votes."""

    value: str
    confidence: float
    votes: int


@dataclass(frozen=True)
class RankedPicture:
    """A picture of the supplied list, by its position there."""

    index: int
    score: float
    distance: float
    error: RecordFailure | None


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
