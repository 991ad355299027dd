"""Records: as they are written, as they are stored, and what a write did.

Vectors are float32 arrays of shape (dimension,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.companions import KeptPicture, Origin, SourceMark

Vector = NDArray[np.float32]
AttributeValue = str | float | bool | tuple[str, ...]
Attributes = Mapping[str, AttributeValue]

UNLIMITED_BYTES = 1 << 62


@dataclass(frozen=True)
class Region:
    """A rectangle within a picture, in fractions of its sides: 0 <= left < right <= 1, 0 <= top < bottom <= 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class RecordWrite:
    """A record to insert or replace.

    - `vector`: finite and not all zero. It is normalised on the way in. None keeps the stored vector, provided that the
      stored digest still equals `digest` (otherwise DigestMoved).
    - `digest`: what `Collection.content_digest` returned for the picture. None: a vector was given.
    - `origin`: where the picture was fetched from. None: it was not fetched.
    - `mark`: the source that the record follows. None: it follows no source any more.
    - `kept`: what is kept of the picture from now on. None: what is kept of the same picture stays.
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


class Deletion(NamedTuple):
    """What a deletion by ids did.

    - `records`: how many were deleted.
    - `missing`: ids of which there was nothing, in order and once each.
    """

    records: int
    missing: list[str]


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


# What an answer shows of a record: one function for each kind of answer. What it made may be kept.
Show = Callable[[StoredRecord], bytes]


class RecordPage(NamedTuple):
    """Records in order. more: there are further ones. bytes: about what the records take where they are sent."""

    records: list[StoredRecord]
    more: bool
    bytes: int
