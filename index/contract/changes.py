"""How a commit of the store reaches the vector index: staged while the disk is at work, published after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from index.types.changes import RowChange


class StagedChanges(Protocol):
    """Changes that a vector index has taken in and that no search sees yet. Exactly one of the two is called, once."""

    def publish(self, sequence: int) -> None:
        """Makes the changes visible to searches that begin from now on. sequence: number of the last write in them."""

    def discard(self) -> None:
        """Takes the changes back: no search has seen them, and none will."""


class ChangeSink(Protocol):
    """What a store needs of a vector index."""

    def stage(self, changes: Sequence[RowChange]) -> StagedChanges:
        """Takes in the changes of a commit, while the store may still write them. A record's vector has length 1."""
