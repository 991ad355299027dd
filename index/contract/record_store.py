"""The seam of the records: the truth of one collection.

Order. Each write of a record gets the next sequence number; numbers grow in the order of commits. `changes` tells them
in that order.
Durability. What `RecordWriter.run` returned is on disk (on as many machines as the store promises), with everything
that the body did: records, tombstones, epoch, marks, failures and counts of a batch are one transaction.
Visibility. A read sees all that was committed before it began, and one committed state. A write is published to the
vector index before `run` returns. Writes that wait at the same time may share a commit.
Errors. StoreUnavailable: nothing was stored, the caller may try again. OutcomeUnknown: the commit may stand or not. The
state is read again, and the same write is safe: an upsert that stands is UNCHANGED, a deletion finds nothing, an
insert-only write fails with RecordExists. StoreDamaged: what is stored cannot be read; writes are refused from then on.
StaleEpoch and QuotaExceeded: the transaction did nothing.
Threads. Any number of threads may call any method at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from index.contract.backups import BackupSet
from index.contract.changes import ChangeSink
from index.contract.companions import Companion
from index.contract.sharing import DatabaseSharing
from index.types.backup import Backup
from index.types.changes import Normalised, RowChange, SequenceRange
from index.types.errors import StoreDamaged, StoreUnavailable
from index.types.quota import Usage
from index.types.record import UNLIMITED_BYTES, RecordPage, RecordPatch, StoredRecord, WriteResult

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")
Site = TypeVar("Site", contravariant=True)


class RecordTransaction(Protocol):
    """Changes within one open transaction. A body that raises undoes all that it did, and nothing of others."""

    def upsert(self, writes: Sequence[Normalised | WriteResult], *, insert_only: bool) -> list[WriteResult]:
        """Inserts or replaces records, a result for each. Failures are in the results, and leave their records as they
        were; what is a result already stays as it is. An equal record is UNCHANGED and gets no number."""

    def patch(self, patch: RecordPatch) -> WriteResult:
        """Changes product id and attributes of one record. Failures are in the result."""

    def delete_records(self, record_ids: Sequence[str]) -> int:
        """Deletes by id, including records that were taken out and could come back. Ids that do not exist are passed
        over. Returns how many were there."""

    def known(self, record_ids: Sequence[str]) -> set[str]:
        """Those of the ids that exist, or were taken out and could come back."""

    def delete_rows(self, rows: Sequence[tuple[int, int]]) -> int:
        """Deletes (row id, sequence) pairs, passing over rows that were written since. Returns how many."""

    def forget_product(self, product_id: str) -> int:
        """Erases records of a product that were taken out and could come back. Returns how many."""

    def companion(self, companion: Companion[R, W]) -> W:
        """The writes of what is kept beside the records."""


class RecordWriter(Protocol):
    """The one writer of a store in this process."""

    def run(self, body: Callable[[RecordTransaction], T]) -> T:
        """Runs `body` in a transaction and returns what it returned, once that is on disk and published. Raises what
        `body` raised (none of its changes stay), StoreUnavailable, StoreDamaged or OutcomeUnknown."""

    @property
    def closed(self) -> bool:
        """Whether writes are refused."""

    def close(self, why: StoreUnavailable) -> None:
        """Refuses all later writes with this error."""


class RecordStore(Protocol):
    """All that is kept of one collection. See the module for order, durability, visibility, errors and threads."""

    @property
    def created_ms(self) -> int:
        """When the collection was made, in milliseconds since 1970."""

    def writer(self, sink: ChangeSink) -> RecordWriter:
        """The writer, which publishes each commit to `sink`. Asked for once, after the index was opened."""

    def paused(self) -> AbstractContextManager[None]:
        """No write of this process commits or is published within the block; its own reads see the last one."""

    # ---- records

    def records(
        self, record_ids: Sequence[str], *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
    ) -> dict[str, StoredRecord]:
        """Records by id; ids that do not exist are left out. Vectors as they were given, at length 1. Raises
        AnswerTooLarge beyond `max_bytes`."""

    def rows(self, row_ids: Sequence[int], *, vectors: bool = False) -> dict[int, StoredRecord]:
        """Records by row id; ids that are gone are left out."""

    def row_ids(self, record_ids: Sequence[str]) -> frozenset[int]:
        """Row ids of those records that exist."""

    def page(self, after_row_id: int, limit: int, *, vectors: bool, max_bytes: int = UNLIMITED_BYTES) -> RecordPage:
        """Up to `limit` records with a higher row id, in order of row id; at least one, but else not more than
        `max_bytes`."""

    def page_of(
        self, row_ids: Sequence[int], limit: int, *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
    ) -> RecordPage:
        """The same of some rows, which are in order of row id."""

    def known(self, record_ids: Sequence[str]) -> set[str]:
        """Those of the ids that exist, or were taken out and could come back."""

    def digests(self, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Content digests by record id; records without one are left out."""

    def companion(self, companion: Companion[R, W]) -> R:
        """The reads of what is kept beside the records."""

    def usage(self) -> Usage:
        """How much is stored."""

    # ---- for the index

    def sequences(self) -> SequenceRange:
        """The number of the last write, and up to which deletions are forgotten."""

    def changes(self, after: int) -> Iterator[RowChange]:
        """Each row written by a write numbered higher than `after`, in order of numbers, as it is now, with its vector;
        then each row deleted by one. Deletions that are forgotten are missing: see `sequences`."""

    def scan(self) -> AbstractContextManager[Iterator[StoredRecord]]:
        """All records with vectors, in order of row id, as they are at the beginning of the block."""

    def follow(self) -> None:
        """Has this store, and the vector index, see what other servers have committed. Raises StoreUnavailable."""

    def tombstones(self) -> list[int]:
        """Row ids of remembered deletions, those of records that could come back, or did, left out."""

    def forget_tombstones(self, up_to: int) -> None:
        """Forgets deletions that no index needs any more."""

    def learnt(self, name: str) -> bytes:
        """What an index noted under a name; empty where nothing was."""

    def note_learnt(self, name: str, value: bytes) -> None:
        """Keeps something small for the index, durably."""

    # ---- maintenance

    def back_up(self) -> Backup:
        """Copies the records as they are now. Reading and writing go on. Raises OSError."""

    def erase_traces(self) -> None:
        """Removes what deleted and overwritten records left in the store's log, as far as the store can."""

    def give_space_back(self) -> int:
        """Returns the space of deleted records to the disk where it is worth it; bytes."""

    def release_memory(self) -> None:
        """Gives caches back that the last writes have filled."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the stored bytes, a line each."""

    @property
    def damage(self) -> StoreDamaged | None:
        """What a read met. Writes are refused since."""

    @property
    def open_files(self) -> int:
        """How many files of this process the store has open."""

    def note(self) -> None:
        """Notes durably how far the store has come, so that a later start detects an older copy of it."""

    def close(self) -> None:
        """Waits for reads and closes. Later calls raise StoreUnavailable."""


