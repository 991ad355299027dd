"""What a run of a catalogue synchronisation does to a collection: batches under its epoch, records that it withdraws,
and what it failed at.

Each record carries its source and the digests of what the feed said of it, so that the store itself is the checkpoint:
a batch and the note that it was done are one transaction, and after a crash the difference to the feed is what remains.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from index.records.queries import unpack_region
from index.records.transaction import Transaction, record_size
from index.storage.sqlite import Connection
from index.types.attributes import attributes_from_json
from index.types.changes import RowChange
from index.types.errors import StaleEpoch
from index.types.quota import Usage
from index.types.record import Outcome, StoredRecord, WriteResult
from index.types.sources import Failure, Mark, SourceBatch

MAX_FAILURES = 10_000  # of a source that are kept
_PAGE = 5000
_KEPT = "product_id, attributes, region, digest, encoder_fingerprint, created_ms, url_digest, etag, last_modified,"
_KEPT += " item_digest, vector"


def read_epoch(connection: Connection) -> int:
    """The epoch of the run that may write; 0 before the first."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'writer_epoch'").fetchone()
    return int(row[0]) if row else 0


def claim_epoch(transaction: Transaction, epoch: int) -> None:
    """Lets only the run with this epoch write from now on. Raises StaleEpoch where a later one has been."""
    if read_epoch(transaction.connection) > epoch:
        raise StaleEpoch("a later run has taken over the collection")
    transaction.connection.execute(
        "INSERT INTO meta VALUES ('writer_epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(epoch),),
    )


def apply_batch(transaction: Transaction, batch: SourceBatch) -> list[WriteResult]:
    """Stores a batch, a result for each write. Raises StaleEpoch."""
    _check_epoch(transaction, batch.epoch)
    results = transaction.upsert(batch.writes, insert_only=False)
    done = [(batch.source, r.record_id) for r in results if r.outcome is not Outcome.FAILED]
    transaction.connection.executemany("DELETE FROM failures WHERE source = ? AND record_id = ?", done)
    _note_failures(transaction.connection, batch.source, batch.failures)
    counted = Counter(r.outcome.value for r in results if r.outcome is not Outcome.FAILED)
    _note_counts(transaction.connection, batch, counted + Counter(failed=len(batch.failures)))
    return results


def withdraw(transaction: Transaction, batch: SourceBatch, record_ids: Sequence[str]) -> int:
    """Takes records of the source out of the collection, to be brought back by `reinstate` until they are purged.
    Returns how many there were. Raises StaleEpoch."""
    _check_epoch(transaction, batch.epoch)
    connection, now_ms, count = transaction.connection, time.time_ns() // 1_000_000, 0
    for record_id in record_ids:
        row = connection.execute(
            "SELECT row_id FROM records WHERE record_id = ? AND source = ?", (record_id, batch.source)
        ).fetchone()
        if row is None:
            continue
        transaction.forget_withdrawn(record_id)
        connection.execute(
            f"INSERT INTO withdrawn (record_id, row_id, source, run, withdrawn_ms, {_KEPT})"  # noqa: S608
            f" SELECT record_id, row_id, source, ?, ?, {_KEPT} FROM records WHERE row_id = ?",
            (batch.run, now_ms, row[0]),
        )
        count += transaction.delete_row(row[0], kept_snapshots_too=False)
        connection.execute("DELETE FROM failures WHERE source = ? AND record_id = ?", (batch.source, record_id))
    _note_counts(connection, batch, Counter(deleted=count))
    return count


def withdrawn_by(connection: Connection, run: str) -> list[str]:
    """Ids of the records that a run withdrew and that can still be brought back."""
    return [r[0] for r in connection.execute("SELECT record_id FROM withdrawn WHERE run = ? ORDER BY 1", (run,))]


def reinstate(transaction: Transaction, source: str, record_ids: Sequence[str], epoch: int | None = None) -> list[str]:
    """Brings withdrawn records of a source back as they were; those whose id has been taken since stay away. Returns
    the ids that came back. `epoch`: of the run that does it; None: somebody else does. Raises QuotaExceeded or
    StaleEpoch."""
    if epoch is not None:
        _check_epoch(transaction, epoch)
    connection, back = transaction.connection, []
    for record_id in record_ids:
        row = connection.execute(
            f"SELECT row_id, {_KEPT} FROM withdrawn WHERE record_id = ? AND source = ?",  # noqa: S608
            (record_id, source),
        ).fetchone()
        if row is None or connection.execute("SELECT 1 FROM records WHERE record_id = ?", (record_id,)).fetchone():
            continue
        _bring_back(transaction, record_id, source, row)
        back.append(record_id)
    return back


def purge(transaction: Transaction, before_ms: int) -> int:
    """Erases for good what was withdrawn before a time; returns how many."""
    query = "SELECT record_id FROM withdrawn WHERE withdrawn_ms < ?"
    found = [r[0] for r in transaction.connection.execute(query, (before_ms,))]
    return sum(transaction.forget_withdrawn(record_id) for record_id in found)


def read_marks(connection: Connection, source: str, after: str) -> list[Mark]:
    """A page of the records that follow a source, those with ids above `after`, in order of their ids' bytes."""
    rows = connection.execute(
        "SELECT record_id, item_digest, url_digest FROM records INDEXED BY records_by_source"
        " WHERE source = ? AND record_id > ? ORDER BY record_id LIMIT ?", (source, after, _PAGE),
    )  # fmt: skip
    return [Mark(*row) for row in rows]


