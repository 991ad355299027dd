"""The hook by which others keep data beside the records of a collection, in the same transactions.

An extension has tables of its own, or columns in the table of records. The store, its backups and the tenant's
directory iterate over `Extensions` and know none of them by name. `registered` is the only module that names them.
"""

# ruff: noqa: B027 - the hooks are empty: an extension overrides only those that concern it

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

from index.contract import ColdRecords, Companion, RecordStore, RecordTransaction
from index.storage.sqlite import Connection
from index.types.collection import CollectionSpec
from index.types.record import RecordWrite, WriteResult

if TYPE_CHECKING:
    from index.records.row_changes import RowChanges
    from index.records.transaction import Transaction

T = TypeVar("T")
Store = Callable[[], WriteResult]


class Reader(Protocol):
    """Something that hands out a connection to read with."""

    def read(self, body: Callable[[Connection], T]) -> T:
        """What `body` returns, in one committed state of the database."""


class CollectionAccess(Protocol):
    """A collection, as extensions use it beyond one transaction."""

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is now."""

    @property
    def home(self) -> str:
        """Where its files outside of its directory lie. A collection that is restored in place inherits it."""

    def read(self, body: Callable[[RecordStore], T]) -> T:
        """What `body` reads from the store."""

    def peek(self, body: Callable[[ColdRecords], T]) -> T:
        """As `read`, but a collection that is not in memory is not loaded."""

    def write(self, body: Callable[[RecordTransaction], T]) -> T:
        """What `body` returns from a transaction, once that is on disk."""

    def replaced(self, body: Callable[[ColdRecords], T]) -> T:
        """A look at a closed collection whose place another one takes."""

    def narrow_backups(self) -> None:
        """Drops from the backups what the collection may no longer keep."""

    def empty_log(self) -> None:
        """Removes what deleted rows left in the store's log. Raises OSError."""


class Before(NamedTuple):
    """The row that a write replaces. row_id: 0 for a new record. same_vector: the vector stays as it is."""

    row_id: int
    same_vector: bool


class Extension(ABC):
    """One kind of data beside the records. A subclass implements `reads` and `writes`, and overrides what concerns it.

    - `companion`: names its reads and writes.
    - `migrations`: SQL by the format of the database that it leads to. What was released is never changed.
    - `columns`: the columns of the table of records that the extension owns.
    - `returning`: name of a table of records that were taken out and can come back. It has the columns record_id and
      row_id. Empty: there is none.
    - `spared`: a query for ids of deleted rows that backups keep: their records could come back, or did.
    - `carried`: its tables that a copy for another tenant has, too. They must hold nothing that only this tenant's key
      or data explain. Row ids stay the same.
    - `lost`: names of what is lost if only vectors and attributes can be saved, in the plural, for operators.
    """

    companion: Companion[Any, Any]
    migrations: ClassVar[Mapping[int, str]] = {}
    columns: tuple[str, ...] = ()
    returning: str = ""
    spared: str = ""
    carried: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @abstractmethod
    def reads(self, reader: Reader) -> object:
        """What `RecordStore.companion` returns."""

    @abstractmethod
    def writes(self, transaction: Transaction) -> object:
        """What `RecordTransaction.companion` returns."""

    # ---- within a transaction

    def values(self, write: RecordWrite) -> tuple[object, ...]:
        """The values of `columns` for a record."""
        return ()

    def is_plain(self, write: RecordWrite) -> bool:
        """Whether a new record needs nothing of the extension but `values`: `storing` is not called for it."""
        return True

    def storing(self, transaction: Transaction, write: RecordWrite, before: Before, store: Store) -> WriteResult:
        """Stores a record by calling `store`, and what belongs to it. May refuse with a FAILED result instead."""
        return store()

    def patched(self, transaction: Transaction, row_id: int) -> None:
        """Attributes of a record were changed by hand."""

    def deleted(self, transaction: Transaction, record_ids: Sequence[str]) -> int:
        """Records are deleted by id, whether they exist or not. Returns how many more were there."""
        return 0

    def product_deleted(self, transaction: Transaction, product_id: str) -> int:
        """The records of a product are deleted. Returns how many more were there."""
        return 0

    def row_gone(self, transaction: RowChanges, row_id: int) -> None:
        """A row is gone for good."""

    def row_returned(self, transaction: RowChanges, former: int, row_id: int) -> None:
        """A record that was taken out came back. former: the id of its row before."""

    # ---- on copies of the database

    def rows_erased(self, connection: Connection, row_ids: Sequence[int]) -> None:
        """Rows were deleted from the copy. Its format may be older than the extension."""

    def stored_bytes(self, connection: Connection) -> int:
        """Bytes in its tables that count towards the quota. The format of the copy may be older than the extension."""
        return 0

    def has_excess(self, connection: Connection) -> bool:
        """Whether the copy may hold what `narrow` drops."""
        return False

    def narrow(self, connection: Connection, spec: CollectionSpec) -> None:
        """Drops from the copy what a collection like this may not keep. Called in a transaction."""

    def unkeyed(self, connection: Connection) -> None:
        """The copy goes to another tenant: drops what only this tenant's key or data explain."""

    # ---- in the life of a collection

    def outlives(self, spec: CollectionSpec) -> bool:
        """Whether something may be left in the home of a collection that is deleted."""
        return False

    def restored(self, spec: CollectionSpec, current: CollectionSpec) -> CollectionSpec:
        """What a restored collection becomes. spec: the backup's. current: of the collection that the backup is of."""
        return spec

    def entered(self, access: CollectionAccess, *, copied: bool) -> None:
        """A collection was made and can be used, but is not yet listed. copied: of a copy of a database."""

    def inherits(self, access: CollectionAccess, replaced: CollectionAccess | None) -> None:
        """A collection that was made of a copy takes the place of another, which is closed; None: of none."""

    def resume(self, access: CollectionAccess, details: Mapping[str, Any]) -> bool:
        """Completes at the start what a crash cut off. details: the spec that the manifest has. Returns whether there
        was something."""
        return False


