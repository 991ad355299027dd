"""Records that a run of a synchronisation has withdrawn: they can be brought back until they are purged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from index.records.extensions.pushed import newer
from index.records.extensions.source_batch import check_epoch, note_counts
from index.records.queries import unpack_region
from index.records.row_changes import RowChanges, record_size
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.attributes import attributes_from_json
from index.types.changes import RowChange
from index.types.quota import Usage
from index.types.record import StoredRecord
from index.types.sources import SourceBatch

_KEPT = "product_id, attributes, region, digest, encoder_fingerprint, created_ms, url_digest, etag, last_modified,"
_KEPT += " item_digest, vector"


def withdraw(transaction: Transaction, batch: SourceBatch, record_ids: Sequence[str]) -> int:
    """Takes records of the source out of the collection, to be brought back by `reinstate` until they are purged.
    Returns how many there were. Raises StaleEpoch."""
    check_epoch(transaction, batch.epoch)
    pushed = newer(transaction.connection, batch, record_ids)
    count = take_out(transaction, batch, [i for i in record_ids if i not in pushed])
    note_counts(transaction.connection, batch, Counter(deleted=count))
    return count


def take_out(transaction: Transaction, batch: SourceBatch, record_ids: Sequence[str]) -> int:
    """The same for whoever needs no epoch. Counts nothing."""
    connection, now_ms, count = transaction.connection, time.time_ns() // 1_000_000, 0
    for record_id in record_ids:
        row = connection.execute(
            "SELECT row_id FROM records WHERE record_id = ? AND source = ?", (record_id, batch.source)
        ).fetchone()
        if row is None:
            continue
        (row_id,) = row
        forget_withdrawn(transaction, record_id)
        connection.execute(
            f"INSERT INTO withdrawn (record_id, row_id, source, run, withdrawn_ms, {_KEPT})"  # noqa: S608
            f" SELECT record_id, row_id, source, ?, ?, {_KEPT} FROM records WHERE row_id = ?",
            (batch.run, now_ms, row_id),
        )
        count += transaction.delete_row(row_id, for_good=False)
        connection.execute("DELETE FROM failures WHERE source = ? AND record_id = ?", (batch.source, record_id))
    return count


def withdrawn_by(connection: Connection, run: str) -> list[str]:
    """Ids of the records that a run withdrew and that can still be brought back."""
    return [r[0] for r in connection.execute("SELECT record_id FROM withdrawn WHERE run = ? ORDER BY 1", (run,))]


def reinstate(
    transaction: Transaction, source: str, record_ids: Sequence[str], epoch: int | None = None,
    batch: SourceBatch | None = None,
) -> list[str]:  # fmt: skip
    """Brings withdrawn records of a source back as they were; those whose id has been taken since stay away. Returns
    the ids that came back. `epoch`: of the run that does it; None: somebody else does. `batch`: of that run: what was
    pushed since its feed stays away too. Raises QuotaExceeded or StaleEpoch."""
    if epoch is not None:
        check_epoch(transaction, epoch)
    connection, back = transaction.connection, []
    pushed = newer(connection, batch, record_ids) if batch is not None else set()
    record_ids = [i for i in record_ids if i not in pushed]
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
    found = [record_id for (record_id,) in transaction.connection.execute(query, (before_ms,))]
    return sum(forget_withdrawn(transaction, record_id) for record_id in found)


def forget_withdrawn(transaction: Transaction, record_id: str) -> int:
    """Erases a withdrawn record, backups included. Returns whether there was one."""
    execute = transaction.connection.execute
    row = execute("SELECT row_id FROM withdrawn WHERE record_id = ?", (record_id,)).fetchone()
    if row is None:
        return 0
    (row_id,) = row
    execute("DELETE FROM withdrawn WHERE record_id = ?", (record_id,))
    transaction.bury(row_id)
    transaction.row_gone(row_id)
    return 1


def forget_product(transaction: Transaction, product_id: str) -> int:
    """Erases withdrawn records of a product, backups included. Returns how many."""
    query = "SELECT record_id FROM withdrawn WHERE product_id = ?"
    ids = [record_id for (record_id,) in transaction.connection.execute(query, (product_id,)).fetchall()]
    return sum(forget_withdrawn(transaction, record_id) for record_id in ids)


def bury_former(transaction: RowChanges, row_id: int) -> None:
    """Buries the rows that a record had before it was withdrawn and came back: backups may still hold them."""
    execute = transaction.connection.execute
    rows = execute("SELECT former FROM former_rows WHERE row_id = ?", (row_id,)).fetchall()
    for (former,) in rows:
        transaction.bury(former)
    if rows:
        execute("DELETE FROM former_rows WHERE row_id = ?", (row_id,))


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
    transaction.row_returned(former, cursor.lastrowid)
    record = StoredRecord(
        cursor.lastrowid, record_id, product_id, attributes_from_json(attributes), unpack_region(region), fingerprint,
        transaction.sequence, created_ms, now_ms, np.frombuffer(vector, np.float32),
    )  # fmt: skip
    transaction.changes.append(RowChange(cursor.lastrowid, record, attributes))
