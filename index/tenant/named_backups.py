"""Kept snapshots by the name of their collection, whether or not that exists, and what a restore takes of them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from index.collection.collection import Collection
from index.contract import BackupSet
from index.manifest.location import Listing, Location
from index.manifest.manifest import Thing
from index.records.backup_manifest import spec_of
from index.records.extensions.registered import EXTENSIONS
from index.records.retained_backups import RetainedBackups
from index.storage.layout import CollectionLayout
from index.storage.sqlite import DatabaseError
from index.tenant.members import Members
from index.types.collection import CollectionSpec
from index.types.errors import CollectionNotFound, DataFault, StoreDamaged

_LOG = logging.getLogger(__name__)


class NamedBackups:
    """The kept snapshots of one tenant."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def of(self, name: str) -> BackupSet | RetainedBackups:
        """Those of a collection, or, where it is gone, those that are retained of collections of that name. Raises
        CollectionNotFound where there are neither."""
        self._members.check_sound()
        if name in self._members.collections:
            return self._members.collections[name].kept
        retained = RetainedBackups([self._retained(home) for home in self._homes_retained()], name)
        if not retained.list():
            raise CollectionNotFound(f"no collection {name!r}")
        return retained

    def to_restore(self, name: str, snapshot_id: str, target: str) -> tuple[Path, CollectionSpec]:
        """The database of a snapshot of collection `name`, and what a collection `target` made of it is: its settings
        are those that `name` has now; where that is gone, the default ones.

        Raises CollectionNotFound, SnapshotNotFound, SnapshotDamaged or OSError.
        """
        source = self._members.collections.get(name)
        kept = self.of(name)
        snapshot, database = kept.checked(snapshot_id)
        spec = spec_of(snapshot, target)
        if source is not None:
            if erased_from(source):  # the file that was checked may be another one now
                snapshot, database = kept.checked(snapshot_id)
            own = source.spec
            spec = replace(spec, partial=own.partial, feedback=own.feedback, tuning=own.tuning)
            for extension in EXTENSIONS:
                spec = extension.restored(spec, source.spec)
        return database, spec

    def _homes_retained(self) -> list[str]:
        folder = self._members.layout.retained
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def _retained(self, home: str) -> BackupSet:
        members = self._members
        layout, spec = CollectionLayout(members.layout.retained / home), CollectionSpec("", "", "", 1)
        listing = Listing(members.manifest, Thing(home), members.stop)
        return members.stores.backups(Location(layout, members.key, spec, listing, home=home))


def erased_from(source: Collection) -> bool:
    """Erases what was deleted from a collection from its kept snapshots; False where the collection is so damaged that
    nobody knows what was deleted from it since the last time. Raises OSError."""
    try:
        source.clear_kept()
        return True
    except (DataFault, StoreDamaged, DatabaseError) as error:
        _LOG.warning(
            "the latest deletions are not applied to kept snapshots, since their collection is damaged: %s", error
        )
        return False
