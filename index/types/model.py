"""Values that pass through the index's seams. All are frozen; vectors are float32 arrays of shape (dimension,)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
AttributeValue = str | float | bool | tuple[str, ...]
Attributes = Mapping[str, AttributeValue]

UNLIMITED_BYTES = 1 << 62
MOST_FACET_VALUES = 100


@dataclass(frozen=True)
class Region:
    """A rectangle within a picture, in fractions of its sides: 0 <= left < right <= 1, 0 <= top < bottom <= 1."""

    left: float
    top: float
    right: float
    bottom: float


class PicturePolicy(StrEnum):
    """What is kept of a picture once it is encoded: nothing, the URL that it came from, or an encrypted copy in object
    storage."""

    DISCARD = "DISCARD"
    REFERENCE = "REFERENCE"
    ENCRYPTED_COPY = "ENCRYPTED_COPY"

    @property
    def keeps_copies(self) -> bool:
        """Whether an encrypted copy is kept."""
        return self is PicturePolicy.ENCRYPTED_COPY

    @property
    def keeps_urls(self) -> bool:
        """Whether the URL is kept."""
        return self is PicturePolicy.REFERENCE

    @property
    def keeps_anything(self) -> bool:
        """Whether anything is kept."""
        return self.keeps_copies or self.keeps_urls


@dataclass(frozen=True)
class CollectionSpec:
    """What a collection is, fixed at its creation except for the description, learning, partial and the picture policy.

    name: [a-z0-9][a-z0-9_-]{0,62}, unique within the tenant.
    encoder_id, encoder_fingerprint: the encoder that made, and will make, all its vectors.
    dimension: numbers in a vector, 1 to 8,192. Memory grows by 2 bytes, disk by 4, for each number of each record.
    learning: compare by what the collection learns from its own vectors, where a check without labels says that this
        finds more (see index/vectors/ann/centering.py); changeable.
    picture_policy: what its owner wants kept of pictures; policy_version: grows with each change of it.
    partial: pictures that are cut short are used as far as they go; changeable.
    """

    name: str
    encoder_id: str
    encoder_fingerprint: str
    dimension: int
    description: str = ""
    learning: bool = True
    picture_policy: PicturePolicy = PicturePolicy.DISCARD
    policy_version: int = 1
    partial: bool = False

    @property
    def may_have_copies(self) -> bool:
        """Whether copies of its pictures may be in object storage."""
        return self.policy_version > 1 or self.picture_policy.keeps_copies


@dataclass(frozen=True)
class KeptPicture:
    """What is kept of a record's picture, as its collection's policy says: the name of the encrypted copy in object
    storage and its size, or the URL."""

    object_id: str = ""
    bytes: int = 0
    url: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a record's picture was fetched from, as far as it is kept: a keyed digest of the URL, and what the host
    said of the version (ETag and Last-Modified), for asking next time whether it has changed."""

    url_digest: bytes
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class SourceMark:
    """Which source a record follows, and a digest of what the source's feed says of it besides the picture: equal
    digests mean that nothing is to be done."""

    source: str
    item_digest: bytes


@dataclass(frozen=True)
class RecordWrite:
    """A record to insert or replace.

    vector: finite and not all zero; it is normalised on the way in. None keeps the stored vector, provided that the
        stored digest still equals `digest` (otherwise DigestMoved).
    digest: what `Collection.content_digest` returned for the picture, or None where a vector was given.
    origin: where the picture was fetched from, or None where it was not.
    mark: the source that the record follows; None takes it out of any source's hands.
    kept: what is kept of the picture from now on; None leaves what is kept of the same picture as it is.
    """

    record_id: str
    vector: Vector | None
    product_id: str = ""
    attributes: Attributes = field(default_factory=dict)
    region: Region | None = None
    digest: bytes | None = None
    origin: Origin | None = None
    mark: SourceMark | None = None
    kept: KeptPicture | None = None


@dataclass(frozen=True)
class RecordPatch:
    """A change of one record's product id and attributes; never of its vector."""

    record_id: str
    product_id: str | None = None
    set_attributes: Attributes = field(default_factory=dict)
    remove_attributes: frozenset[str] = frozenset()


