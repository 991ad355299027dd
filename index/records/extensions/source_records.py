"""A collection as a catalogue synchronisation sees it: the records that follow one of its sources."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from index.contract import SOURCES
from index.records.extensions.hook import CollectionAccess
from index.records.prepare import prepare
from index.types.record import RecordWrite, WriteResult
from index.types.sources import Failure, ItemPush, Mark, PushedItems, PushResult, SourceBatch

UNDO_DAYS = 7
_AT_ONCE = 500


class SourceRecords:
    """Any number of threads may call any method at once; all raise StoreUnavailable where the disk refuses.

    Only the run that claimed the latest epoch can write: the methods that take a SourceBatch raise StaleEpoch for any
    other, so that a worker that was stopped for an hour and goes on does no harm.
    """

    def __init__(self, access: CollectionAccess) -> None:
        self._access = access

    def epoch(self) -> int:
        """The epoch of the run that may write; 0 before the first."""
        return self._access.read(lambda s: s.companion(SOURCES).epoch())

    def claim(self, epoch: int) -> None:
        """Shuts out all runs with lower epochs. Raises StaleEpoch where a later one has been."""
        self._access.write(lambda t: t.companion(SOURCES).claim_epoch(epoch))

    def marks(self, source: str) -> Iterator[Mark]:
        """What is stored of a source's records, in order of their ids."""
        after = ""
        while page := self._access.read(lambda s, after=after: s.companion(SOURCES).marks(source, after)):  # type: ignore[misc]
            yield from page
            after = page[-1].record_id

    def apply(self, batch: SourceBatch, writes: Sequence) -> list[WriteResult]:  # type: ignore[type-arg]
        """Stores RecordWrites and failures together, a result for each write, in order. Raises StaleEpoch."""
        whole = replace(batch, writes=prepare(writes, self._access.spec.dimension))
        return self._access.write(lambda t: t.companion(SOURCES).apply_batch(whole))

    def withdraw(self, batch: SourceBatch, record_ids: Sequence[str]) -> int:
        """Takes records of the source out of the collection; they can be brought back for seven days. Returns how many
        there were. Raises StaleEpoch."""
        return self._access.write(lambda t: t.companion(SOURCES).withdraw(batch, record_ids))

    def reinstate(
        self, source: str, record_ids: Sequence[str], epoch: int | None = None, batch: SourceBatch | None = None
    ) -> list[str]:
        """Brings withdrawn records back; returns the ids of those that came. `epoch`: of the run that does it; None:
        somebody else does. `batch`: of that run, with what its feed knows. Raises QuotaExceeded or StaleEpoch."""
        return self._access.write(lambda t: t.companion(SOURCES).reinstate(source, record_ids, epoch, batch))

    def begin_feed(self, source: str, epoch: int, feed_ms: int) -> None:
        """Notes that a feed that was current at a time is applied from now on. Raises StaleEpoch."""
        self._access.write(lambda t: t.companion(SOURCES).begin_feed(source, epoch, feed_ms))

    def feed_time(self, source: str) -> int:
        """When the feed was current that was last applied, in milliseconds since 1970; 0: none was."""
        return self._access.read(lambda s: s.companion(SOURCES).feed_time(source))

    def pushed_since(self, source: str, feed_ms: int) -> PushedItems:
        """What was pushed at or after a time."""
        return self._access.read(lambda s: s.companion(SOURCES).pushed_since(source, feed_ms))

    def standing(self, push: ItemPush) -> PushResult | None:
        """Why a push comes too late; None: it would hold."""
        return self._access.read(lambda s: s.companion(SOURCES).standing(push))

    def forget_pushed(self, source: str, before_ms: int) -> int:
        """Drops what is known of pushes before a time. Returns how many records."""
        return self._access.write(lambda t: t.companion(SOURCES).forget_pushed(source, before_ms))

    def push(self, change: ItemPush, writes: Sequence[RecordWrite]) -> PushResult:
        """Stores a change of one item, whole or not at all. Raises what refuses one of its records."""
        whole = replace(change, writes=prepare(writes, self._access.spec.dimension))
        return self._access.write(lambda t: t.companion(SOURCES).push(whole))

    def undo(self, source: str, run: str) -> int:
        """Brings back all that a run withdrew; returns how many. Raises QuotaExceeded."""
        ids, back = self._access.read(lambda s: s.companion(SOURCES).withdrawn_by(run)), 0
        for start in range(0, len(ids), _AT_ONCE):
            back += len(self.reinstate(source, ids[start : start + _AT_ONCE]))
        return back

    def withdrawn_by(self, run: str) -> int:
        """How many records a run withdrew that can still be brought back."""
        return len(self._access.read(lambda s: s.companion(SOURCES).withdrawn_by(run)))

    def purge(self, now_ms: int | None = None) -> int:
        """Erases for good what was withdrawn more than seven days ago; returns how many."""
        now = now_ms if now_ms is not None else time.time_ns() // 1_000_000
        return self._access.write(lambda t: t.companion(SOURCES).purge(now - UNDO_DAYS * 86_400_000))

    def failures(self, source: str, after: str = "", limit: int = 1000) -> list[Failure]:
        """A page of what could not be brought in step, ids above `after`, in order of ids."""
        return self._access.read(lambda s: s.companion(SOURCES).failures(source, after, limit))

    def forget_failures(self, source: str, record_ids: Sequence[str] | None = None) -> int:
        """Drops failures, all where no ids are given, so that the next run tries again. Returns how many."""
        return self._access.write(lambda t: t.companion(SOURCES).forget_failures(source, record_ids))

    def release(self, source: str) -> int:
        """Makes the records of a source nobody's; returns how many there were."""
        return self._access.write(lambda t: t.companion(SOURCES).release(source))

    def counts(self, run: str) -> dict[str, int]:
        """How far a run was when it last stored something."""
        return self._access.read(lambda s: s.companion(SOURCES).counts(run))

    def forget_counts(self, run: str) -> None:
        """Drops the counts of a run that has ended."""
        self._access.write(lambda t: t.companion(SOURCES).forget_counts(run))
