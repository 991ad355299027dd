"""Verdicts on pairs of records, in the same database as the records.

A pair is held by the row ids of its records. So it goes when one of them is deleted, also from backups, and a record
that is inserted later under the same id has no verdicts. It stays when a record gets another picture. While a run of a
synchronisation has withdrawn a record, its pairs are kept, and not shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from index.contract import JUDGED_PAIRS, JudgedPairReads, JudgedPairWrites
from index.records.extensions.hook import CollectionAccess, Extension, Reader
from index.records.queries import blocks, has_table, marks
from index.records.row_changes import RowChanges
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.errors import InvalidInput, QuotaExceeded, RecordNotFound
from index.types.feedback.judgements import (
    MAX_JUDGED_PAIRS,
    JudgedPair,
    Judgement,
    JudgementResult,
    RowVerdicts,
    Verdict,
)
from index.types.quota import Usage
from index.types.record import Vector

PAIR_BYTES = 64  # what a pair counts towards a quota
_PAGE = 1000
_MIGRATIONS = {
    8: """
    CREATE TABLE judged_pairs (
      pair_id INTEGER PRIMARY KEY,
      low_row INTEGER NOT NULL,
      high_row INTEGER NOT NULL,
      verdict TEXT NOT NULL,
      judged_ms INTEGER NOT NULL,
      UNIQUE (low_row, high_row)
    );
    CREATE INDEX judged_pairs_by_high ON judged_pairs (high_row)
