"""What searches and other readings of vectors return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from afterimage.client.values.records import AttributeValue, DetectedObject, PictureNote, RecordFailure


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
class EncodedPicture:
    """A vector or an error."""

    vector: bytes = field(repr=False)
    error: RecordFailure | None
    notes: tuple[PictureNote, ...] = ()


@dataclass(frozen=True)
class EncodedText:
    """A vector or an error."""

    vector: bytes = field(repr=False)
    error: RecordFailure | None


@dataclass(frozen=True)
class PictureObjects:
    """The objects of a picture, the best score first, or its error."""

    objects: tuple[DetectedObject, ...]
    error: RecordFailure | None = None
    notes: tuple[PictureNote, ...] = ()
