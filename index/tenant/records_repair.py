"""Repairs the database of a collection: from its own file elsewhere, a backup, or a derived snapshot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from index.manifest.entries import Entry, entry_of
from index.manifest.location import Listing, Location
from index.manifest.manifest import Manifest, Thing, salt_of
from index.manifest.settling import KEPT, RECORDS
from index.records.backup_manifest import check_files
from index.records.catalog import Catalog
from index.records.extensions.registered import EXTENSIONS, record_stores
from index.storage.durable_files import rename, set_aside
from index.storage.layout import CollectionLayout, TenantLayout
from index.tenant.records_from_snapshots import Derived, newest_derived, write_records
from index.types.backup import Backup
from index.types.errors import DataFault, SnapshotDamaged


@dataclass(frozen=True)
class RepairStep:
    """One repair that can be made. description: what is wrong, what is done, and what is lost."""

    description: str
    run: Callable[[], None]


class RecordsRepair:
    """Of the collections of one tenant. Nothing is removed: what cannot be used is set aside."""

    def __init__(self, layout: TenantLayout, data_key: bytes) -> None:
        self._layout, self._key = layout, data_key

    def step_for(self, manifest: Manifest, thing: Thing, fault: DataFault) -> RepairStep:
        """What is to be done about a database that cannot be used."""
        entry = entry_of(thing.name.removesuffix(RECORDS), thing.details)
        layout, said = self._layout.collection(entry.uid), f"{fault.path} {fault.problem}"
        stray = next((p for p in self._layout.root.rglob("records*.db") if salt_of(p) == thing.salt != b""), None)
        if stray is not None and stray != layout.records and stray.parent.parent == self._layout.root:
            return RepairStep(
                f"{said}: its own file is at {stray}; the two are swapped", lambda: _swap(stray, layout.records)
            )
        records, sequence = thing.details.get("records", "an unknown number of"), thing.details.get("sequence", "?")
        had = f"{records} records, last write {sequence}"
        kept = self.newest_kept(layout)
        if kept is None and (derived := newest_derived(self._place(manifest, thing, entry))) is not None:
            return RepairStep(
                f"{said}: no kept snapshot is left, so collection {entry.spec.name} is restored from "
                f"{derived.path.name} ({derived.view.records} records in half precision, last write "
                f"{derived.view.sequence}); lost: {EXTENSIONS.lost or 'nothing else'}; the "
                f"collection had {had}",
                lambda: self._from_derived(manifest, thing, entry, derived),
            )
        if kept is None:
            return RepairStep(
                f"{said}: no snapshot is left, so collection {entry.spec.name} is lost ({had}); the rest is set aside",
                lambda: self._give_up(manifest, thing, entry),
            )
        snapshot, database = kept
        return RepairStep(
            f"{said}: collection {entry.spec.name} is restored from its kept snapshot "
            f"{snapshot.snapshot_id} ({snapshot.records} records, last write {snapshot.sequence}); "
            f"the collection had {had}",
            lambda: self._from_kept(manifest, thing, self._place(manifest, thing, entry), database),
        )

    def newest_kept(self, layout: CollectionLayout) -> tuple[Backup, Path] | None:
        """The newest backup of a collection that stands its checks."""
        for path in sorted(layout.kept_snapshots(), reverse=True):
            with suppress(SnapshotDamaged, OSError):
                return check_files(path, self._key)
        return None

    def _from_kept(self, manifest: Manifest, thing: Thing, place: Location, database: Path) -> None:
        layout = place.layout
        for path in (layout.records, *(p for _, p in layout.snapshots())):
            self.aside(path)
        record_stores().adopt(database, self._key, place, [])
        manifest.put(replace(thing, salt=salt_of(layout.records), number=0))

    def _place(self, manifest: Manifest, thing: Thing, entry: Entry) -> Location:
        listing = Listing(manifest, thing, lambda fault: None)
        return Location(self._layout.collection(entry.uid), self._key, entry.spec, listing, home=entry.home)

    def _from_derived(self, manifest: Manifest, thing: Thing, entry: Entry, derived: Derived) -> None:
        place = self._place(manifest, thing, entry)
        self.aside(place.layout.records)
        write_records(derived, place)
        manifest.put(replace(thing, salt=salt_of(place.layout.records), number=0))

    def _give_up(self, manifest: Manifest, thing: Thing, entry: Entry) -> None:
        root = self._layout.collection(entry.uid).root
        Catalog(self._layout.collections, self._key, manifest).remove(entry.uid)
        self.aside(root)
        gone = [name for name in manifest.things() if name.startswith(entry.home + KEPT)]
        manifest.drop_later(thing.name, *gone)
        manifest.flush()

    def aside(self, path: Path) -> None:
        """Sets a file or a directory aside, a database with its log."""
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                set_aside(file, self._layout.set_aside)


def _swap(one: Path, other: Path) -> None:
    between = one.with_name(".between-" + one.name)
    rename(one, between)
    if other.exists():
        rename(other, one)
    rename(between, other)