""",
}


class Pairs(Extension):
    """The extension. Pairs count towards the quota of the tenant."""

    companion = JUDGED_PAIRS
    migrations = _MIGRATIONS
    lost = ("judged pairs",)
    carried = ("judged_pairs",)

    def reads(self, reader: Reader) -> JudgedPairReads:
        return _Reads(reader)

    def writes(self, transaction: Transaction) -> JudgedPairWrites:
        return _Writes(transaction)

    def row_gone(self, transaction: RowChanges, row_id: int) -> None:
        gone = _delete_pairs_of(transaction.connection, [row_id])
        if gone:
            transaction.growth = transaction.growth.plus(Usage(0, -gone * PAIR_BYTES))

    def row_returned(self, transaction: RowChanges, former: int, row_id: int) -> None:
        """The new row id is higher than any other."""
        execute = transaction.connection.execute
        execute("UPDATE judged_pairs SET low_row = high_row, high_row = ? WHERE low_row = ?", (row_id, former))
        execute("UPDATE judged_pairs SET high_row = ? WHERE high_row = ?", (row_id, former))

    def rows_erased(self, connection: Connection, row_ids: Sequence[int]) -> None:
        if has_table(connection, "judged_pairs"):
            _delete_pairs_of(connection, row_ids)

    def stored_bytes(self, connection: Connection) -> int:
        return count_pairs(connection) * PAIR_BYTES if has_table(connection, "judged_pairs") else 0


class _Reads:
    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    def page(self, after: int, limit: int, verdict: Verdict | None, record_id: str) -> list[JudgedPair]:
        return self._read(lambda connection: read_pairs(connection, after, limit, verdict, record_id))

    def rows(self) -> RowVerdicts:
        return self._read(read_rows)

    def count(self) -> int:
        return self._read(count_pairs)


class _Writes:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def judge(self, judgements: Sequence[Judgement], now_ms: int) -> list[JudgementResult]:
        connection = self._transaction.connection
        rows = _row_ids(connection, [i for j in judgements for i in (j.record_id, j.other_record_id)])
        count = count_pairs(connection)
        results = []
        for judgement in judgements:
            try:
                low, high = _pair(judgement, rows)
                previous, more = self._store(low, high, judgement.verdict, now_ms, count)
                count += more
                results.append(JudgementResult(previous, previous is not judgement.verdict))
            except (InvalidInput, RecordNotFound, QuotaExceeded) as error:
                results.append(JudgementResult(None, error=error))
        return results

    def _store(
        self, low: int, high: int, verdict: Verdict | None, now_ms: int, count: int
    ) -> tuple[Verdict | None, int]:
        """The verdict before, and by how many pairs there are more. Raises QuotaExceeded."""
        execute, pair = self._transaction.connection.execute, (low, high)
        row = execute("SELECT verdict FROM judged_pairs WHERE low_row = ? AND high_row = ?", pair).fetchone()
        previous = Verdict(row[0]) if row is not None else None
        if previous is verdict:
            return previous, 0
        if verdict is None:
            execute("DELETE FROM judged_pairs WHERE low_row = ? AND high_row = ?", pair)
            self._transaction.growth = self._transaction.growth.plus(Usage(0, -PAIR_BYTES))
            return previous, -1
        if previous is None:
            if count >= MAX_JUDGED_PAIRS:
                raise QuotaExceeded("bytes", f"a collection has at most {MAX_JUDGED_PAIRS} judged pairs")
            self._transaction.grow(Usage(0, PAIR_BYTES))
        execute(
            "INSERT INTO judged_pairs (low_row, high_row, verdict, judged_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (low_row, high_row) DO UPDATE SET verdict = excluded.verdict, judged_ms = excluded.judged_ms",
            (*pair, verdict.value, now_ms),
        )
        return previous, previous is None


class JudgedPairs:
    """The verdicts on pairs of one collection. Any number of threads may call any method at once; all raise
    StoreUnavailable where the disk refuses.

    A calibration or a tuning reads the pairs with their vectors:

        for pair, one, other in collection.judged_pairs.with_vectors():
            distances[pair.verdict].append(1.0 - float(one @ other))
    """

    def __init__(self, access: CollectionAccess) -> None:
        self._access = access

    def judge(self, judgements: Sequence[Judgement]) -> list[JudgementResult]:
        """Stores verdicts, a result for each, in order. A bad one fails alone: InvalidInput for a record and itself,
        RecordNotFound, QuotaExceeded."""
        now_ms = time.time_ns() // 1_000_000
        return self._access.write(lambda t: t.companion(JUDGED_PAIRS).judge(judgements, now_ms))

    def page(
        self, after: int = 0, limit: int = _PAGE, *, verdict: Verdict | None = None, record_id: str = ""
    ) -> list[JudgedPair]:
        """Up to `limit` pairs with a higher pair id, in its order. verdict: only these; None: all. record_id: only
        those of a record; empty: of all."""
        return self._access.read(lambda s: s.companion(JUDGED_PAIRS).page(after, limit, verdict, record_id))

    def every(self, verdict: Verdict | None = None) -> Iterator[JudgedPair]:
        """All pairs, a page at a time."""
        after = 0
        while page := self.page(after, verdict=verdict):
            yield from page
            after = page[-1].pair_id

    def with_vectors(self) -> Iterator[tuple[JudgedPair, Vector, Vector]]:
        """All pairs with the vectors of their records, float32, shape (dimension,), of length 1. A pair whose record is
        deleted meanwhile is left out."""
        after = 0
        while page := self.page(after):
            ids = sorted({i for pair in page for i in (pair.record_id, pair.other_record_id)})
            records = self._access.read(lambda s, ids=ids: s.records(ids, vectors=True))  # type: ignore[misc]
            vectors = {i: r.vector for i, r in records.items()}
            for pair in page:
                one, other = vectors.get(pair.record_id), vectors.get(pair.other_record_id)
                if one is not None and other is not None:
                    yield pair, one, other
            after = page[-1].pair_id

    def rows(self) -> RowVerdicts:
        """All verdicts by row id, for the search for duplicates; also those of withdrawn records."""
        return self._access.read(lambda s: s.companion(JUDGED_PAIRS).rows())

    def count(self) -> int:
        """How many pairs are stored, also those of withdrawn records. Leaves a cold collection cold."""
        return self._access.peek(lambda s: s.companion(JUDGED_PAIRS).count())


def read_pairs(
    connection: Connection, after: int, limit: int, verdict: Verdict | None, record_id: str
) -> list[JudgedPair]:
    """A page of the pairs whose records are both there."""
    conditions: list[str] = ["pair_id > ?"]
    values: list[int | str] = [after]
    if verdict is not None:
        conditions, values = [*conditions, "verdict = ?"], [*values, verdict.value]
    if record_id:
        rows = _row_ids(connection, [record_id])
        row_id = rows.get(record_id, 0)
        conditions, values = [*conditions, "(low_row = ? OR high_row = ?)"], [*values, row_id, row_id]
    found = connection.execute(
        "SELECT pair_id, low.record_id, high.record_id, verdict, judged_ms FROM judged_pairs"  # noqa: S608
        " JOIN records AS low ON low.row_id = low_row JOIN records AS high ON high.row_id = high_row"
        f" WHERE {' AND '.join(conditions)} ORDER BY pair_id LIMIT ?",
        (*values, limit),
    )
    return [JudgedPair(r[0], r[1], r[2], Verdict(r[3]), r[4]) for r in found]


def read_rows(connection: Connection) -> RowVerdicts:
    """All verdicts, by row id."""
    query = "SELECT low_row, high_row FROM judged_pairs WHERE verdict = ?"
    return RowVerdicts.of(*(connection.execute(query, (v.value,)).fetchall() for v in Verdict))


def count_pairs(connection: Connection) -> int:
    """How many pairs are stored."""
    return int(connection.execute("SELECT count(*) FROM judged_pairs").fetchone()[0])


def _pair(judgement: Judgement, rows: dict[str, int]) -> tuple[int, int]:
    ids = judgement.record_id, judgement.other_record_id
    if ids[0] == ids[1]:
        raise InvalidInput("other_record_id", f"record {ids[0][:80]!r} is paired with itself")
    for record_id in ids:
        if record_id not in rows:
            raise RecordNotFound(f"no record {record_id[:80]!r}")
    low, high = sorted(rows[i] for i in ids)
    return low, high


def _row_ids(connection: Connection, record_ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for block in blocks(list(dict.fromkeys(record_ids))):
        query = f"SELECT record_id, row_id FROM records WHERE record_id IN ({marks(block)})"  # noqa: S608
        found.update(connection.execute(query, block).fetchall())
    return found


def _delete_pairs_of(connection: Connection, row_ids: Sequence[int]) -> int:
    """Deletes the pairs of some rows. Returns how many there were."""
    gone = 0
    for block in blocks(row_ids):
        for column in ("low_row", "high_row"):
            query = f"DELETE FROM judged_pairs WHERE {column} IN ({marks(block)})"  # noqa: S608
            gone += connection.execute(query, block).rowcount
    return gone
