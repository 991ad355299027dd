"""Records to write and stored ones, results of writes, and the types that others share."""

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
