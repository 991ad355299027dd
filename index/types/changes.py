"""What crosses from the records to the vectors: checked writes, the changes that a commit made, and their numbers."""

from __future__ import annotations

from typing import NamedTuple

from index.types.record import RecordWrite, StoredRecord, Vector


class RowChange(NamedTuple):
    """What a committed write means for the index. `record` is None for a deletion; its vector is set otherwise.
    `attributes_json`: its attributes as they are stored, where they are at hand."""

    row_id: int
    record: StoredRecord | None
    attributes_json: str = ""


class Normalised(NamedTuple):
    """A checked write and its vector at length 1; None keeps the stored one."""

    write: RecordWrite
    vector: Vector | None


class SequenceRange(NamedTuple):
    """last: number of the last write; forgotten: deletions up to this one are not remembered any more, so that rows
    from before it cannot be brought up to date."""

    last: int
    forgotten: int
