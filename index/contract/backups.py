"""Backups of a collection: copies of its records that stay until somebody deletes them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from index.types.backup import Backup
from index.types.collection import CollectionSpec


class BackupSet(Protocol):
    """The backups of one collection, or of one that is gone. `RecordStore.back_up` makes one."""

    def list(self) -> builtins.list[Backup]:
        """The newest first. Those whose description fails its check are left out; `problems` reports them."""

    def ids(self) -> builtins.list[str]:
        """Ids of all that are there, damaged or not."""

    def checked(self, snapshot_id: str) -> tuple[Backup, Path]:
        """A backup and its file, every byte of which is as it was written. Raises SnapshotNotFound or
        SnapshotDamaged."""

    def files(self) -> builtins.list[Path]:
        """The files of all backups whose description can be read."""

    def problems(self, snapshot_id: str) -> Iterator[str]:
        """What is wrong with a backup, a line each. Raises SnapshotNotFound."""

    def delete(self, snapshot_id: str) -> None:
        """Deletes a backup for good. Raises SnapshotNotFound."""

    def missing(self) -> builtins.list[str]:
        """Ids of backups that are listed and not there."""

    def erase(self, row_ids: Sequence[int]) -> builtins.list[str]:
        """Deletes rows from every backup, because they were deleted from the collection. Returns ids of damaged
        backups: they stay as they are, and are not restored any more."""

    def narrow(self, spec: CollectionSpec) -> builtins.list[str]:
        """Drops from every backup what the collection may no longer keep beside its records. Returns as `erase`."""

    def tidy(self) -> None:
        """Removes what a change that was cut off left behind."""
