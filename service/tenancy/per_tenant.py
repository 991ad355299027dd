"""Things that a tenant has one of, such as its directory or its audit log: opened on first use, closed together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Generic, Protocol, TypeVar

from index import AfterimageIndexError
from index.storage import DatabaseError

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class PerTenant(Generic[T]):
    """Any number of threads may call any method at once. While one tenant's thing is being opened, other tenants' are
    had at once, and whoever wants the same waits for it."""

    def __init__(self, make: Callable[[str], T]) -> None:
        """`make`: opens the thing of a tenant, by its uid. What it raises is raised by `of`, and the next call tries
        again."""
        self._make = make
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, T] = {}

    def of(self, tenant_uid: str) -> T:
        """The tenant's, opened where it is not yet. Raises what `make` raises."""
        found = self._open.get(tenant_uid)
        if found is not None:
            return found
        with self._lock:
            opening = self._opening.setdefault(tenant_uid, threading.Lock())
        with opening:
            found = self._open.get(tenant_uid)
            return found if found is not None else self.put(tenant_uid, self._make(tenant_uid))

    def put(self, tenant_uid: str, thing: T) -> T:
        """Takes over one that was opened elsewhere; returns it."""
        with self._lock:
            self._open[tenant_uid] = thing
        return thing

    def get(self, tenant_uid: str) -> T | None:
        """The tenant's if it is open. Never waits."""
        return self._open.get(tenant_uid)

    def items(self) -> list[tuple[str, T]]:
        """All that are open, with their tenants' uids."""
        with self._lock:
            return list(self._open.items())

    def take(self, tenant_uids: Collection[str]) -> dict[str, T]:
        """Those of some tenants that are open, for the caller to close: they are not here any more."""
        with self._lock:
            gone = {uid: self._open.pop(uid) for uid in list(self._open) if uid in tenant_uids}
            for uid in gone:
                self._opening.pop(uid, None)
            return gone

    def take_all(self) -> dict[str, T]:
        """All that are open, for the caller to close."""
        return self.take({uid for uid, _ in self.items()})


class NotesProgress(Protocol):
    """What notes in its tenant's manifest how far it has come."""

    def note_progress(self) -> None:
        """Notes it. Raises AfterimageIndexError or DatabaseError."""


def note_progress_of(things: Iterable[tuple[str, NotesProgress]]) -> None:
    """Has each note its progress. Failures are logged; the notes of before hold."""
    for _, thing in things:
        try:
            thing.note_progress()
        except (AfterimageIndexError, DatabaseError) as error:
            _LOG.warning("could not update a manifest: %s", error)
