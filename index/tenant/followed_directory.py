"""A tenant's directory in a process that only reads: which collections there are, as another process changes it.

Nothing is made, settled or removed here. `stale` costs a microsecond, so that each call can ask first.
"""

from __future__ import annotations

import logging
import threading

from index.collection.collection import Collection
from index.collection.followed import FollowedCache, FollowedCollection
from index.manifest.entries import Entry, read_entries, records_name
from index.manifest.manifest import State, Thing
from index.manifest.opening import LISTED, open_manifest
from index.storage.crypto import derive_key
from index.storage.layout import TenantLayout
from index.storage.sqlite import connect, file_errors
from index.storage.wal_header import WalHeader
from index.tenant.directory import TenantDirectory
from index.tenant.members import Members
from index.types.errors import AfterimageIndexError
from index.types.query import SearchNotes

_LOG = logging.getLogger(__name__)


class FollowedDirectory(TenantDirectory):
    """The collections of one tenant. Any number of threads may call any method at once. Only what reads may be called:
    all else fails, since a process that only reads has no part that writes."""

    def __init__(self, layout: TenantLayout, key: bytes, cache: FollowedCache, region: str = "") -> None:
        """Opens the directory that another process has made. `key`: the tenant's data key, 32 bytes. Raises WrongKey,
        DataFault or StoreUnavailable."""
        self._lock = threading.RLock()
        self._layout, self._manifest = layout, open_manifest(layout, key, must_exist=True)
        self._members = Members(layout, key, self._manifest, cache, region)
        self.remarks = ()
        path = layout.collections
        with file_errors(path):
            self._list = connect(path, derive_key(key, LISTED[path.name]), read_only=True)
            try:
                self._header = WalHeader(path)
                self._seen = b""
                self.refresh()
            except BaseException:
                self._list.close()
                raise

    def stale(self) -> bool:
        """Whether the list of collections may have changed since it was read. Waits for nothing."""
        return self._header.read() != self._seen

    def refresh(self) -> None:
        """Reads the list of collections again where it may have changed. Raises DataFault or StoreUnavailable."""
        with self._lock:
            seen = self._header.read()  # before the list: a later change is noticed again
            if seen == self._seen:
                return
            with file_errors(self._layout.collections):
                entries = read_entries(self._list)
            self._follow(entries)
            self._seen = seen

    def _follow(self, entries: list[Entry]) -> None:
        members, things = self._members, self._manifest.things()
        by_uid = {uid: members.collections[name] for name, uid in members.uids.items()}
        found: dict[str, Collection] = {}
        for entry in entries:
            known = by_uid.pop(entry.uid, None)
            if known is None:
                thing = things.get(records_name(entry.uid), Thing(records_name(entry.uid), State.CREATING))
                known = members.opened(entry, thing)
            elif known.spec != entry.spec:
                known.take_over(entry.spec)
            found[entry.spec.name] = known
        members.collections, members.uids = found, {e.spec.name: e.uid for e in entries}
        for gone in by_uid.values():
            gone.abandon()

    def forget(self) -> bool:
        """A turn of overwriting what died in memory, once every commit is seen. Returns whether another one is due. A
        collection that cannot be followed leaves the memory. Raises AfterimageIndexError where it is in use."""
        self.refresh()
        due = False
        for collection in self.in_memory():
            try:
                with collection.handle.held_if_loaded() as loaded:
                    if isinstance(loaded, FollowedCollection):
                        due = loaded.forget() or due
            except AfterimageIndexError as error:
                _LOG.warning("a collection leaves the memory, because it cannot be followed: %s", error)
                if not collection.handle.cool() and collection.handle.loaded is not None:
                    raise
        return due

    def take_notes(self) -> dict[str, SearchNotes]:
        """What was noted of searches since the last call, by the uid of the collection."""
        taken = {}
        for name, uid in list(self._members.uids.items()):
            collection = self._members.collections.get(name)
            if collection is None:
                continue
            with collection.handle.held_if_loaded() as loaded:
                if isinstance(loaded, FollowedCollection):
                    notes = loaded.take_notes()
                    if notes.queries.number or notes.counted:
                        taken[uid] = notes
        return taken

    def close(self, *, saved: bool = False) -> None:
        """Closes all collections; saves nothing."""
        self.abandon()

    def abandon(self) -> None:
        """Closes all collections, and the list of them."""
        with self._lock:
            super().abandon()
            self._list.close()
            self._header.close()
