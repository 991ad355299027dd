"""Opens the record stores of a process, each shared with other servers through PostgreSQL: implements
`RecordStoreFactory`."""

from __future__ import annotations

from index.manifest.location import Location
from index.manifest.transactions import SharedElsewhere
from index.records.extensions.hook import Extensions
from index.records.postgresql.shared_databases import SharedDatabases
from index.records.postgresql.shared_rows import SharedRows
from index.records.postgresql.store import PostgresRecordStore
from index.records.sharing import read_position, shared_id
from index.records.sqlite_stores import SqliteRecordStores
from index.storage.open_files import FreeFiles, none_freed


class PostgresRecordStores(SqliteRecordStores):
    """Any number of threads may call any method at once."""

    def __init__(self, extensions: Extensions, url: str) -> None:
        """url: of the database. Connects to nothing yet."""
        super().__init__(extensions)
        self.sharing = self._shared = SharedDatabases(url)
        self._database, self._follower = self._shared.database, self._shared.follower

    def check(self) -> None:
        """Raises StoreUnavailable or UnsupportedFormat where the database cannot be used."""
        with self._database.transaction():
            pass

    def open(self, site: Location, free_files: FreeFiles = none_freed) -> PostgresRecordStore:
        return PostgresRecordStore(site, self._extensions, self._database, self._follower, free_files)

    def discard(self, site: Location) -> None:
        with self._database.transaction() as connection:
            SharedRows(shared_id(site)).drop(connection, deleted=True)

    def behind(self, site: Location) -> bool:
        with site.opened() as connection:
            position = read_position(connection, shared_id(site))
        with self._database.transaction() as remote:
            state = SharedRows(shared_id(site)).state(remote)
        return state is not None and state.version != position.version

    def has_dead(self, site: Location) -> bool:
        return self.behind(site) or super().has_dead(site)

    def to_database(self, site: Location) -> int:
        """Enters a collection in PostgreSQL, where that does not have it, and compares the two. Returns how many
        records it has. Raises StoreUnavailable, or StoreDamaged where they differ."""
        store = self.open(site)
        try:
            store.compare()
            return store.usage().records
        finally:
            store.close()

    def to_directory(self, site: Location) -> int:
        """Makes the database in the collection's directory the truth again, once it has all that PostgreSQL has, and
        deletes the rows there. Returns how many records it has. Raises as `to_database` does."""
        try:
            local = super().open(site)
        except SharedElsewhere:
            store = self.open(site)
            try:
                store.detach()
            finally:
                store.close()
            local = super().open(site)
        try:
            with self._database.transaction() as connection:
                SharedRows(shared_id(site)).drop(connection, deleted=False)
            return local.usage().records
        finally:
            local.close()

    def close(self) -> None:
        """Closes idle connections."""
        self._shared.close()
