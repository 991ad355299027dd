"""The seam of the vectors: what a collection asks of the index that answers its searches.

A vector index is derived. It can be rebuilt from a `RecordStore` at any time, and is never the only place of anything.

Order. Changes arrive in the order of their commits, one commit at a time: `stage`, then `publish` or `discard`. Hits
are ordered by distance, equal distances in order of insertion, the same on every page.
Durability. None is promised between two calls of `save`. After an opening the index has read from the store whatever
it did not keep itself, so that `sequence` equals the store's.
Visibility. A search sees all published changes and no staged one. A search that began earlier may still see the state
before. A deleted row is in no answer that begins after the publication.
Errors. InvalidInput, FilterSyntaxError and AnswerTooLarge are the caller's. StoreUnavailable means that nothing was
done, also that a remote index could not be reached in time. OutcomeUnknown means that a call may or may not have taken
effect: read `sequence`, and open the index again where it is not the store's. Where `stage` fails, nothing was taken
in: a small commit is not stored, of a large one the outcome is unknown, since the disk is already at work. Where
`publish` fails after the commit, the store takes no more writes until the collection is opened again.
Threads. Any number of threads may call any method at once, but for `stage`, `publish` and `discard`: the store calls
these under its write lock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from index.contract.changes import ChangeSink
from index.contract.record_store import RecordStore
from index.types.answer import Facet, FilterHints, SearchAnswer
from index.types.collection import CollectionSpec, CollectionStats
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.types.ordering import Order, Position
from index.types.query import QuerySum, SearchQuery
from index.types.record import Show, StoredRecord


@dataclass(frozen=True)
class Capabilities:
    """What an index can do. A query that asks for more is refused with InvalidInput before it reaches the index.

    - `exact`: compares every row if a query asks for it.
    - `approximate`: may miss rows otherwise. `stats` tells the measured recall.
    - `learning`: compares by what it learns from the collection's own vectors, where that finds more.
    - `emphasis`: answers queries that are composed or weighted, and applies `scale` to distances.
    - `grouping`: groups hits by product.
    - `diversity`: gives hits up for others that are less like the hits before them.
    - `boosts`: adds boosts to the likeness.
    - `saves`: keeps files of its own, so that an opening need not read the whole store.
    """

    exact: bool = True
    approximate: bool = False
    learning: bool = False
    emphasis: bool = True
    grouping: bool = True
    diversity: bool = True
    boosts: bool = True
    saves: bool = False


@dataclass(frozen=True)
class IndexSite:
    """Where an index may keep files.

    - `directory`: the collection's own, shared with the store.
    - `key`: the tenant's data key, 32 bytes. An index derives its own keys from it.
    - `trusted`: MACs of snapshots that are known to be of this collection although they do not say so.
    """

    directory: Path
    key: bytes = field(repr=False)
    trusted: frozenset[str] = frozenset()


class RowGroup(NamedTuple):
    """Row ids of records that look the same, the earliest first, and the largest distance of one to the first. merged:
    pairs in it that were judged to be of the same product. contradictions: pairs in it that were judged different."""

    row_ids: tuple[int, ...]
    max_distance: float
    merged: int = 0
    contradictions: tuple[tuple[int, int], ...] = ()


class Selection(Protocol):
    """The live rows that a filter allows, at one moment. It never changes."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def hints(self) -> FilterHints:
        """What is odd about the filter: names that no record has, values of another type than the records'."""

    def facet(self, text: str) -> Facet:
        """How many of the rows have each value of an attribute, or a number in each range (`price[0,50]`). Raises
        InvalidInput."""

    def in_order(self, order: Order, after: Position | None, limit: int) -> list[Position]:
        """Up to `limit` rows by an attribute, those that come after a position or the first ones."""

    def row_ids(self, after: int, limit: int) -> list[int]:
        """Up to `limit` row ids higher than `after`, in order."""

    def row_ids_at(self, positions: Sequence[int]) -> list[int]:
        """The row ids at some positions of their order, 0 to `count` - 1, as the positions come."""

    def versions(self) -> list[tuple[int, int]]:
        """Row id and sequence number of each row, in order of row id."""