class Extensions:
    """Several extensions; iterates over them in the order in which they were given.

    - `columns`: of all of them. `values`: the values of these columns for a record.
    - `is_plain`: whether no extension has more to do for a new record than to give values.
    - `returning`: as `Extension.returning`, of those that have one. `spared`, `carried`: all of
      their queries and tables.
    - `lost`: an enumeration of what `Extension.lost` names; empty if nothing is lost.
    """

    def __init__(self, *each: Extension) -> None:
        self._each = each
        self._by_name = {e.companion.name: e for e in each}
        self.columns = tuple(column for e in each for column in e.columns)
        self.returning = tuple(e.returning for e in each if e.returning)
        self.spared = tuple(e.spared for e in each if e.spared)
        self.carried = tuple(table for e in each for table in e.carried)
        self.lost = _enumerated([lost for e in each for lost in e.lost])
        judging = [e.is_plain for e in each if type(e).is_plain is not Extension.is_plain]
        # Both are called for each record of a bulk insert: a single extension is asked without a loop.
        self.is_plain = judging[0] if len(judging) == 1 else lambda write: all(judge(write) for judge in judging)
        bearing = [e.values for e in each if e.columns]
        self.values = bearing[0] if len(bearing) == 1 else lambda write: tuple(v for of in bearing for v in of(write))

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._each)

    def outlive(self, spec: CollectionSpec) -> bool:
        """Whether something may be left in the home of a collection that is deleted."""
        return any(extension.outlives(spec) for extension in self._each)

    def named(self, companion: Companion[Any, Any]) -> Extension:
        """The extension that keeps a companion. Raises LookupError."""
        return self._by_name[companion.name]

    def storing(self, transaction: Transaction, write: RecordWrite, before: Before, store: Store) -> WriteResult:
        """Stores a record; each extension stores what belongs to it around the next one."""
        for extension in self._each:
            store = _around(extension, transaction, write, before, store)
        return store()


def _enumerated(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _around(extension: Extension, transaction: Transaction, write: RecordWrite, before: Before, store: Store) -> Store:
    return lambda: extension.storing(transaction, write, before, store)
