"""Placing collections in a tenant's directory: a new one, one in the place of another, and one that goes.

Each step is listed in the manifest before it is done, so that the next start settles what a crash cut off.
"""

from __future__ import annotations

from dataclasses import replace

from index.collection.collection import Collection
from index.manifest.entries import Entry, details_of, records_name
from index.manifest.manifest import State, Thing, salt_of
from index.manifest.settling import remove_collection
from index.records.catalog import Catalog
from index.records.extensions.registered import EXTENSIONS
from index.records.sharing import expect_records
from index.storage.durable_files import make_directory, remove_tree, sync_directory
from index.storage.layout import new_uid
from index.tenant.members import Members
from index.types.collection import CollectionSpec
from index.types.errors import CollectionExists


class Placing:
    """Of one tenant. The caller holds the tenant's lock."""

    def __init__(self, members: Members, catalog: Catalog) -> None:
        self._members, self._catalog = members, catalog

    def announced(self, spec: CollectionSpec, replaced: Collection | None = None) -> Entry:
        """A new collection, listed as one that is being made; its directory is there."""
        uid = new_uid()
        entry = Entry(uid, replaced.home if replaced is not None else uid, spec)
        self._members.manifest.put(Thing(records_name(uid), State.CREATING, details=details_of(entry)))
        make_directory(self._members.layout.collection(uid).root)
        return entry

    def enter(self, entry: Entry, replaced: Collection | None = None, *, copied: bool = False) -> Collection:
        """Enters a collection whose database is there, in the place of another."""
        spec, layout = entry.spec, self._members.layout.collection(entry.uid)
        sync_directory(layout.root)
        thing = Thing(records_name(entry.uid), State.CREATING, salt_of(layout.records), details=details_of(entry))
        collection = self._members.opened(entry, thing)
        with collection.handle:  # that it can be loaded is known before anything is given up for it
            pass
        for extension in EXTENSIONS:
            extension.entered(collection.handle, copied=copied)
        if replaced is not None:
            replaced.abandon()
        if copied:
            for extension in EXTENSIONS:
                extension.inherits(collection.handle, None if replaced is None else replaced.handle)
        gone = self.leaving(spec.name) if replaced is not None else None
        if replaced is not None:
            self._members.stores.discard(replaced.handle.place)
        self._entered(entry, collection, self._members.uids[spec.name] if replaced is not None else "")
        self._members.uids[spec.name], self._members.collections[spec.name] = entry.uid, collection
        self._members.manifest.later(replace(thing, state=State.PRESENT))
        if gone is not None:
            remove_collection(self._members.layout, self._members.manifest, gone, entry.uid)
        return collection

    def _entered(self, entry: Entry, collection: Collection, replaced: str) -> None:
        """Lists it. Where another server was first to use the name, nothing is left of it."""
        try:
            self._catalog.enter(entry, replaced)
        except CollectionExists:
            self._members.stores.discard(collection.handle.place)
            collection.abandon()
            remove_tree(self._members.layout.collection(entry.uid).root)
            self._members.manifest.drop_later(records_name(entry.uid))
            raise

    def prepare(self, entry: Entry) -> None:
        """Lists a collection that another server has made as one that is being made, with its directory and an empty
        database, unless it is there."""
        members, layout = self._members, self._members.layout.collection(entry.uid)
        members.manifest.put(Thing(records_name(entry.uid), State.CREATING, details=details_of(entry)))
        make_directory(layout.root)
        if not layout.records.exists():
            members.stores.create(members.location(entry))
            expect_records(members.location(entry))
        sync_directory(layout.root)

    def prepared(self, entry: Entry) -> Collection:
        """The collection that `prepare` made, once the list has it."""
        layout = self._members.layout.collection(entry.uid)
        thing = Thing(records_name(entry.uid), State.PRESENT, salt_of(layout.records), details=details_of(entry))
        self._members.manifest.later(thing)
        return self._members.opened(entry, thing)

    def leaving(self, name: str, *, with_kept: bool = False) -> Thing:
        """Notes in the manifest that the directory of a collection goes."""
        entry = self._members.entry_of(name)
        thing = Thing(records_name(entry.uid), State.DELETING, details={**details_of(entry), "with_kept": with_kept})
        self._members.manifest.put(thing)
        return thing
