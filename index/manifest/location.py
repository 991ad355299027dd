"""Where a collection lies, what opens it, and what the tenant's manifest says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from index.contract import IndexSite
from index.manifest.change_number import check_number
from index.manifest.listed_database import check_salt, opened
from index.manifest.manifest import Manifest, Thing
from index.storage.crypto import derive_key
from index.storage.layout import CollectionLayout
from index.storage.sqlite import Connection, store_errors
from index.types.collection import CollectionSpec
from index.types.errors import DataFault
from index.types.quota import Allowance


@dataclass(frozen=True)
class Listing:
    """What the manifest says of a collection. thing: its database, as it was listed at the start; report: hears of
    what is wrong with it."""

    manifest: Manifest
    thing: Thing
    report: Callable[[DataFault], None]


@dataclass(frozen=True)
class Location:
    """Where a collection lies and what opens it.

    - `key`: the tenant's data key, 32 bytes.
    - `allowance`: what the tenant may store. None: no limit.
    - `home`: where extensions keep files of it outside of the directory, and what its kept snapshots are listed by.
    - `owner`: uid of the tenant.
    - `region`: where its data must lie. Empty: anywhere.
    """

    layout: CollectionLayout
    key: bytes
    spec: CollectionSpec
    listing: Listing
    allowance: Allowance | None = None
    home: str = ""
    owner: str = ""
    region: str = ""

    @property
    def store_key(self) -> bytes:
        """Opens the database."""
        return derive_key(self.key, "collection store")

    @property
    def site(self) -> IndexSite:
        """Where a vector index may keep its files."""
        return IndexSite(self.layout.root, self.key, frozenset(self.listing.thing.details.get("snapshots", ())))

    def open(self) -> Connection:
        """A connection to the database. Raises DataFault where it is missing, another one than is listed, or an older
        copy; StoreDamaged or StoreUnavailable."""
        path, thing = self.layout.records, self.listing.thing
        with self.reporting(), store_errors(path):
            check_salt(path, thing.salt)
            connection = opened(path, self.store_key)
            try:
                check_number(connection, path, thing.number)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        """The same for one use. In place of what SQLite raises inside StoreDamaged or StoreUnavailable is raised."""
        connection = self.open()
        try:
            with store_errors(self.layout.records):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Reports a DataFault within the block to the tenant, which it stops."""
        try:
            yield
        except DataFault as fault:
            self.listing.report(fault)
            raise
