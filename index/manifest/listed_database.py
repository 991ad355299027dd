"""Databases that a manifest lists: opened only where they are the file that is meant, and no older copy of it.

The number of each is raised, and then noted in the manifest, every few seconds and at closing, where something changed:
no commit waits for that. So a copy from before the last note is known by its lower number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from index.manifest.change_number import begin_number, check_number, raise_number
from index.manifest.manifest import Manifest, State, Thing, salt_of
from index.manifest.opening import open_manifest
from index.storage.crypto import derive_key
from index.storage.durable_files import sync_directory
from index.storage.layout import TenantLayout
from index.storage.sqlite import Connection, DatabaseError, check_there, connect, migrate, store_errors
from index.types.errors import DataFault, StoreDamaged, StoreUnavailable, WrongKey


class ListedDatabase:
    """An open database. Its owner sees to it that no two threads use it at once."""

    def __init__(self, connection: Connection, manifest: Manifest, name: str) -> None:
        """`name`: in the manifest."""
        self.connection, self._manifest, self._name = connection, manifest, name
        self._seen = connection.total_changes

    def note(self, *, flush: bool = True, **details: Any) -> None:
        """Notes how far the database has come, where this connection changed something since the last note, and more
        details. flush: at once, else with the manifest's next change. Raises DatabaseError or
        StoreUnavailable."""
        if self.connection.total_changes != self._seen:
            number = raise_number(self.connection)
            self._seen = self.connection.total_changes
            self._manifest.note(self._name, number, **details)
            if flush:
                self._manifest.flush()

    def close(self) -> None:
        """Notes it, and closes the database."""
        try:
            self.note()
        except (DatabaseError, StoreUnavailable, DataFault):
            pass  # the note of before holds
        finally:
            self.connection.close()


def open_listed(path: Path, data_key: bytes, purpose: str, migrations: Sequence[str]) -> ListedDatabase:
    """Opens a database in a tenant's directory, or makes it where it is not listed. purpose: its key is derived for it.

    Raises DataFault where it is not what the manifest lists, UnsupportedFormat or StoreUnavailable.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest = open_manifest(TenantLayout(path.parent), data_key)
    key = derive_key(data_key, purpose)
    return ListedDatabase(
        open_under(manifest, path, key, lambda c: migrate(c, migrations, str(path))), manifest, path.name
    )


def open_under(manifest: Manifest, path: Path, key: bytes, prepare: Callable[[Connection], None]) -> Connection:
    """The same with a manifest that is open. prepare: brings the database to the newest format."""
    thing = manifest.thing(path.name)
    if thing is None and path.exists() and path.stat().st_size:
        raise DataFault(path, "is not listed in manifest.db")
    if thing is None:
        thing = Thing(path.name, State.CREATING)
        manifest.put(thing)
    making = thing.state is State.CREATING
    if not making:
        check_salt(path, thing.salt)
    try:
        connection = opened(path, key, create=making)
        try:
            with store_errors(path):
                prepare(connection)
                check_number(connection, path, thing.number)
                begin_number(connection)
        except BaseException:
            connection.close()
            raise
    except StoreDamaged as error:
        raise DataFault(path, "is damaged") from error
    if making or not thing.salt:
        sync_directory(path.parent)
        manifest.put(Thing(path.name, State.PRESENT, salt_of(path), thing.number, thing.details))
    return connection


def opened(path: Path, key: bytes, *, create: bool = False) -> Connection:
    """A connection to a database of a tenant whose key is known to be right. Raises DataFault, StoreDamaged or
    StoreUnavailable."""
    try:
        return connect(path, key, create=create)
    except WrongKey as error:
        raise DataFault(path, "is damaged, or belongs to another tenant") from error


def check_salt(path: Path, salt: bytes) -> None:
    """Raises DataFault unless the file is there and begins as the manifest says; an empty `salt` says nothing."""
    check_there(path)
    if salt and salt_of(path) != salt:
        raise DataFault(path, "is not the file in the manifest")
