"""What a run of a catalogue synchronisation does to a collection: batches under its epoch, and what it failed at.

Each record carries its source and the digests of what the feed said of it, so that the store itself is the checkpoint.
A batch and the note that it was done are one transaction. After a crash the difference to the feed is what remains.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence

from index.records.extensions.pushed import without_pushed
from index.records.queries import note_meta
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.errors import StaleEpoch
from index.types.record import Outcome, WriteResult
from index.types.sources import Failure, SourceBatch

MAX_FAILURES = 10_000  # of a source that are kept


def read_epoch(connection: Connection) -> int:
    """The epoch of the run that may write; 0 before the first."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'writer_epoch'").fetchone()
    return int(row[0]) if row else 0


def claim_epoch(transaction: Transaction, epoch: int) -> None:
    """Lets only the run with this epoch write from now on. Raises StaleEpoch where a later one has been."""
    if read_epoch(transaction.connection) > epoch:
        raise StaleEpoch("a later run has taken over the collection")
    note_meta(transaction.connection, "writer_epoch", str(epoch))


def apply_batch(transaction: Transaction, batch: SourceBatch) -> list[WriteResult]:
    """Stores a batch, a result for each write. Raises StaleEpoch."""
    check_epoch(transaction, batch.epoch)
    batch = without_pushed(transaction.connection, batch)
    results = transaction.upsert(batch.writes, insert_only=False)
    done = [(batch.source, r.record_id) for r in results if r.outcome is not Outcome.FAILED]
    transaction.connection.executemany("DELETE FROM failures WHERE source = ? AND record_id = ?", done)
    _note_failures(transaction.connection, batch.source, batch.failures)
    counted = Counter(r.outcome.value for r in results if r.outcome is not Outcome.FAILED)
    note_counts(transaction.connection, batch, counted + Counter(failed=len(batch.failures)))
    return results


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


def read_counts(connection: Connection, run: str) -> dict[str, int]:
    """How far a run was when it last stored something."""
    row = connection.execute("SELECT counts FROM run_counts WHERE run = ?", (run,)).fetchone()
    return {} if row is None else json.loads(row[0])


def forget_counts(transaction: Transaction, run: str) -> None:
    """Drops the counts of a run that has ended."""
    transaction.connection.execute("DELETE FROM run_counts WHERE run = ?", (run,))


def check_epoch(transaction: Transaction, epoch: int) -> None:
    """Raises StaleEpoch unless the run with this epoch is the one that may write."""
    if read_epoch(transaction.connection) != epoch:
        raise StaleEpoch("another run has taken over the collection")


def note_counts(connection: Connection, batch: SourceBatch, counted: Counter[str]) -> None:
    """Adds to the counts of a batch's run."""
    total = Counter(read_counts(connection, batch.run)) + counted + Counter(batch.counts)
    connection.execute(
        "INSERT INTO run_counts VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET counts = excluded.counts",
        (batch.run, json.dumps(total)),
    )


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
