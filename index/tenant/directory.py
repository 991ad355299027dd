"""A tenant's directory: which collections there are, and opening them on first use.

`collections.db`, encrypted with the tenant's key, names the collections; `manifest.db` lists what must be there. What a
crash cut off is settled at opening; what is not listed is reported and left as it is; what is listed and not there is a
DataFault: nothing of the tenant is served until somebody has looked at it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from index.collection.collection import Collection
from index.collection.collection_cache import CollectionCache
from index.contract import BackupSet
from index.manifest.opening import open_manifest
from index.manifest.settling import Settling, remove_collection
from index.records.backup_manifest import check_files, spec_of
from index.records.catalog import Catalog
from index.records.extensions.registered import EXTENSIONS, TenantCompanions
from index.records.retained_backups import RetainedBackups
from index.storage.durable_files import make_directory
from index.storage.layout import TenantLayout
from index.tenant.inspection import file_faults, remarks
from index.tenant.members import Members
from index.tenant.named_backups import NamedBackups, erased_from
from index.tenant.placing import Placing
from index.tenant.shared_directory import SharedDirectory
from index.tenant.shared_list import SharedList
from index.tenant.specs import check_description, check_spec
from index.types.collection import CollectionSpec
from index.types.errors import CollectionExists, CollectionNotFound, DataFault, InvalidInput
from index.types.query import SearchNotes
from index.types.quota import StorageLimits
from index.vectors.local import LocalVectorIndexes

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class TenantDirectory(SharedDirectory, TenantCompanions[Collection]):
    """The collections of one tenant. Any number of threads may call any method at once. Holds no file open itself."""

    def __init__(
        self, layout: TenantLayout, key: bytes, cache: CollectionCache | None = None, region: str = "",
        limits: StorageLimits | None = None,
    ) -> None:  # fmt: skip
        """Opens, or makes, the tenant's directory. `key`: the tenant's data key, 32 bytes; `cache`: of collections in
        memory; `region`: where the data must lie; `limits`: on storage. Raises WrongKey or DataFault."""
        self._lock = threading.RLock()
        make_directory(layout.root)
        self._layout, self._manifest = layout, open_manifest(layout, key)
        self._members = Members(
            layout, key, self._manifest, cache or CollectionCache(LocalVectorIndexes()), region, limits
        )
        self.allowance = self._members.allowance
        self._snapshots = NamedBackups(self._members)
        self._catalog = Catalog(layout.collections, key, self._manifest, self._members.stores.sharing)
        self._placing = Placing(self._members, self._catalog)
        entries = self._catalog.entries()
        things = Settling(layout, self._manifest, entries).run()
        for fault in file_faults(layout, things):
            raise fault
        self._members.fill(entries, things)
        self.remarks = tuple(remarks(layout, key, things, {e.home: e.uid for e in entries}))
        for remark in self.remarks:
            _LOG.warning("%s", remark)
        self._join(SharedList(layout, self._manifest, self._members, self._catalog, self._placing))

    @property
    def fault(self) -> DataFault | None:
        """What is wrong with the tenant's files; None: nothing is known to be."""
        return self._members.fault

    def create(self, spec: CollectionSpec) -> Collection:
        """Makes a collection. Raises InvalidInput, CollectionExists or QuotaExceeded."""
        check_spec(spec)
        with self._changing():
            self._members.check_sound()
            if spec.name in self._members.collections:
                raise CollectionExists(f"collection {spec.name!r} exists")
            self.allowance.check_collections(len(self._members.collections) + 1)
            entry = self._placing.announced(spec)
            self._members.stores.create(self._members.location(entry))
            return self._placing.enter(entry)

    def collection(self, name: str) -> Collection:
        """A collection. Raises CollectionNotFound, or DataFault where something is wrong with the tenant's files."""
        self._members.check_sound()
        found = self._found(name)
        if found is None:
            raise CollectionNotFound(f"no collection {name!r}")
        return found

    @property
    def collection_count(self) -> int:
        """How many collections there are."""
        return len(self._members.collections)

    def names(self, after: str = "", limit: int = 1000) -> list[str]:
        """Names higher than `after`, in order, at most `limit`."""
        return sorted(name for name in list(self._members.collections) if name > after)[:limit]

    def amend(self, name: str, spec: Callable[[CollectionSpec], CollectionSpec], then: Callable[[Collection], T]) -> T:
        """Changes what a collection is, does what follows from it, and notes then that both are done. Raises
        CollectionNotFound."""
        with self._changing():
            collection = self.collection(name)
            if spec(collection.spec) != collection.spec:
                collection.take_over(self._catalog.change(self._members.uids[name], spec))
            done = then(collection)
            self._members.note_details(name)
            return done

    def deserted(self) -> list[str]:
        """Homes of collections that are gone: all that extensions keep there outside is to be deleted."""
        return sorted(self._catalog.deserted)

    def forget_deserted(self, home: str) -> None:
        """Drops the note of a home that is empty now."""
        self._catalog.forget_deserted(home)

    def change(
        self, name: str, *, description: str | None = None, learning: bool | None = None, partial: bool | None = None,
        feedback: bool | None = None, tuning: str | None = None,
    ) -> Collection:  # fmt: skip
        """Changes a collection's description, whether it learns, whether truncated input is used, whether feedback is
        kept, and its tuning. Raises InvalidInput or CollectionNotFound."""
        if description is not None:
            check_description(description)

        def changed(before: CollectionSpec) -> CollectionSpec:
            return replace(
                before,
                description=before.description if description is None else description,
                learning=before.learning if learning is None else learning,
                partial=before.partial if partial is None else partial,
                feedback=before.feedback if feedback is None else feedback,
                tuning=before.tuning if tuning is None else tuning,
            )

        with self._changing():
            collection = self.collection(name)
            collection.take_over(self._catalog.change(self._members.uids[name], changed))
            self._members.note_details(name)
            return collection

    def delete(self, name: str, *, with_kept: bool = False) -> None:
        """Deletes a collection and all its files, for good; `with_kept`: its kept snapshots, too, which are retained
        else. Raises CollectionNotFound, StoreUnavailable where the records are elsewhere, or OSError where what was
        deleted cannot be erased from what is retained."""
        with self._changing():
            collection = self.collection(name)
            if not with_kept and collection.kept.ids():
                erased_from(collection)
            self._members.stores.discard(collection.handle.place)
            thing = self._placing.leaving(name, with_kept=with_kept)
            deserted = collection.home if EXTENSIONS.outlive(collection.spec) else ""
            self._catalog.remove(self._members.uids[name], deserted, with_kept=with_kept)
            del self._members.collections[name]
            self._members.uids.pop(name)
            collection.abandon()
            remove_collection(self._layout, self._manifest, thing, None)
            self.allowance.forget()

    def kept(self, name: str) -> BackupSet | RetainedBackups:
        """The kept snapshots of a collection, or, where it is gone, those that are retained of collections of that
        name. Raises CollectionNotFound where there are neither."""
        return self._snapshots.of(name)

    def restore(self, name: str, snapshot_id: str, target: str, *, replacing: bool = False) -> Collection:
        """Makes the collection `target` of a snapshot of collection `name`, with the
        settings that that has now; where it is gone, with the default ones. With `replacing` it takes the place of the
        collection of that name, whose backups it takes over, and what extensions keep where it is `name` itself.

        Raises CollectionNotFound, SnapshotNotFound, SnapshotDamaged, CollectionExists, InvalidInput or OSError.
        """
        return self.adopt_copy(*self._snapshots.to_restore(name, snapshot_id, target), replacing=replacing)

    def adopt_snapshot(self, folder: Path, key: bytes, target: str) -> Collection:
        """Makes a collection of a snapshot that is of another tenant, or from another machine: `key` is that tenant's
        data key. Raises as `restore` does."""
        snapshot, database = check_files(folder, key)
        return self.adopt_copy(database, spec_of(snapshot, target), key=key)

    def adopt_copy(
        self, database: Path, spec: CollectionSpec, *, key: bytes | None = None, replacing: bool = False
    ) -> Collection:
        """Makes a collection of a copy of a database. key: the data key of the tenant that the copy is of; None: this
        tenant's. Raises CollectionExists, QuotaExceeded, InvalidInput, WrongKey or OSError."""
        check_spec(spec)
        with self._changing():
            self._members.check_sound()
            old = self._members.collections.get(spec.name)
            if old is not None and not replacing:
                raise CollectionExists(f"collection {spec.name!r} exists")
            self.allowance.check_collections(len(self._members.collections.keys() | {spec.name}))
            entry = self._placing.announced(spec, old)
            # The new collection takes over the backups of the old one.
            before = [] if old is None else [old.handle.place.layout.records, *old.kept.files()]
            self._members.stores.adopt(database, key or self._members.key, self._members.location(entry), before)
            made = self._placing.enter(entry, old, copied=True)
            self.allowance.forget()
            return made

    def exchange(self, one: str, other: str) -> None:
        """Gives each of two collections the name of the other, in one step. Raises CollectionNotFound or
        InvalidInput."""
        if one == other:
            raise InvalidInput("other", "a collection cannot be exchanged with itself")
        with self._changing():
            first, second = self.collection(one), self.collection(other)
            uids = self._members.uids[one], self._members.uids[other]
            self._catalog.rename([(uids[1], one), (uids[0], other)])
            self._members.uids[one], self._members.uids[other] = uids[1], uids[0]
            self._members.collections = {**self._members.collections, one: second, other: first}
            first.take_over(replace(first.spec, name=other))
            second.take_over(replace(second.spec, name=one))
            for name in (one, other):
                self._members.note_details(name)

    def every(self) -> list[Collection]:
        """All collections."""
        return list(self._members.collections.values())

    def take_in(self, notes: Mapping[str, SearchNotes]) -> None:
        """Takes in what processes that only read noted of searches, by uid of the collection."""
        self._members.take_in(notes)

    def in_memory(self) -> list[Collection]:
        """The collections that are in memory now."""
        return self._members.in_memory()

    def unsettled(self) -> list[Collection]:
        """Collections that a crash left open: rows that died may still be in their files."""
        return self._members.unsettled()

    def note(self) -> None:
        """Notes in the manifest how far the collections in memory have come. Meant to be called every few seconds."""
        self._members.note()

    def close(self, *, saved: bool = False) -> None:
        """Closes all collections, each with a snapshot where it changed. saved: snapshots were written already, and
        what they lack is left to be replayed."""
        self._leave()
        with self._lock:
            if saved:
                self._members.note(closing=True)
            for collection in self._members.collections.values():
                collection.abandon() if saved else collection.close()
            self._members.flush()

    def abandon(self) -> None:
        """Closes without snapshots, for a tenant whose files are about to be deleted."""
        self._leave()
        with self._lock:
            for collection in self._members.collections.values():
                collection.abandon()