def read_failures(connection: Connection, source: str, after: str, limit: int) -> list[Failure]:
    """A page of what a source failed at, in order of record ids."""
    rows = connection.execute(
        "SELECT record_id, url_digest, reason, message, lasting, line, tries, first_ms, last_ms FROM failures"
        " WHERE source = ? AND record_id > ? ORDER BY record_id LIMIT ?", (source, after, limit),
    )  # fmt: skip
    return [Failure(r[0], r[1], r[2], r[3], bool(r[4]), *r[5:]) for r in rows]


def forget_failures(transaction: Transaction, source: str, record_ids: Sequence[str] | None) -> int:
    """Drops failures, so that the next run tries again; all of the source where no ids are given. Returns how many."""
    execute = transaction.connection.execute
    if record_ids is None:
        return int(execute("DELETE FROM failures WHERE source = ?", (source,)).rowcount)
    query = "DELETE FROM failures WHERE source = ? AND record_id = ?"
    return sum(execute(query, (source, record_id)).rowcount for record_id in record_ids)


def release(transaction: Transaction, source: str) -> int:
    """Makes the records of a source nobody's, and drops what is kept of the source; returns how many there were."""
    connection = transaction.connection
    connection.execute("DELETE FROM failures WHERE source = ?", (source,))
    query = "UPDATE records SET source = NULL, item_digest = NULL WHERE source = ?"
    return int(connection.execute(query, (source,)).rowcount)


def read_counts(connection: Connection, run: str) -> dict[str, int]:
    """How far a run was when it last stored something."""
    row = connection.execute("SELECT counts FROM run_counts WHERE run = ?", (run,)).fetchone()
    return {} if row is None else json.loads(row[0])


def forget_counts(transaction: Transaction, run: str) -> None:
    """Drops the counts of a run that has ended."""
    transaction.connection.execute("DELETE FROM run_counts WHERE run = ?", (run,))


def _check_epoch(transaction: Transaction, epoch: int) -> None:
    if read_epoch(transaction.connection) != epoch:
        raise StaleEpoch("another run has taken over the collection")


def _note_failures(connection: Connection, source: str, failures: Sequence[Failure]) -> None:
    if not failures:
        return
    now_ms = time.time_ns() // 1_000_000
    (held,) = connection.execute("SELECT count(*) FROM failures WHERE source = ?", (source,)).fetchone()
    known = "SELECT 1 FROM failures WHERE source = ? AND record_id = ?"
    for failure in failures:
        is_known = connection.execute(known, (source, failure.record_id)).fetchone() is not None
        if held >= MAX_FAILURES and not is_known:
            continue
        held += not is_known
        connection.execute(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT (source, record_id) DO UPDATE SET"
            " url_digest = excluded.url_digest, reason = excluded.reason, message = excluded.message,"
            " lasting = excluded.lasting, tries = tries + 1, last_ms = excluded.last_ms, line = excluded.line",
            (
                source, failure.record_id, failure.url_digest, failure.reason, failure.message, failure.lasting, now_ms,
                now_ms, failure.line,
            ),
        )  # fmt: skip


def _note_counts(connection: Connection, batch: SourceBatch, counted: Counter[str]) -> None:
    total = Counter(read_counts(connection, batch.run)) + counted + Counter(batch.counts)
    connection.execute(
        "INSERT INTO run_counts VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET counts = excluded.counts",
        (batch.run, json.dumps(total)),
    )


def _bring_back(transaction: Transaction, record_id: str, source: str, row: tuple) -> None:  # type: ignore[type-arg]
    former, product_id, attributes, region, digest, fingerprint, created_ms, *whence, item_digest, vector = row
    transaction.grow(Usage(1, record_size(record_id, product_id, attributes, vector)))
    transaction.sequence += 1
    connection, now_ms = transaction.connection, time.time_ns() // 1_000_000
    cursor = connection.execute(
        "INSERT INTO records (record_id, product_id, attributes, region, digest, encoder_fingerprint, sequence,"
        " created_ms, updated_ms, url_digest, etag, last_modified, source, item_digest, vector)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record_id, product_id, attributes, region, digest, fingerprint, transaction.sequence, created_ms, now_ms,
            *whence, source, item_digest, vector,
        ),
    )  # fmt: skip
    connection.execute("DELETE FROM withdrawn WHERE record_id = ?", (record_id,))
    connection.execute("UPDATE former_rows SET row_id = ? WHERE row_id = ?", (cursor.lastrowid, former))
    connection.execute("INSERT INTO former_rows VALUES (?, ?)", (former, cursor.lastrowid))
    connection.execute("UPDATE pictures SET row_id = ? WHERE row_id = ?", (cursor.lastrowid, former))
    record = StoredRecord(
        cursor.lastrowid, record_id, product_id, attributes_from_json(attributes), unpack_region(region), fingerprint,
        transaction.sequence, created_ms, now_ms, np.frombuffer(vector, np.float32),
    )  # fmt: skip
    transaction.changes.append(RowChange(cursor.lastrowid, record, attributes))
