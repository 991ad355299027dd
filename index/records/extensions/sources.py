"""Where records come from: columns of the records, and what runs of a synchronisation keep beside them."""

from __future__ import annotations

from collections.abc import Sequence

from index.contract import SOURCES, SourceReads, SourceWrites
from index.records.extensions import pushed, source_batch, withdrawn
from index.records.extensions.hook import Extension, Reader
from index.records.queries import blocks, marks
from index.records.row_changes import RowChanges
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.companions import Origin
from index.types.record import RecordWrite, WriteResult
from index.types.sources import Failure, ItemPush, Mark, PushedItems, PushResult, SourceBatch

_PAGE = 5000
_MIGRATIONS = {
    2: """
    ALTER TABLE records ADD COLUMN url_digest BLOB;
    ALTER TABLE records ADD COLUMN etag TEXT;
    ALTER TABLE records ADD COLUMN last_modified TEXT
""",
    4: """
    ALTER TABLE records ADD COLUMN source TEXT;
    ALTER TABLE records ADD COLUMN item_digest BLOB;
    CREATE INDEX records_by_source ON records (source, record_id, item_digest, url_digest) WHERE source IS NOT NULL;
    CREATE TABLE withdrawn (
      record_id TEXT PRIMARY KEY,
      row_id INTEGER NOT NULL UNIQUE,
      source TEXT NOT NULL,
      run TEXT NOT NULL,
      withdrawn_ms INTEGER NOT NULL,
      product_id TEXT NOT NULL,
      attributes TEXT NOT NULL,
      region BLOB,
      digest BLOB,
      encoder_fingerprint TEXT NOT NULL,
      created_ms INTEGER NOT NULL,
      url_digest BLOB,
      etag TEXT,
      last_modified TEXT,
      item_digest BLOB,
      vector BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX withdrawn_by_time ON withdrawn (withdrawn_ms);
    CREATE TABLE former_rows (former INTEGER PRIMARY KEY, row_id INTEGER NOT NULL);
    CREATE INDEX former_rows_by_row ON former_rows (row_id);
    CREATE TABLE failures (
      source TEXT NOT NULL,
      record_id TEXT NOT NULL,
      url_digest BLOB NOT NULL,
      reason TEXT NOT NULL,
      message TEXT NOT NULL,
      lasting INTEGER NOT NULL,
      tries INTEGER NOT NULL,
      first_ms INTEGER NOT NULL,
      last_ms INTEGER NOT NULL,
      line INTEGER NOT NULL,
      PRIMARY KEY (source, record_id)
    ) WITHOUT ROWID;
    CREATE TABLE run_counts (run TEXT PRIMARY KEY, counts TEXT NOT NULL) WITHOUT ROWID
""",
    9: pushed.MIGRATION,
}


class Sources(Extension):
    """The extension. Deleting a record also deletes it where a run has withdrawn it."""

    companion = SOURCES
    migrations = _MIGRATIONS
    columns = ("url_digest", "etag", "last_modified", "source", "item_digest")
    returning = "withdrawn"
    spared = "SELECT row_id FROM withdrawn UNION SELECT former FROM former_rows"
    lost = ("picture digests", "sync state")

    def reads(self, reader: Reader) -> SourceReads:
        return _Reads(reader)

    def writes(self, transaction: Transaction) -> SourceWrites:
        return _Writes(transaction)

    def values(self, write: RecordWrite) -> tuple[bytes | None, str | None, str | None, str | None, bytes | None]:
        origin, mark = write.origin, write.mark
        return (
            *((None, None, None) if origin is None else (origin.url_digest, origin.etag, origin.last_modified)),
            *((None, None) if mark is None else (mark.source, mark.item_digest)),
        )

    def patched(self, transaction: Transaction, row_id: int) -> None:
        """The record is no longer what its source says. The next sync sets it right."""
        transaction.connection.execute("UPDATE records SET item_digest = NULL WHERE row_id = ?", (row_id,))

    def deleted(self, transaction: Transaction, record_ids: Sequence[str]) -> int:
        for table in ("failures", "pushed"):
            query = f"DELETE FROM {table} WHERE record_id = ?"  # noqa: S608
            transaction.connection.executemany(query, [(i,) for i in record_ids])
        return sum(withdrawn.forget_withdrawn(transaction, i) for i in record_ids)

    def product_deleted(self, transaction: Transaction, product_id: str) -> int:
        return withdrawn.forget_product(transaction, product_id)

    def row_gone(self, transaction: RowChanges, row_id: int) -> None:
        withdrawn.bury_former(transaction, row_id)

    def unkeyed(self, connection: Connection) -> None:
        """What sources withdrew or failed at is not in the copy. The digests are keyed, and the sources are others."""
        nothing = ", ".join(f"{column} = NULL" for column in self.columns)
        connection.execute(f"UPDATE records SET {nothing}")  # noqa: S608


