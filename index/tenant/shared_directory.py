"""What of a tenant's directory follows other servers: its list of collections."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from index.collection.collection import Collection
from index.records.catalog import Catalog
from index.tenant.members import Members
from index.tenant.shared_list import SharedList
from index.types.errors import StoreUnavailable

_LOG = logging.getLogger(__name__)


class SharedDirectory:
    """Part of TenantDirectory. Without other servers it does nothing."""

    _lock: threading.RLock
    _members: Members
    _catalog: Catalog
    _followed: SharedList | None = None

    def _join(self, followed: SharedList) -> None:
        """Begins to follow what other servers change in the list."""
        sharing = self._catalog.sharing
        if sharing is None:
            return
        if not self._catalog.version:
            self._enter_records()
        try:
            self._catalog.open(followed.prepare)
        except StoreUnavailable as error:
            if not self._catalog.version:
                raise
            _LOG.warning("a list of collections is opened as this server last saw it: %s", error)
        followed.settle()
        followed.watch_cold()
        self._followed = followed
        sharing.watch(self._catalog.shared.id, lambda: self._catalog.version, self.follow)

    def _enter_records(self) -> None:
        """Before other servers hear of a collection its records are in PostgreSQL."""
        for collection in self._members.collections.values():
            try:
                with collection.handle:
                    pass
            except StoreUnavailable as error:
                _LOG.warning("the records of a collection are not in PostgreSQL: %s", error)

    def _leave(self) -> None:
        """Ends that."""
        if self._followed is not None and self._catalog.sharing is not None:
            self._catalog.sharing.end_watch(self._catalog.shared.id)
            self._followed.end_watch_cold()
            with self._lock:
                self._followed = None

    def follow(self) -> None:
        """Takes over what other servers have changed in the list of collections. Raises StoreUnavailable or OSError."""
        with self._lock:
            if self._followed is not None:
                self._catalog.follow()
                self._followed.settle()
                self._followed.watch_cold()

    def erase_followed(self) -> int:
        """Erases here what other servers have erased: from the files, the memory and every snapshot, also of
        collections that are not in memory. Returns of how many collections. Raises StoreUnavailable or OSError."""
        self.follow()
        erased = 0
        for collection in list(self._members.collections.values()):
            handle = collection.handle
            if handle.loaded is None and not self._members.stores.has_dead(handle.place):
                continue
            with handle.maintaining() as loaded:
                loaded.store.follow()
                if loaded.store.tombstones():
                    loaded.maintenance.erase()
                    erased += 1
        return erased

    def list_differences(self) -> list[str]:
        """How this server's list differs from the one in PostgreSQL, a line each. Raises StoreUnavailable."""
        with self._lock:
            return self._catalog.differences()

    def detach(self) -> None:
        """Makes the list of this server the truth, and deletes the shared one. Raises StoreUnavailable, or
        StoreDamaged where they differ."""
        self._leave()
        with self._lock:
            self._catalog.detach()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else changes the list meanwhile; what other servers have changed is seen first."""
        with self._lock:
            self.follow()
            yield
            if self._followed is not None:
                self._followed.settle()
                self._followed.watch_cold()

    def _found(self, name: str) -> Collection | None:
        """A collection, be it that another server has made it a moment ago."""
        found = self._members.collections.get(name)
        if found is None and self._followed is not None:
            try:
                self.follow()
            except (OSError, StoreUnavailable) as error:
                _LOG.warning("cannot ask other servers for a collection: %s", error)
            found = self._members.collections.get(name)
        return found
