"""What a store keeps beside its records, in the same transactions: kept pictures, sources of a synchronisation,
people's feedback and verdicts on pairs, and saved searches.

`RecordStore.companion` and `RecordTransaction.companion` hand out the two halves of a companion: its reads, and its
writes within a transaction. Order, durability, visibility and errors are those of the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from index.types.companions import Copies, Dropped, KeptPicture, Origin, PicturePolicy, SavedSearch
from index.types.feedback.judgements import JudgedPair, Judgement, JudgementResult, RowVerdicts, Verdict
from index.types.feedback.sums import FeedbackSums
from index.types.record import WriteResult
from index.types.sources import Failure, ItemPush, Mark, PushedItems, PushResult, SourceBatch

R = TypeVar("R")
W = TypeVar("W")


@dataclass(frozen=True)
class Companion(Generic[R, W]):
    """Names one kind of data beside the records. R: the type of its reads. W: the type of its writes."""

    name: str


class PictureReads(Protocol):
    """What is kept of the pictures of a collection."""

    def kept(self, record_ids: Sequence[str]) -> dict[str, KeptPicture]:
        """What is kept of the pictures of records, by record id. Records of which nothing is kept are left out."""

    def holds(self, object_id: str) -> bool:
        """Whether a copy belongs to a record."""

    def counts(self) -> Dropped:
        """What is kept, as a change to DISCARD would drop it."""

    def loose(self, before_ms: int, limit: int) -> list[str]:
        """Copies that belong to no record and were announced before a time (milliseconds since 1970)."""

    def copies(self) -> Copies:
        """All copies that the store knows."""


class PictureWrites(Protocol):
    """Changes of what is kept. A record's own copy or URL is part of `RecordWrite`."""

    def announce(self, object_id: str, now_ms: int) -> None:
        """Notes a copy that is about to be put, and that belongs to no record yet."""

    def forget_loose(self, object_ids: Sequence[str]) -> None:
        """Drops the note of copies that were deleted."""

    def apply_policy(self, policy: PicturePolicy) -> Dropped:
        """Sets what writes may keep. Drops what may no longer be kept, and returns how much that was."""

    def settle(self, there: Copies) -> None:
        """Makes a store that was copied some time ago agree with the copies that are there now."""


class SourceReads(Protocol):
    """Where records come from, and what runs of a synchronisation left."""

    def origins(self, record_ids: Sequence[str]) -> dict[str, Origin]:
        """Where pictures were fetched from, by record id. Records whose picture was not fetched are left out."""

    def epoch(self) -> int:
        """The epoch of the run that may write batches. 0 before the first."""

    def marks(self, source: str, after: str) -> list[Mark]:
        """A page of the records that follow a source, those with ids above `after`, in order of their ids' bytes."""

    def failures(self, source: str, after: str, limit: int) -> list[Failure]:
        """A page of what a source failed at, in order of record ids."""

    def counts(self, run: str) -> dict[str, int]:
        """How far a run was when it last stored something."""

    def feed_time(self, source: str) -> int:
        """When the feed was current that was last applied, in milliseconds since 1970; 0: none was."""

    def pushed_since(self, source: str, feed_ms: int) -> PushedItems:
        """What was pushed at or after a time."""

    def standing(self, push: ItemPush) -> PushResult | None:
        """Why a push comes too late; None: it would hold."""

    def withdrawn_by(self, run: str) -> list[str]:
        """Ids of the records that a run withdrew and that can still be brought back, in order."""


