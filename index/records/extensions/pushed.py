"""Changes of single items between two feeds, and the order between them and feeds.

Each state of an item has a time: that of a feed is when the feed was current, that of a push when the shop made the
change. The latest time holds. A row for each record that a push concerned says so until a later feed was applied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.changes import Normalised
from index.types.record import Outcome, WriteResult
from index.types.sources import ItemPush, PushedItems, PushResult, SourceBatch

_MOST_PICTURES = 25  # of an item
MIGRATION = """
    CREATE TABLE source_feeds (source TEXT PRIMARY KEY, feed_ms INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE pushed (
      source TEXT NOT NULL,
      record_id TEXT NOT NULL,
      item_id TEXT NOT NULL,
      changed_ms INTEGER NOT NULL,
      deleted INTEGER NOT NULL,
      PRIMARY KEY (source, record_id)
    ) WITHOUT ROWID;
    CREATE INDEX pushed_by_item ON pushed (source, item_id)
"""


def feed_time(connection: Connection, source: str) -> int:
    """When the feed was current that was last applied, in milliseconds since 1970; 0: none was."""
    row = connection.execute("SELECT feed_ms FROM source_feeds WHERE source = ?", (source,)).fetchone()
    return int(row[0]) if row else 0


def begin_feed(transaction: Transaction, source: str, feed_ms: int) -> None:
    """Notes that a feed is applied from now on: earlier pushes are refused."""
    transaction.connection.execute(
        "INSERT INTO source_feeds VALUES (?, ?)"
        " ON CONFLICT (source) DO UPDATE SET feed_ms = max(feed_ms, excluded.feed_ms)",
        (source, feed_ms),
    )


def pushed_since(connection: Connection, source: str, feed_ms: int) -> PushedItems:
    """What was pushed at or after a time."""
    query = "SELECT record_id, item_id FROM pushed WHERE source = ? AND changed_ms >= ?"
    rows = connection.execute(query, (source, feed_ms)).fetchall()
    return PushedItems(frozenset(r[0] for r in rows), frozenset(r[1] for r in rows))


def newer(connection: Connection, batch: SourceBatch, record_ids: Collection[str]) -> set[str]:
    """Those of the records that a push concerned at or after the time of the batch's feed: themselves or their item."""
    if connection.execute("SELECT 1 FROM pushed WHERE source = ? LIMIT 1", (batch.source,)).fetchone() is None:
        return set()
    by_record = "SELECT 1 FROM pushed WHERE source = ? AND record_id = ? AND changed_ms >= ?"
    by_item = "SELECT 1 FROM pushed WHERE source = ? AND item_id = ? AND changed_ms >= ? LIMIT 1"
    return {
        i for i in record_ids
        if connection.execute(by_record, (batch.source, i, batch.feed_ms)).fetchone()
        or connection.execute(by_item, (batch.source, batch.items.get(i, i), batch.feed_ms)).fetchone()
    }  # fmt: skip


def without_pushed(connection: Connection, batch: SourceBatch) -> SourceBatch:
    """The batch without what was pushed since its feed: such writes are UNCHANGED, such failures are none."""
    ids = [w.write.record_id for w in batch.writes if isinstance(w, Normalised)] + [f.record_id for f in batch.failures]
    pushed = newer(connection, batch, ids)
    if not pushed:
        return batch
    writes = [
        WriteResult(w.write.record_id, Outcome.UNCHANGED)
        if isinstance(w, Normalised) and w.write.record_id in pushed
        else w
        for w in batch.writes
    ]
    return replace(batch, writes=writes, failures=[f for f in batch.failures if f.record_id not in pushed])


def forget_pushed(transaction: Transaction, source: str, before_ms: int) -> int:
    """Drops what a feed of this time has overtaken. Returns how many rows."""
    query = "DELETE FROM pushed WHERE source = ? AND changed_ms < ?"
    return int(transaction.connection.execute(query, (source, before_ms)).rowcount)


def standing(connection: Connection, push: ItemPush) -> PushResult | None:
    """Why a push comes too late; None: it holds."""
    feed_ms = feed_time(connection, push.source)
    if push.changed_ms < feed_ms:
        return PushResult("stale", feed_ms)
    query = "SELECT max(changed_ms) FROM pushed WHERE source = ? AND item_id = ?"
    (latest,) = connection.execute(query, (push.source, push.item_id)).fetchone()
    return PushResult("superseded", latest) if latest is not None and latest > push.changed_ms else None


def foreign(connection: Connection, push: ItemPush) -> str:
    """The first of the push's records that follows another source; empty: none does."""
    for write in push.writes:
        if isinstance(write, Normalised):
            query = "SELECT source FROM records WHERE record_id = ?"
            row = connection.execute(query, (write.write.record_id,)).fetchone()
            if row is not None and row[0] not in (None, push.source):
                return str(write.write.record_id)
    return ""


def records_of(connection: Connection, source: str, item_id: str) -> list[str]:
    """The records of an item that follow the source: its own, and those of its further pictures."""
    ids = [item_id, *(f"{item_id}#{n}" for n in range(2, _MOST_PICTURES + 1))]
    marks = ",".join("?" * len(ids))
    query = (
        "SELECT record_id, product_id FROM records"  # noqa: S608
        f" WHERE source = ? AND record_id IN ({marks})"
    )
    found = dict(connection.execute(query, (source, *ids)).fetchall())
    pushed = "SELECT record_id FROM pushed WHERE source = ? AND item_id = ? AND NOT deleted"
    ours = {r[0] for r in connection.execute(pushed, (source, item_id))}
    # A record with such an id may be an item of its own, which has another product. Digests do not tell: a run that is
    # at work may have updated some records of the item, and others not yet.
    products = {item_id, found.get(item_id)}
    return [i for i in ids if i in found and (i == item_id or i in ours or found[i] in products)]


def note(connection: Connection, push: ItemPush, kept: Sequence[str], gone: Sequence[str]) -> None:
    """Notes what a push has stored and taken out."""
    deleted = [*gone] if push.item_id in kept else [*gone, push.item_id]
    connection.execute(
        "UPDATE pushed SET changed_ms = ? WHERE source = ? AND item_id = ?",
        (push.changed_ms, push.source, push.item_id),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO pushed VALUES (?, ?, ?, ?, ?)",
        [
            *((push.source, i, push.item_id, push.changed_ms, False) for i in kept),
            *((push.source, i, push.item_id, push.changed_ms, True) for i in dict.fromkeys(deleted)),
        ],
    )
