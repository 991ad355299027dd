"""The collections of one tenant, as a process has them open."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from index.collection.collection import Collection
from index.collection.collection_cache import CollectionCache
from index.contract import RecordStoreFactory
from index.manifest.entries import Entry, details_of, records_name
from index.manifest.location import Listing, Location
from index.manifest.manifest import Manifest, State, Thing
from index.records.extensions.registered import EXTENSIONS
from index.storage.layout import TenantLayout
from index.storage.sqlite import DatabaseError
from index.types.errors import AfterimageIndexError, DataFault, StoreDamaged
from index.types.query import SearchNotes
from index.types.quota import Allowance, StorageLimits, Usage

_LOG = logging.getLogger(__name__)


class Members:
    """Who changes them holds the tenant's lock; anybody may read. `collections` and `uids` are by name; `fault`: what
    is wrong with the tenant's files, None: nothing is known to be."""

    def __init__(
        self, layout: TenantLayout, key: bytes, manifest: Manifest, cache: CollectionCache, region: str = "",
        limits: StorageLimits | None = None,
    ) -> None:  # fmt: skip
        """`key`: the tenant's data key, 32 bytes. There are no members until `fill`."""
        self.layout, self.key, self.manifest = layout, key, manifest
        self._cache, self._region = cache, region
        self.allowance = Allowance(self._measure, limits)
        self.fault: DataFault | None = None
        self.uids: dict[str, str] = {}
        self.collections: dict[str, Collection] = {}

    def fill(self, entries: Sequence[Entry], things: Mapping[str, Thing]) -> None:
        """Opens what is listed, and lets extensions complete what a crash cut off. things: by name in the manifest."""
        self.uids = {e.spec.name: e.uid for e in entries}
        self.collections = {e.spec.name: self.opened(e, things[records_name(e.uid)]) for e in entries}
        for name, collection in self.collections.items():
            details = things[records_name(self.uids[name])].details.get("spec", {})
            resumed = [extension.resume(collection.handle, details) for extension in EXTENSIONS]
            if any(resumed):
                self._note_resumed(name)

    def _note_resumed(self, name: str) -> None:
        try:
            self.note_details(name)
        except (OSError, AfterimageIndexError, DatabaseError) as error:
            _LOG.warning("could not note that a change of a collection is complete: %s", error)

    def opened(self, entry: Entry, thing: Thing) -> Collection:
        """A collection whose database the manifest lists as `thing`."""
        return Collection(self._located(entry, thing), self._cache)

    def location(self, entry: Entry) -> Location:
        """Where a collection lies that is being made."""
        return self._located(entry, Thing(records_name(entry.uid), State.CREATING))

    def _located(self, entry: Entry, thing: Thing) -> Location:
        layout, owner = self.layout.collection(entry.uid), self.layout.root.name
        listing = Listing(self.manifest, thing, self.stop)
        return Location(layout, self.key, entry.spec, listing, self.allowance, entry.home, owner, self._region)

    @property
    def stores(self) -> RecordStoreFactory[Location]:
        """Opens the record stores of collections."""
        return self._cache.stores

    def entry_of(self, name: str) -> Entry:
        """A collection as it is to be listed now."""
        collection = self.collections[name]
        return Entry(self.uids[name], collection.home, collection.spec)

    def note_details(self, name: str) -> None:
        """Notes in the manifest what a collection is now."""
        self.manifest.note(records_name(self.uids[name]), 0, **details_of(self.entry_of(name)))

    def unsettled(self) -> list[Collection]:
        """Collections that a crash left open: rows that died may still be in their files."""
        logs = {name: self.layout.collection(uid).write_ahead_log for name, uid in list(self.uids.items())}
        return [self.collections[n] for n, log in logs.items() if log.exists() and log.stat().st_size]

    def in_memory(self) -> list[Collection]:
        """The collections that are in memory now."""
        return [c for c in list(self.collections.values()) if c.handle.loaded is not None]

    def take_in(self, notes: Mapping[str, SearchNotes]) -> None:
        """Takes in what processes that only read noted of searches, by uid of the collection; those that are gone are
        passed over."""
        names = {uid: name for name, uid in list(self.uids.items())}
        for uid in notes.keys() & names.keys():
            collection = self.collections.get(names[uid])
            if collection is not None:
                collection.take_in(notes[uid])

    def note(self, *, closing: bool = False) -> None:
        """Notes in the manifest how far the collections in memory have come. closing: before they are abandoned."""
        for collection in self.in_memory():
            try:
                collection.note(closing=closing)
            except (OSError, AfterimageIndexError) as error:
                _LOG.warning("could not update the manifest's number of a collection: %s", error)
        self.flush()

    def flush(self) -> None:
        """Writes what the manifest waits with; a failure is logged."""
        try:
            self.manifest.flush()
        except (OSError, AfterimageIndexError, DatabaseError) as error:
            _LOG.warning("could not update the manifest: %s", error)

    def stop(self, fault: DataFault) -> None:
        """Something is wrong with the tenant's files: nothing of it is served any more."""
        if self.fault is None:
            self.fault = fault
            _LOG.error("the tenant is not served: %s", fault)

    def check_sound(self) -> None:
        """Raises the fault, where there is one."""
        if self.fault is not None:
            raise self.fault

    def _measure(self) -> Usage:
        used = Usage()
        for collection in list(self.collections.values()):
            try:
                used = used.plus(collection.usage())
            except (DataFault, StoreDamaged):
                continue  # it is reported where it is used
        return used
