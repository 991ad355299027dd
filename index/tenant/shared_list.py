"""The list of a tenant's collections as several servers have it: what other servers make, change and delete.

A collection that another server has made gets a directory with an empty database, which its first use fills. One that
another server has deleted is closed and removed. Both are listed in the manifest before the list has them, so that the
next start settles what a crash cut off.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from index.collection.collection import Collection
from index.collection.collection_handle import CollectionHandle
from index.manifest.entries import details_of, records_name
from index.manifest.manifest import Manifest, State, Thing
from index.manifest.settling import remove_collection
from index.records.catalog import Catalog, FollowedList
from index.records.extensions.registered import EXTENSIONS
from index.records.sharing import shared_id
from index.storage.durable_files import set_aside
from index.storage.layout import TenantLayout
from index.storage.open_files import none_freed
from index.tenant.members import Members
from index.tenant.named_backups import erased_from
from index.tenant.placing import Placing
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)


class SharedList:
    """Of one tenant. The caller holds the tenant's lock."""

    def __init__(
        self, layout: TenantLayout, manifest: Manifest, members: Members, catalog: Catalog, placing: Placing
    ) -> None:
        self._layout, self._manifest, self._members = layout, manifest, members
        self._catalog, self._placing = catalog, placing
        self._followed: FollowedList | None = None
        self._watched: set[bytes] = set()

    def prepare(self, followed: FollowedList) -> None:
        """Before the list has what other servers have changed: it can still be taken back."""
        known = {uid: name for name, uid in self._members.uids.items()}
        listed = {e.uid for e in followed.entries}
        for entry in followed.entries:
            if entry.uid not in known:
                self._placing.prepare(entry)
        for uid in known.keys() - listed:
            entry = self._members.entry_of(known[uid])
            details = {**details_of(entry), "with_kept": followed.gone.get(uid, False)}
            self._manifest.put(replace(self._thing(uid), state=State.DELETING, details=details))
        self._followed = followed

    def settle(self) -> None:
        """After the list has it: makes the members what is listed, and removes the files of those that are gone. Raises
        OSError; what is left then is removed at the next start."""
        followed, self._followed = self._followed, None
        if followed is None:
            return
        members, entries = self._members, self._catalog.entries()  # with what this server has changed since
        before = {uid: members.collections[name] for name, uid in members.uids.items()}
        found: dict[str, Collection] = {}
        for entry in entries:
            known = before.pop(entry.uid, None)
            if known is None:
                known = self._placing.prepared(entry)
            elif known.spec != entry.spec:
                known.take_over(entry.spec)
                self._manifest.note(records_name(entry.uid), 0, **details_of(entry))
            found[entry.spec.name] = known
        members.collections, members.uids = found, {e.spec.name: e.uid for e in entries}
        members.allowance.forget()
        heirs = {e.home: e.uid for e in entries}
        for uid, collection in before.items():
            self._remove(uid, collection, heirs.get(collection.home), listed_gone=uid in followed.gone)
        if before:
            self._catalog.checkpoint()
        members.flush()

    def watch_cold(self) -> None:
        """Has the copies of collections that are not in memory follow: other processes of this server read them."""
        sharing, collections = self._catalog.sharing, list(self._members.collections.values())
        assert sharing is not None
        ids = {shared_id(c.handle.place): c for c in collections}
        for id in self._watched - ids.keys():
            sharing.end_watch(id)
        for id in ids.keys() - self._watched:
            sharing.watch_cold(id, partial(self._catch_up, ids[id].handle))
        self._watched = set(ids)

    def end_watch_cold(self) -> None:
        """Ends that."""
        for id in self._watched:
            if self._catalog.sharing is not None:
                self._catalog.sharing.end_watch(id)
        self._watched = set()

    def _catch_up(self, handle: CollectionHandle) -> None:
        stores = self._members.stores
        with handle.lock:  # it is not brought into memory meanwhile
            if handle.loaded is None and stores.behind(handle.place):
                stores.open(handle.place, none_freed).close()

    def _remove(self, uid: str, collection: Collection, heir: str | None, *, listed_gone: bool) -> None:
        if listed_gone and not self._thing(uid).details.get("with_kept"):
            self._clear_kept(collection)
        collection.abandon()
        if heir is None and EXTENSIONS.outlive(collection.spec):
            self._catalog.desert(collection.home)
        if listed_gone:
            remove_collection(self._layout, self._manifest, self._thing(uid), heir)
        else:  # no server has deleted it: PostgreSQL has lost it, or never had it
            _LOG.warning("a collection is not in PostgreSQL any more; its files were set aside")
            set_aside(self._layout.collection(uid).root, self._layout.set_aside)
            self._manifest.drop_later(records_name(uid))

    @staticmethod
    def _clear_kept(collection: Collection) -> None:
        """What was deleted before the collection was leaves its kept snapshots, which stay."""
        try:
            if collection.kept.ids():
                erased_from(collection)
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("the latest deletions are not applied to kept snapshots: %s", error)

    def _thing(self, uid: str) -> Thing:
        thing = self._manifest.thing(records_name(uid))
        assert thing is not None
        return thing