class SourceWrites(Protocol):
    """What a run of a synchronisation does to a collection."""

    def claim_epoch(self, epoch: int) -> None:
        """Lets only the run with this epoch write batches from now on. Raises StaleEpoch after a later one."""

    def apply_batch(self, batch: SourceBatch) -> list[WriteResult]:
        """Stores a batch: writes, failures and counts. Returns a result for each write. Raises StaleEpoch."""

    def withdraw(self, batch: SourceBatch, record_ids: Sequence[str]) -> int:
        """Takes records of the source out, to be brought back by `reinstate` until they are purged. Returns how many.
        Raises StaleEpoch."""

    def reinstate(
        self, source: str, record_ids: Sequence[str], epoch: int | None = None, batch: SourceBatch | None = None
    ) -> list[str]:
        """Brings withdrawn records back as they were. Returns the ids that came. epoch: of the run that does it, None
        for anybody else; batch: of that run, with what its feed knows. Raises QuotaExceeded or StaleEpoch."""

    def begin_feed(self, source: str, epoch: int, feed_ms: int) -> None:
        """Notes that a feed that was current at a time is applied from now on. Raises StaleEpoch."""

    def forget_pushed(self, source: str, before_ms: int) -> int:
        """Drops what is known of pushes before a time. Returns how many records."""

    def push(self, change: ItemPush) -> PushResult:
        """Stores a change of one item, whole or not at all. Raises what refuses one of its records."""

    def purge(self, before_ms: int) -> int:
        """Erases for good what was withdrawn before a time (milliseconds since 1970). Returns how many."""

    def forget_failures(self, source: str, record_ids: Sequence[str] | None) -> int:
        """Drops failures, all of the source where no ids are given. Returns how many."""

    def release(self, source: str) -> int:
        """Makes the records of a source nobody's. Returns how many there were."""

    def forget_counts(self, run: str) -> None:
        """Drops the counts of a run that has ended."""


class FeedbackReads(Protocol):
    """What is kept of people's feedback."""

    def sums(self) -> FeedbackSums | None:
        """The sums over all feedback; None where there is none."""


class FeedbackWrites(Protocol):
    """Changes of the sums."""

    def add(self, sums: FeedbackSums) -> None:
        """Adds the sums of one call."""

    def clear(self) -> int:
        """Deletes the sums. Returns how many judged records they were of."""


class SavedSearchReads(Protocol):
    """The saved searches of a collection."""

    def one(self, name: str, version: int = 0) -> SavedSearch:
        """A version; 0: the newest. Raises SavedSearchNotFound."""

    def page(self, after: str, limit: int) -> list[SavedSearch]:
        """The newest versions of the names above `after`, in order of names."""

    def versions(self, name: str) -> list[SavedSearch]:
        """All kept versions, newest first. Raises SavedSearchNotFound."""


class SavedSearchWrites(Protocol):
    """Changes of saved searches."""

    def create(self, name: str, content: bytes, now_ms: int) -> SavedSearch:
        """Keeps a search under a new name. Raises SavedSearchExists or QuotaExceeded."""

    def update(self, name: str, content: bytes, etag: str, now_ms: int) -> SavedSearch:
        """Makes a new version, and drops the oldest of too many. etag: of the version that is meant; empty: any. Raises
        SavedSearchNotFound, SavedSearchMoved or QuotaExceeded."""

    def delete(self, name: str, etag: str) -> int:
        """Deletes a name with all versions. Returns how many. Raises SavedSearchNotFound or SavedSearchMoved."""


class JudgedPairReads(Protocol):
    """Verdicts on pairs of records."""

    def page(self, after: int, limit: int, verdict: Verdict | None, record_id: str) -> list[JudgedPair]:
        """Pairs whose records are both there, with pair ids above `after`, in their order. verdict: None: all.
        record_id: those of one record; empty: all."""

    def rows(self) -> RowVerdicts:
        """All verdicts by row id, also of records that were taken out and could come back."""

    def count(self) -> int:
        """How many pairs are stored, those of `rows`."""


class JudgedPairWrites(Protocol):
    """Changes of verdicts. A pair goes when one of its rows does."""

    def judge(self, judgements: Sequence[Judgement], now_ms: int) -> list[JudgementResult]:
        """Stores verdicts, a result for each. A bad one fails alone."""


PICTURES: Companion[PictureReads, PictureWrites] = Companion("pictures")
SOURCES: Companion[SourceReads, SourceWrites] = Companion("sources")
FEEDBACK: Companion[FeedbackReads, FeedbackWrites] = Companion("feedback")
SAVED_SEARCHES: Companion[SavedSearchReads, SavedSearchWrites] = Companion("saved_searches")
JUDGED_PAIRS: Companion[JudgedPairReads, JudgedPairWrites] = Companion("judged pairs")