class _Reads:
    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    def origins(self, record_ids: Sequence[str]) -> dict[str, Origin]:
        return self._read(lambda connection: read_origins(connection, record_ids))

    def epoch(self) -> int:
        return self._read(source_batch.read_epoch)

    def marks(self, source: str, after: str) -> list[Mark]:
        return self._read(lambda connection: read_marks(connection, source, after))

    def failures(self, source: str, after: str, limit: int) -> list[Failure]:
        return self._read(lambda connection: source_batch.read_failures(connection, source, after, limit))

    def counts(self, run: str) -> dict[str, int]:
        return self._read(lambda connection: source_batch.read_counts(connection, run))

    def feed_time(self, source: str) -> int:
        return self._read(lambda connection: pushed.feed_time(connection, source))

    def pushed_since(self, source: str, feed_ms: int) -> PushedItems:
        return self._read(lambda connection: pushed.pushed_since(connection, source, feed_ms))

    def standing(self, push: ItemPush) -> PushResult | None:
        return self._read(lambda connection: pushed.standing(connection, push))

    def withdrawn_by(self, run: str) -> list[str]:
        return self._read(lambda connection: withdrawn.withdrawn_by(connection, run))


class _Writes:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def claim_epoch(self, epoch: int) -> None:
        source_batch.claim_epoch(self._transaction, epoch)

    def apply_batch(self, batch: SourceBatch) -> list[WriteResult]:
        return source_batch.apply_batch(self._transaction, batch)

    def withdraw(self, batch: SourceBatch, record_ids: Sequence[str]) -> int:
        return withdrawn.withdraw(self._transaction, batch, record_ids)

    def reinstate(
        self, source: str, record_ids: Sequence[str], epoch: int | None = None, batch: SourceBatch | None = None
    ) -> list[str]:
        return withdrawn.reinstate(self._transaction, source, record_ids, epoch, batch)

    def begin_feed(self, source: str, epoch: int, feed_ms: int) -> None:
        source_batch.check_epoch(self._transaction, epoch)
        pushed.begin_feed(self._transaction, source, feed_ms)

    def forget_pushed(self, source: str, before_ms: int) -> int:
        return pushed.forget_pushed(self._transaction, source, before_ms)

    def push(self, change: ItemPush) -> PushResult:
        return apply_push(self._transaction, change)

    def purge(self, before_ms: int) -> int:
        return withdrawn.purge(self._transaction, before_ms)

    def forget_failures(self, source: str, record_ids: Sequence[str] | None) -> int:
        return source_batch.forget_failures(self._transaction, source, record_ids)

    def release(self, source: str) -> int:
        return release(self._transaction, source)

    def forget_counts(self, run: str) -> None:
        source_batch.forget_counts(self._transaction, run)


def apply_push(transaction: Transaction, push: ItemPush) -> PushResult:
    """Stores a change of one item, whole or not at all. Raises what refuses one of its records."""
    connection = transaction.connection
    if (late := pushed.standing(connection, push)) is not None:
        return late
    if other := pushed.foreign(connection, push):
        return PushResult("foreign", other=other)
    before = pushed.records_of(connection, push.source, push.item_id)
    results = transaction.upsert(push.writes, insert_only=False)
    for result in results:
        if result.error is not None:
            raise result.error
    kept = [result.record_id for result in results]
    gone = [record_id for record_id in before if record_id not in kept]
    count = withdrawn.take_out(transaction, SourceBatch(0, push.source, "push"), gone)
    pairs = [(push.source, i) for i in (*kept, *gone)]
    connection.executemany("DELETE FROM failures WHERE source = ? AND record_id = ?", pairs)
    pushed.note(connection, push, kept, gone)
    changed = count or any(result.sequence for result in results)
    return PushResult("applied", results=tuple(results), deleted=count, sequence=transaction.sequence if changed else 0)


def read_origins(connection: Connection, record_ids: Sequence[str]) -> dict[str, Origin]:
    """Origins by record id; records whose picture was not fetched are left out."""
    found = {}
    for block in blocks(record_ids):
        query = (
            "SELECT record_id, url_digest, etag, last_modified FROM records"  # noqa: S608
            f" WHERE url_digest IS NOT NULL AND record_id IN ({marks(block)})"
        )
        found.update({r[0]: Origin(bytes(r[1]), r[2], r[3]) for r in connection.execute(query, block)})
    return found


def read_marks(connection: Connection, source: str, after: str) -> list[Mark]:
    """A page of the records that follow a source, those with ids above `after`, in order of their ids' bytes."""
    rows = connection.execute(
        "SELECT record_id, item_digest, url_digest FROM records INDEXED BY records_by_source"
        " WHERE source = ? AND record_id > ? ORDER BY record_id LIMIT ?", (source, after, _PAGE),
    )  # fmt: skip
    return [Mark(*row) for row in rows]


def release(transaction: Transaction, source: str) -> int:
    """Makes the records of a source nobody's, and drops what is kept of the source; returns how many there were."""
    connection = transaction.connection
    for table in ("failures", "pushed", "source_feeds"):
        connection.execute(f"DELETE FROM {table} WHERE source = ?", (source,))  # noqa: S608
    query = "UPDATE records SET source = NULL, item_digest = NULL WHERE source = ?"
    return int(connection.execute(query, (source,)).rowcount)
