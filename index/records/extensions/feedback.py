"""People's feedback on a collection: one row of sums, in the same database as the records.

The row holds nothing that leads to a record or a query, so the deletion of a record does not touch it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from index.contract import FEEDBACK, FeedbackReads, FeedbackWrites
from index.records.extensions.hook import CollectionAccess, Extension, Reader
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.feedback.sums import FeedbackSums, Moments

_PARTS = ("liked", "disliked", "contrast")


class Feedback(Extension):
    """The extension."""

    companion = FEEDBACK
    migrations = {  # noqa: RUF012 - as in the base class
        6: "CREATE TABLE feedback (id INTEGER PRIMARY KEY CHECK (id = 1), sums TEXT NOT NULL)"
    }
    lost = ("feedback",)

    def reads(self, reader: Reader) -> FeedbackReads:
        return _Reads(reader)

    def writes(self, transaction: Transaction) -> FeedbackWrites:
        return _Writes(transaction)


class _Reads:
    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    def sums(self) -> FeedbackSums | None:
        return self._read(_read_sums)


class _Writes:
    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.connection

    def add(self, sums: FeedbackSums) -> None:
        before = _read_sums(self._connection)
        self._connection.execute(
            "INSERT INTO feedback VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET sums = excluded.sums",
            (_to_json(sums if before is None else before.plus(sums)),),
        )

    def clear(self) -> int:
        before = _read_sums(self._connection)
        self._connection.execute("DELETE FROM feedback")
        return 0 if before is None else before.count


class FeedbackBook:
    """The feedback on one collection. Any number of threads may call any method at once; all raise StoreUnavailable
    where the disk refuses.

    A learner of block weights reads `sums()`:

        sums = collection.feedback.sums()        # None: there is no feedback
        if sums is not None and sums.contrast.count >= 50:
            mean = sums.contrast.totals / sums.contrast.count                   # shape (blocks,)
            second = sums.contrast.products / sums.contrast.count               # shape (blocks, blocks)
            weights = dict(zip(sums.blocks, np.linalg.solve(second, mean)))     # least squares for "liked is nearer"
    """

    def __init__(self, access: CollectionAccess) -> None:
        self._access = access

    @property
    def kept(self) -> bool:
        """Whether the owner has feedback kept."""
        return self._access.spec.feedback

    def add(self, sums: FeedbackSums) -> bool:
        """Adds the sums of one call, and returns once they are on disk. False where no feedback is kept."""
        if not self.kept or not sums.count:
            return False
        self._access.write(lambda t: t.companion(FEEDBACK).add(sums))
        return True

    def sums(self) -> FeedbackSums | None:
        """All sums; None where there are none. They stay when feedback is turned off."""
        return self._access.read(lambda s: s.companion(FEEDBACK).sums())

    def count(self) -> int:
        """How many judged records the sums are of. Leaves a cold collection cold."""
        sums = self._access.peek(lambda s: s.companion(FEEDBACK).sums())
        return 0 if sums is None else sums.count

    def clear(self) -> int:
        """Deletes the sums. Returns how many judged records they were of."""
        return self._access.write(lambda t: t.companion(FEEDBACK).clear())


def _read_sums(connection: Connection) -> FeedbackSums | None:
    row = connection.execute("SELECT sums FROM feedback").fetchone()
    if row is None:
        return None
    kept: dict[str, Any] = json.loads(row[0])
    return FeedbackSums(tuple(kept["blocks"]), *(_moments(kept[part]) for part in _PARTS))


def _moments(kept: dict[str, Any]) -> Moments:
    return Moments(kept["count"], np.array(kept["totals"], np.float64), np.array(kept["products"], np.float64))


def _to_json(sums: FeedbackSums) -> str:
    """As JSON, which holds float64 exactly."""
    parts: dict[str, Moments] = {part: getattr(sums, part) for part in _PARTS}
    return json.dumps(
        {"blocks": sums.blocks}
        | {
            part: {"count": m.count, "totals": m.totals.tolist(), "products": m.products.tolist()}
            for part, m in parts.items()
        }
    )
