"""Notices what other servers commit: PostgreSQL notifies, and versions are compared now and then, should a
notification have been lost."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from index.records.postgresql.database import CHANNEL, Database, PgConnection, PgError
from index.records.postgresql.shared_rows import SharedRows
from index.storage.sqlite import DatabaseError
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)
_PRUNE_EVERY_S = 3600.0
POLL_S = 1.0
KEPT_DAYS = 7.0  # deletions are told for so long


class Following(Protocol):
    """A store that follows."""

    @property
    def shared(self) -> SharedRows:
        """Its rows in PostgreSQL."""

    @property
    def version(self) -> int:
        """Up to which version it has followed."""

    def follow(self) -> None:
        """Applies what other servers have committed. Raises AfterimageIndexError."""


class Follower:
    """Of one process: a thread, as long as there are stores that follow. Any thread may call the methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stores: dict[bytes, Following] = {}
        self._cold: dict[bytes, Following] = {}
        self._thread: threading.Thread | None = None
        self._reachable = True
        self._failing: set[bytes] = set()

    def add(self, store: Following, *, cold: bool = False) -> None:
        """Has a store follow from now on. cold: while no other store with its id does."""
        with self._lock:
            (self._cold if cold else self._stores)[store.shared.id] = store
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="postgresql follower", daemon=True)
                self._thread.start()

    def remove(self, store: Following) -> None:
        """Ends that."""
        with self._lock:
            if self._stores.get(store.shared.id) is store:
                del self._stores[store.shared.id]

    def remove_id(self, id: bytes) -> None:
        """The same by what PostgreSQL knows the store by."""
        with self._lock:
            self._stores.pop(id, None)
            self._cold.pop(id, None)

    def _run(self) -> None:
        while not self._finished():
            try:
                with self._database.connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._listen(connection)
            except (PgError, AfterimageIndexError) as error:
                if self._reachable:
                    _LOG.warning("cannot follow the other servers: %s", error)
                self._reachable = False
                time.sleep(POLL_S)

    def _listen(self, connection: PgConnection) -> None:
        pruned_at = time.monotonic()
        while not self._finished():
            self._follow(connection)
            if not self._reachable:
                _LOG.warning("following the other servers again")
                self._reachable = True
            if time.monotonic() - pruned_at > _PRUNE_EVERY_S:
                self._prune()
                pruned_at = time.monotonic()
            for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass

    def _follow(self, connection: PgConnection) -> None:
        with self._lock:
            stores = {**self._cold, **self._stores}
        found = connection.execute(
            "SELECT id, version, deleted FROM afterimage.collections WHERE id = ANY(%b)", (list(stores),), binary=True
        ).fetchall()
        for id, version, deleted in found:
            store = stores[bytes(id)]
            if version != store.version or deleted:
                self._follow_one(store)

    def _follow_one(self, store: Following) -> None:
        try:
            store.follow()
            self._failing.discard(store.shared.id)
        except (AfterimageIndexError, DatabaseError, OSError) as error:
            if store.shared.id not in self._failing:
                _LOG.warning("something does not follow the other servers: %s", error)
            self._failing.add(store.shared.id)

    def _prune(self) -> None:
        with self._lock:
            stores = list(self._stores.values())
        for store in stores:
            with self._database.transaction() as connection:
                store.shared.prune(connection, KEPT_DAYS)

    def _finished(self) -> bool:
        with self._lock:
            if not self._stores and not self._cold:
                self._thread = None
            return self._thread is None