class VectorIndex(ChangeSink, Protocol):
    """The derived half of one collection. See the module for order, durability, visibility, errors and threads."""

    @property
    def capabilities(self) -> Capabilities:
        """What the index can do. It does not change while the index is open."""

    @property
    def sequence(self) -> int:
        """Number of the last write that a search which begins now sees."""

    @property
    def needs_changes_after(self) -> int:
        """The store must be able to tell all changes after this number: deletions up to it can be forgotten."""

    @property
    def memory_bytes(self) -> int:
        """About how much memory of this process the index takes."""

    def search(
        self, query: SearchQuery, excluded: frozenset[int] = frozenset(), only: frozenset[int] | None = None
    ) -> SearchAnswer:
        """The nearest records. The query's vector has length 1. Where the query includes vectors, a hit has the
        index's own, as exact as that keeps it. Raises InvalidInput, FilterSyntaxError or AnswerTooLarge.

        - `excluded`: row ids that are in no answer, counted as allowed all the same.
        - `only`: row ids of which those that match the filter are allowed, and each compared; None: all.
        """

    def search_together(
        self, queries: Sequence[SearchQuery], before_longer: Callable[[], object]
    ) -> list[SearchAnswer | None]:
        """As `search` for each of one or more queries, where they are answered together in less time; None for each
        that `search` is to be asked.

        `before_longer`: called before each query that takes longer than the others; what it raises ends all.
        """

    def select(self, filter_text: str = "") -> Selection:
        """The rows that a filter allows; all live ones for an empty filter. Raises FilterSyntaxError."""

    def note_queries(self, queries: QuerySum) -> None:
        """Takes in what another process was asked, for an index that learns of queries."""

    def remembered(self, filter_text: str = "") -> Selection | None:
        """As `select` where the rows of a filter are remembered, else None. Waits for nothing. For event loops."""

    def expected_s(self, query: SearchQuery) -> float:
        """About how many seconds `search` takes; infinite where that waits for anything or cannot be told. Takes
        microseconds."""

    def shown(self, record_ids: Sequence[str], show: Show) -> list[bytes] | None:
        """What `show` makes of records, in their order, where that is kept of each and none was written or deleted
        since; else None. Waits for nothing. For event loops."""

    def show(self, row_ids: Iterable[int], show: Show, max_bytes: int) -> dict[str, bytes]:
        """What `show` makes of rows, by record id; rows that are not live are left out. Raises AnswerTooLarge where
        they take more than `max_bytes`."""

    def rows_of_products(self, product_ids: Sequence[str]) -> list[tuple[int, int]]:
        """Row id and sequence number of each live row of these products."""

    def duplicates(
        self, filter_text: str, max_distance: float, verdicts: RowVerdicts
    ) -> Generator[RowGroup, None, VerdictTally]:
        """Groups of two or more allowed rows within a cosine distance of their first, as they are found. A pair within
        the distance is in at least one group. Returns what the verdicts did. Raises FilterSyntaxError, or InvalidInput
        where there are too many.

        Rows of the same product, by verdicts and whatever follows from them, are together in each group with one of
        them, and in at least one. Such a product is within the distance of what any of its rows is. Two products, or
        rows, of which any rows were judged different are in no group together, and their pairs are left out.
        """

    def erase(self) -> int:
        """Overwrites what was deleted, in memory and in all files of the index; searches that run are waited for.
        Returns the number of the last write that this holds for. Raises OSError."""

    def maintain(self) -> str | None:
        """Does, or begins in a thread of its own, what is due; returns what, None for nothing. Called every few
        seconds. Raises OSError."""

    def optimise(self, *, anew: bool = False) -> bool:
        """Makes searches fast that would compare every row, and returns once that is done; False where there is nothing
        to do. anew: whatever was built before is not used."""

    def compact(self) -> None:
        """Frees what deleted and replaced rows take, and saves. Searches go on. Raises OSError."""

    def set_learning(self, wanted: bool) -> None:
        """Whether to learn, for an index that can; `maintain` follows."""

    def stats(self) -> CollectionStats:
        """Counts, as searches see them; the time of creation is 0, which only the store knows."""

    def save(self) -> int:
        """Writes what searches see now to the index's files, where it has any; returns the number of the last write
        that the next opening need not ask the store for. Raises OSError; what was saved before is then still there."""

    def file_problems(self) -> Iterator[str]:
        """What is wrong with the index's files, a line each."""

    def differences(self, records: Iterable[StoredRecord]) -> Iterator[str]:
        """A line for each difference between what is searched now and `records`: all that the store has, with vectors,
        in order of row id. What is searched is taken before the first of them is read."""

    @property
    def damaged_files(self) -> list[Path]:
        """What failed its checks at the opening and was set aside."""

    def close(self) -> None:
        """Ends what runs beside the calls and lets go of the memory. Saves nothing."""


class VectorIndexFactory(Protocol):
    """Opens vector indexes; one for a process, shared by its collections."""

    def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> VectorIndex:
        """The index of a collection, brought up to date with the store. Raises DataFault where files of the index are
        newer than the store, StoreDamaged or StoreUnavailable."""

    def close(self) -> None:
        """Ends what runs for any index; none is opened any more."""
