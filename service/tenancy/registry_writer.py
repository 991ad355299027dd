"""How `registry.db` is changed: alone, or together with the other servers that have it.

With other servers, changes have a connection of their own: what reads the registry, such as the check of an API key,
waits for no other machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from index import DatabaseSharing, ErasingServers, SharedDatabase, StoreUnavailable, database_id, transactions
from index.storage import Connection, DatabaseLock, checkpoint, connect, file_errors
from service.tenancy.masterkey import MasterKey

_LOG = logging.getLogger(__name__)
_REGISTRY = "registry.db"
_ALIKE = (("secrets", "wrapped"),)
_OWN_COLUMNS = (("tenants", "listed"),)  # the generation of the manifest on this server


class Sharing(NamedTuple):
    """With the other servers. `by`: None: there are none."""

    what: SharedDatabase
    by: DatabaseSharing | None


def shared_by(master_key: MasterKey, sharing: DatabaseSharing | None) -> Sharing:
    """The registry of all servers that have this master key."""
    key = master_key.derive("shared registry")
    what = SharedDatabase(database_id(key, _REGISTRY), key, own_columns=_OWN_COLUMNS, alike=_ALIKE)
    return Sharing(what, sharing)


class RegistryWriter:
    """All methods are thread-safe. `connection`, `lock`: of changes."""

    def __init__(self, path: Path, key: bytes, connection: Connection, lock: DatabaseLock, sharing: Sharing) -> None:
        """`connection`, `lock`: those of reads, which changes use as well if there are no other servers. Raises
        StoreUnavailable."""
        self.connection, self.lock, self._shared = connection, lock, sharing.by is not None
        self._sharing, self._thread = sharing, 0
        if self._shared:
            self.connection, self.lock = connect(path, key), DatabaseLock(path)
        try:
            with file_errors(path):
                self._changes = transactions(sharing.by, sharing.what, self.connection)
                self._open()
        except BaseException:
            if self._shared:
                self.connection.close()
            raise

    def _open(self) -> None:
        try:
            self._changes.open()
        except StoreUnavailable as error:
            if not self._changes.version or not self._shared:
                raise
            _LOG.warning("the registry is opened as this server last saw it: %s", error)

    def writes_here(self) -> bool:
        """Whether this thread is in a transaction."""
        return self._thread == threading.get_ident()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits all changes in the block, or none, on every server. Raises StoreUnavailable."""
        with self.lock, self._changes.changing():
            self._thread = threading.get_ident()
            try:
                yield
            finally:
                self._thread = 0

    def run(self, statement: str, values: Sequence[object]) -> int:
        """Executes a statement in a transaction of this thread. Returns the number of changed rows."""
        return int(self.connection.execute(statement, tuple(values)).rowcount)

    def follow(self) -> bool:
        """Takes over what other servers have changed. Returns whether there was anything. Raises StoreUnavailable."""
        with self.lock:
            found = self._changes.follow()
            if found:
                checkpoint(self.connection)  # a destroyed key leaves the disk
            return found

    def watch(self, follow: Callable[[], None]) -> None:
        """Has `follow` called when another server has changed something, in a thread."""
        if self._sharing.by is not None:
            self._sharing.by.watch(self._sharing.what.id, lambda: self._changes.version, follow)

    def servers(self, name: str) -> ErasingServers | None:
        """The servers that have this registry; None: there are no others. `name`: of this one."""
        return None if self._sharing.by is None else self._sharing.by.servers(self._sharing.what.id, name)

    def detach(self) -> None:
        """Makes this registry the truth, and deletes the shared one. Raises StoreUnavailable or StoreDamaged."""
        with self.lock:
            self._changes.detach()

    def differences(self) -> list[str]:
        """How the registry differs from the shared one, a line each. Raises StoreUnavailable."""
        with self.lock:
            return self._changes.differences()

    def close(self) -> None:
        """Ends following, and closes what reads do not use."""
        if self._sharing.by is not None:
            self._sharing.by.end_watch(self._sharing.what.id)
            with self.lock:
                self.connection.close()
