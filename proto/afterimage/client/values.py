"""What goes in and what comes out: frozen values without protobuf. Vectors are little-endian float32 bytes."""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from afterimage.client.errors import invalid

AttributeValue = str | float | bool | Sequence[str]


def pack_vector(vector: bytes | Sequence[float]) -> bytes:
    """Little-endian float32 of a sequence of numbers; bytes are taken as they are."""
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
    """The numbers of little-endian float32 bytes."""
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
class NewRecord:
    """A record to insert, with exactly one of image, url and vector."""

    record_id: str
    image: bytes | None = field(default=None, repr=False)
    url: str = ""
    vector: bytes | Sequence[float] | None = field(default=None, repr=False)
    product_id: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    region: Region | None = None


@dataclass(frozen=True)
class Patch:
    """A change of a record. What is None stays."""

    record_id: str
    product_id: str | None = None
    set_attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    remove_attributes: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A picture to process once, with exactly one of image and url."""

    image: bytes | None = field(default=None, repr=False)
    region: Region | None = None
    url: str = ""


@dataclass(frozen=True)
class Term:
    """One part of a query, with exactly one of image, url, record_id and vector. A negative weight leads away."""

    image: bytes | None = field(default=None, repr=False)
    url: str = ""
    record_id: str = ""
    vector: bytes | Sequence[float] | None = field(default=None, repr=False)
    region: Region | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class RecordFailure:
    """Why one record of a batch failed. `code` is a google.rpc.Code number."""

    code: int
    reason: str
    message: str
    field: str
    retry_delay_s: float


@dataclass(frozen=True)
class PictureNote:
    """What there is to say about a picture that was used all the same; `reason` is stable."""

    reason: str
    message: str


@dataclass(frozen=True)
class RecordResult:
    """What became of one record: "created", "updated", "unchanged" or "failed" (then `error` says why). `notes`: about
    its picture."""

    record_id: str
    outcome: str
    sequence: int
    error: RecordFailure | None
    notes: tuple[PictureNote, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far an import is."""

    done: int
    failed: int


@dataclass(frozen=True)
class Record:
    """A stored record. `vector` is empty unless it was asked for."""

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
class Collection:
    """A collection and its counts."""

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


@dataclass(frozen=True)
class Hit:
    """A record that was found."""

    record_id: str
    product_id: str
    score: float
    distance: float
    attributes: Mapping[str, AttributeValue]
    vector: bytes = field(repr=False)


@dataclass(frozen=True)
class HitGroup:
    """Hits of one product, the nearest first."""

    product_id: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class SearchResult:
    """An answer: `hits`, or `groups` where the search was grouped. `path` says how it was found; `unknown_attributes`
    are names in the filter that no record has, `filter_hints` say what it may have meant otherwise."""

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


@dataclass(frozen=True)
class Facet:
    """How many of the records that a filter allows have each value of an attribute, the most frequent first; at most
    100 of the `value_count` values."""

    attribute: str
    counts: Mapping[str | bool, int]
    value_count: int


@dataclass(frozen=True)
class Snapshot:
    """A copy of a collection that the server keeps."""

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
    """What the index of a collection consists of; the fields are those of GetIndexStatsResponse."""

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
    """What a tenant stores and asks for, and the most that it may; 0: no limit. Pictures are counted from midnight UTC,
    and only while there is a limit."""

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
class Deletion:
    """What was deleted, or would be where `deleted` is false; ids that no record has, and what is odd about the
    filter. snapshot_count: kept snapshots of the collection that is deleted; whether they go, too, was asked for."""

    record_count: int
    deleted: bool
    sample_record_ids: tuple[str, ...] = ()
    missing_record_ids: tuple[str, ...] = ()
    unknown_attributes: tuple[str, ...] = ()
    filter_hints: tuple[str, ...] = ()
    snapshot_count: int = 0


@dataclass(frozen=True)
class FilterCheck:
    """How many records a filter matches, names in it that no record has, and what it may have meant otherwise, a
    sentence each."""

    record_count: int
    unknown_attributes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class DuplicateGroup:
    """Records that look the same, the one inserted first in front. `kind` is "identical", "near" or "similar";
    `identical_ids`: those among them that are of the same picture, together."""

    kind: str
    record_ids: tuple[str, ...]
    max_distance: float
    identical_ids: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class EncodedPicture:
    """A vector, or why there is none."""

    vector: bytes = field(repr=False)
    error: RecordFailure | None
    notes: tuple[PictureNote, ...] = ()


@dataclass(frozen=True)
class Label:
    """A guess: its value, share of the votes and number of votes."""

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
    """An encoder of the server's. near_duplicate_distance: up to which two pictures count as near-duplicates."""

    id: str
    version: str
    license: str
    dimension: int
    fingerprint: str
    is_default: bool
    blocks: tuple[str, ...] = ()
    near_duplicate_distance: float = 0.0


@dataclass(frozen=True)
class ServerInfo:
    """What the server is and allows. `limits` has the fields of the proto message Limits."""

    version: str
    limits: Mapping[str, int]
    encoders: tuple[Encoder, ...]
    image_formats: tuple[str, ...]
    fetches_urls: bool
    scopes: tuple[str, ...]