class ColdRecords(Protocol):
    """A look at the records of a collection that is not in memory, at one moment."""

    @property
    def created_ms(self) -> int:
        """When the collection was made, in milliseconds since 1970."""

    def sequences(self) -> SequenceRange:
        """As `RecordStore.sequences`."""

    def usage(self) -> Usage:
        """As `RecordStore.usage`."""

    def companion(self, companion: Companion[R, W]) -> R:
        """As `RecordStore.companion`."""

    def problems(self) -> Iterator[str]:
        """As `RecordStore.problems`."""


class RecordStoreFactory(Protocol[Site]):
    """Opens record stores; one for a process, shared by its collections. Site: the type of what says where a collection
    lies and what opens it; for this library `index.manifest.location.Location`."""

    @property
    def sharing(self) -> DatabaseSharing | None:
        """Shares other databases of a server where the records are shared; None: nothing is."""

    def create(self, site: Site) -> None:
        """Makes the empty store of a new collection. Raises OSError."""

    def open(self, site: Site, free_files: Callable[[], int]) -> RecordStore:
        """The store of a collection. `free_files` closes files of others where none can be opened, and returns how
        many. Raises DataFault, UnsupportedFormat, StoreDamaged or StoreUnavailable."""

    def discard(self, site: Site) -> None:
        """Deletes what the store of a collection keeps elsewhere than in its directory, for good. The collection is
        then only closed and removed. Raises StoreUnavailable: nothing was deleted."""

    def behind(self, site: Site) -> bool:
        """Whether a collection that is not in memory lacks what other servers have committed. Raises as `open` does."""

    def has_dead(self, site: Site) -> bool:
        """Whether the files of a collection that is not in memory may have what a server has deleted. Raises as `open`
        does."""

    def cold(self, site: Site) -> AbstractContextManager[ColdRecords]:
        """A look at a collection that is not in memory. Raises as `open` does."""

    def replaced(self, site: Site) -> AbstractContextManager[ColdRecords]:
        """A look at a closed collection whose place another one takes; what is wrong with it is of no consequence to
        the tenant. Raises StoreDamaged, DataFault or WrongKey."""

    def backups(self, site: Site) -> BackupSet:
        """The backups of a collection, in memory or not."""

    def adopt(self, file: Path, key: bytes, site: Site, before: Sequence[Path]) -> None:
        """Makes the store of a new collection of the file of a backup. key: data key of the tenant that the file is of,
        32 bytes; before: stores and backups whose rows the new rows must come after. Raises WrongKey or OSError."""


class SharedRecordStores(RecordStoreFactory[Site], Protocol):
    """Opens record stores that several servers share through a database."""

    def check(self) -> None:
        """Raises StoreUnavailable or UnsupportedFormat where the database cannot be used."""

    def to_database(self, site: Site) -> int:
        """Enters a collection in the database, where that does not have it, and compares the two. Returns how many
        records it has. Raises StoreUnavailable, or StoreDamaged where they differ."""

    def to_directory(self, site: Site) -> int:
        """Makes the collection's directory the truth again, once it has all that the database has, and deletes it
        there. Returns how many records it has. Raises as `to_database` does."""

    def close(self) -> None:
        """Closes connections that are idle."""
