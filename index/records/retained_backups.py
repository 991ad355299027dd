"""Kept snapshots of collections that are gone: they outlive them until somebody deletes them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from pathlib import Path

from index.contract import BackupSet
from index.types.backup import Backup
from index.types.errors import SnapshotNotFound


class RetainedBackups:
    """Kept snapshots of collections that are gone and had a name."""

    def __init__(self, homes: Sequence[BackupSet], name: str) -> None:
        self._homes, self._name = homes, name

    def list(self) -> builtins.list[Backup]:
        """The newest first; those whose manifest does not stand its check are left out."""
        found = [s for kept in self._homes for s in kept.list() if s.spec.name == self._name]
        return sorted(found, key=lambda s: s.snapshot_id, reverse=True)

    def checked(self, snapshot_id: str) -> tuple[Backup, Path]:
        """As `Backups.checked`."""
        return self._of(snapshot_id).checked(snapshot_id)

    def problems(self, snapshot_id: str) -> Iterator[str]:
        """As `Backups.problems`."""
        return self._of(snapshot_id).problems(snapshot_id)

    def delete(self, snapshot_id: str) -> None:
        """Deletes a snapshot for good. Raises SnapshotNotFound."""
        self._of(snapshot_id).delete(snapshot_id)

    def _of(self, snapshot_id: str) -> BackupSet:
        for kept in self._homes:
            if any(s.snapshot_id == snapshot_id and s.spec.name == self._name for s in kept.list()):
                return kept
        raise SnapshotNotFound(f"no snapshot {snapshot_id[:80]!r}")