class Outcome(Enum):
    """What a write did to a record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class WriteResult(NamedTuple):
    """The outcome for one record. `error` is set where it FAILED; `sequence` is 0 where nothing was written."""

    record_id: str
    outcome: Outcome
    sequence: int = 0
    error: Exception | None = None


class StoredRecord(NamedTuple):
    """A record as the store holds it. Times are milliseconds since 1970, UTC. Answers may share attributes: who wants
    to change them copies them first."""

    row_id: int
    record_id: str
    product_id: str
    attributes: Attributes
    region: Region | None
    encoder_fingerprint: str
    sequence: int
    created_ms: int
    updated_ms: int
    vector: Vector | None = None


class RecordPage(NamedTuple):
    """Records in order. more: there are further ones. bytes: about what the records take where they are sent."""

    records: list[StoredRecord]
    more: bool
    bytes: int


class SearchQuery(NamedTuple):
    """A search. `vector` is normalised on the way in.

    k: hits, or groups where `group_by_product`, to return; offset: how many to leave out before the first.
    max_distance: 0 to 2. exact: compare every allowed record, whatever it takes.
    facets: attributes whose values are to be counted over the allowed records.
    own_record: the vector is that of one of the collection's records, not of a picture from elsewhere.
    by_distance: in the order of distance, whatever the collection has learnt.
    composed: the vector is a sum of several, or weighed otherwise, hence like no record.
    scale: cosines are multiplied by it before distances are told, ordered and limited; only in an order by distance.
    max_bytes: of the hits' records and vectors, together.
    """

    vector: Vector
    k: int
    offset: int = 0
    filter: str = ""
    group_by_product: bool = False
    group_size: int = 1
    max_distance: float | None = None
    exclude_record_ids: frozenset[str] = frozenset()
    include_vectors: bool = False
    exact: bool = False
    facets: tuple[str, ...] = ()
    own_record: bool = False
    by_distance: bool = False
    composed: bool = False
    scale: float = 1.0
    max_bytes: int = UNLIMITED_BYTES


class ScanStrategy(StrEnum):
    """Which way an answer was found: by comparing every allowed record, by the sketches of every allowed record, along
    the graph, or within the clusters that are nearest to the query; each with or without a filter."""

    EMPTY = "empty"
    EXACT = "exact"
    EXACT_FILTERED = "exact_filtered"
    SKETCHES = "sketches"
    SKETCHES_FILTERED = "sketches_filtered"
    GRAPH = "graph"
    GRAPH_FILTERED = "graph_filtered"
    CLUSTERS_FILTERED = "clusters_filtered"


class Hit(NamedTuple):
    """A record and its cosine distance to the query, 0 to 2."""

    record: StoredRecord
    distance: float


@dataclass(frozen=True)
class Facet:
    """How many of the allowed records have each value of an attribute, the most frequent first.

    A record counts once for each member of a list. Numbers are not counted. `values`: how many there are in all.
    """

    attribute: str
    counts: tuple[tuple[str | bool, int], ...]
    values: int


class FilterHints(NamedTuple):
    """What is odd about a filter: names that no record has, and a sentence for each oddity."""

    unknown_attributes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


class SearchAnswer(NamedTuple):
    """Hits, nearest first; in groups where asked for (each group nearest first, groups by their best hit). learned: in
    the order of the likeness that the collection has learnt; distances are the encoder's all the same."""

    groups: tuple[tuple[Hit, ...], ...]
    allowed: int
    path: ScanStrategy
    sequence: int
    index_time_ms: int
    facets: tuple[Facet, ...] = ()
    learned: bool = False
    hints: FilterHints = FilterHints()

    @property
    def hits(self) -> tuple[Hit, ...]:
        """All hits, group by group; without grouping simply the hits, nearest first."""
        return tuple(hit for group in self.groups for hit in group)


@dataclass(frozen=True)
class DuplicateGroup:
    """Records that look the same, the one inserted first in front, and the largest distance to it. identical_ids: those
    among them that are of the same picture bytes, together."""

    record_ids: tuple[str, ...]
    max_distance: float
    identical_ids: tuple[tuple[str, ...], ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all are of the same picture bytes."""
        return self.identical_ids == (self.record_ids,)


@dataclass(frozen=True)
class Erasure:
    """What was erased. sequence: of the last write that the index and the snapshots on disk hold, all of them written
    without the records; kept_snapshots: ids of those that somebody asked for, and that hold nothing of them either."""

    records: int
    sequence: int
    kept_snapshots: tuple[str, ...]


@dataclass(frozen=True)
class CollectionStats:
    """Counts of a collection. Of one that is not in memory only records, sequence and creation are known.

    tombstones: rows in memory that no search returns any more. base_rows: rows that the base covers; later ones are
    compared one by one. recall: recall@10 of `recall_sample` real searches, once there were any, and what the base's
    building measured before. search_effort: candidates that a search through the graph keeps. learning_gain: what the
    check of learning says, once it was made; learned: whether searches use what was learnt.
    """

    records: int
    tombstones: int
    sequence: int
    index_time_ms: int
    created_ms: int
    snapshot_sequence: int
    base_rows: int = 0
    memory_bytes: int = 0
    recall: float | None = None
    recall_sample: int = 0
    search_effort: int = 0
    learning_gain: float | None = None
    learned: bool = False
