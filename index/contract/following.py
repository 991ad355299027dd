"""What a process needs of a store and an index that another process writes: to notice its commits, and follow them.

The writer's process commits; a follower reads. A follower never writes, snapshots, compacts or removes anything.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from index.contract.record_store import RecordStore
from index.contract.vector_index import IndexSite, VectorIndex, VectorIndexFactory
from index.types.changes import RowChange, SequenceRange
from index.types.collection import CollectionSpec
from index.types.query import QuerySum


class ChangeBlock(NamedTuple):
    """Some changes, in order. reached: what the store has, once these are all; None: there are more."""

    changes: list[RowChange]
    reached: SequenceRange | None


class FollowedStore(RecordStore, Protocol):
    """A store that another process writes. What changes something raises StoreUnavailable."""

    def version(self) -> bytes:
        """Differs from what it was before any later commit of any process. Takes a microsecond, and no lock."""

    def drop_read(self) -> None:
        """Drops the pages that were read and are kept for the next reader."""

    def change_block(self, after: int, position: int, limit: int) -> ChangeBlock:
        """Up to `limit` rows written by writes numbered higher than `position`. The last block also has each row
        deleted by a write numbered higher than `after`. Begin with `position` = `after`. No transaction outlives a
        call, since the writer cannot empty its log beside one."""


class FollowingIndex(VectorIndex, Protocol):
    """An index that follows such a store."""

    @property
    def is_current(self) -> bool:
        """Whether a search that begins now sees every commit. Waits for nothing."""

    def follow(self) -> None:
        """Has searches see every commit. Raises StoreUnavailable, StoreDamaged or DataFault."""

    def forget(self) -> bool:
        """Has searches see every commit, and overwrites, at the second call, what had died before the first. Returns
        whether a second call is due. Between the two, let the searches end that run. Raises as `follow` does."""

    def take_queries(self) -> QuerySum:
        """The queries since the last call, for the writer's process to note."""


class FollowingIndexFactory(VectorIndexFactory, Protocol):
    """Opens such indexes; one for a process, shared by its collections. `open` raises StoreUnavailable."""

    def follow(self, spec: CollectionSpec, store: FollowedStore, site: IndexSite) -> FollowingIndex:
        """The index of a collection, brought up to date with the store. Raises as `VectorIndexFactory.open` does."""
