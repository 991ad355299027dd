"""The statement that inserts new records, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from index.records.queries import pack_region
from index.storage.sqlite import Connection
from index.types.record import RecordWrite, Vector

MOST_AT_ONCE = 8
_COLUMNS = (
    "record_id, product_id, attributes, region, digest, encoder_fingerprint, sequence, created_ms, updated_ms,"
    " url_digest, etag, last_modified, source, item_digest, vector"
)


class Stamp(NamedTuple):
    """What records that are inserted together have in common; the sequence numbers follow `sequence`."""

    fingerprint: str
    now_ms: int
    sequence: int


def insert(
    connection: Connection, stamp: Stamp, writes: Sequence[RecordWrite], texts: Sequence[str], vectors: Sequence[Vector]
) -> range:
    """Inserts up to MOST_AT_ONCE records that are not there yet, with their attributes as JSON; returns their row
    ids, in order: SQLite gives ids that follow each other, for there is one writer."""
    fingerprint, now_ms, sequence = stamp
    values: list[object] = []
    for write, text, vector in zip(writes, texts, vectors, strict=True):
        sequence += 1
        values += (
            write.record_id, write.product_id, text, pack_region(write.region), write.digest, fingerprint, sequence,
            now_ms, now_ms, *whence(write), vector.tobytes(),
        )  # fmt: skip
    last: int = connection.execute(_statement(len(writes)), values).lastrowid
    return range(last - len(writes) + 1, last + 1)


def whence(write: RecordWrite) -> tuple[bytes | None, str | None, str | None, str | None, bytes | None]:
    """Where a record's picture came from, and which item of which source it is, as they are stored."""
    origin, mark = write.origin, write.mark
    return (
        *((None, None, None) if origin is None else (origin.url_digest, origin.etag, origin.last_modified)),
        *((None, None) if mark is None else (mark.source, mark.item_digest)),
    )


@lru_cache(maxsize=MOST_AT_ONCE)
def _statement(records: int) -> str:
    """SQLite takes a quarter less for eight records together than for each alone."""
    marks = f"({', '.join('?' * len(_COLUMNS.split(',')))})"
    return f"INSERT INTO records ({_COLUMNS}) VALUES {', '.join([marks] * records)}"  # noqa: S608
