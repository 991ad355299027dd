"""A tenant's directory: which collections there are, and opening them on first use.

`collections.db`, encrypted with the tenant's key, says which collections exist. A directory that it does not list is
reported and left as it is: nothing is removed that no call asked for.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from index.attributes import check_id
from index.collection import Collection
from index.crypto import derive_key
from index.errors import CollectionExists, CollectionNotFound, DataFault, InvalidInput
from index.hot import HotCollections
from index.kept import check_files, copy_database, move_kept, spec_of
from index.layout import TenantLayout, new_uid
from index.model import CollectionSpec, PicturePolicy
from index.pictures import Copies, Dropped, read_copies
from index.place import Place
from index.quota import Allowance, Usage
from index.roster import Entry, Roster
from index.sqlite import opened
from index.synced import make_directory

MAX_DIMENSION = 8192
MAX_DESCRIPTION_BYTES = 1024
_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class TenantDirectory:
    """The collections of one tenant. Any number of threads may call any method at once. Holds no file open itself."""

    def __init__(self, layout: TenantLayout, key: bytes, shelf: HotCollections | None = None, region: str = "") -> None:
        """Opens, or makes, the tenant's directory. `key` is the tenant's data key, 32 bytes; `shelf`: what keeps the
        collections of a process within their memory; `region`: where the tenant's data must lie. Raises WrongKey or
        DataFault."""
        self._layout, self._key, self._shelf, self._region = layout, key, shelf or HotCollections(), region
        self.allowance = Allowance(self._measure)
        self._lock = threading.RLock()
        make_directory(layout.root)
        _check_list(layout)
        self._roster = Roster(layout.collections, key)
        entries = self._roster.entries()
        self._uids = {e.spec.name: e.uid for e in entries}
        self._collections = {e.spec.name: self._collection_of(e) for e in entries}
        self._report_unlisted()

    def create(self, spec: CollectionSpec) -> Collection:
        """Makes a collection. Raises InvalidInput, CollectionExists or QuotaExceeded."""
        check_spec(spec)
        with self._lock:
            if spec.name in self._collections:
                raise CollectionExists(f"collection {spec.name!r} exists")
            self.allowance.check_collections(len(self._collections) + 1)
            uid = new_uid()
            layout = self._layout.collection(uid)
            make_directory(layout.root)
            return self._adopt(uid, spec)

    def collection(self, name: str) -> Collection:
        """A collection. Raises CollectionNotFound."""
        found = self._collections.get(name)
        if found is None:
            raise CollectionNotFound(f"no collection {name!r}")
        return found

    @property
    def collection_count(self) -> int:
        """How many collections there are."""
        return len(self._collections)

    def names(self, after: str = "", limit: int = 1000) -> list[str]:
        """Names higher than `after`, in order, at most `limit`."""
        return sorted(name for name in list(self._collections) if name > after)[:limit]

    def set_policy(self, name: str, policy: PicturePolicy) -> tuple[Collection, Dropped]:
        """Changes what is kept of pictures; what the new policy does not allow is dropped, and the copies in object
        storage become nobody's. Raises CollectionNotFound."""
        with self._lock:
            collection = self.collection(name)
            dropped = collection.pictures.apply(policy)
            if policy is not collection.spec.picture_policy:
                version = collection.spec.policy_version + 1
                spec = replace(collection.spec, picture_policy=policy, policy_version=version)
                self._roster.change(spec)
                collection.take_over(spec)
            return collection, dropped

    def deserted(self) -> list[str]:
        """Homes of copies in object storage whose collections are gone: all that lies there is to be deleted."""
        return sorted(self._roster.deserted)

    def forget_deserted(self, home: str) -> None:
        """Drops the note of a home that is empty now."""
        self._roster.forget_deserted(home)

    def change(
        self, name: str, *, description: str | None = None, learning: bool | None = None, partial: bool | None = None
    ) -> Collection:
        """Changes a collection's description, whether it learns, and whether pictures that are cut short are used.
        Raises InvalidInput or CollectionNotFound."""
        if description is not None:
            _check_description(description)
        with self._lock:
            collection = self.collection(name)
            before = collection.spec
            spec = replace(
                before,
                description=before.description if description is None else description,
                learning=before.learning if learning is None else learning,
                partial=before.partial if partial is None else partial,
            )
            self._roster.change(spec)
            collection.take_over(spec)
            return collection

    def delete(self, name: str) -> None:
        """Deletes a collection and all its files, for good. Raises CollectionNotFound."""
        with self._lock:
            collection = self.collection(name)
            self._roster.remove(name, collection.pictures.home if collection.spec.may_have_copies else "")
            del self._collections[name]
            uid = self._uids.pop(name)
            collection.abandon()
            shutil.rmtree(self._layout.collection(uid).root)
            self.allowance.forget()

    def restore(self, name: str, snapshot_id: str, target: str, *, replacing: bool = False) -> Collection:
        """Makes the collection `target` of a snapshot of collection `name`, under the policy for pictures that that has
        now. With `replacing` it takes the place of the collection of that name, whose snapshots it takes over, and
        whose copies of pictures where it is `name` itself; else it has none.

        Raises CollectionNotFound, SnapshotNotFound, SnapshotDamaged, CollectionExists, InvalidInput or OSError.
        """
        source = self.collection(name)
        snapshot, database = source.kept.checked(snapshot_id)
        source.clear_kept()
        spec = replace(
            spec_of(snapshot, target), picture_policy=source.spec.picture_policy,
            policy_version=source.spec.policy_version, partial=source.spec.partial,
        )  # fmt: skip
        return self.adopt_copy(database, spec, replacing=replacing)

    def adopt_snapshot(self, folder: Path, key: bytes, target: str) -> Collection:
        """Makes a collection of a snapshot that is of another tenant, or from another machine: `key` is that tenant's
        data key. Raises as `restore` does."""
        snapshot, database = check_files(folder, key)
        return self.adopt_copy(database, spec_of(snapshot, target), key=key)

    def adopt_copy(
        self, database: Path, spec: CollectionSpec, *, key: bytes | None = None, replacing: bool = False
    ) -> Collection:
        """Makes a collection of a copy of a database. key: the data key of the tenant that the copy is of; None: this
        tenant's. Raises CollectionExists, QuotaExceeded, InvalidInput, WrongKey or OSError."""
        check_spec(spec)
        with self._lock:
            if spec.name in self._collections and not replacing:
                raise CollectionExists(f"collection {spec.name!r} exists")
            self.allowance.check_collections(len(self._collections.keys() | {spec.name}))
            uid = new_uid()
            layout = self._layout.collection(uid)
            make_directory(layout.root)
            copy_database(database, key or self._key, layout.records, self._key)
            old = self._collections.pop(spec.name, None)
            made = self._adopt(uid, spec, replaced=old, copied=True)
            self.allowance.forget()
            return made

    def exchange(self, one: str, other: str) -> None:
        """Gives each of two collections the name of the other, in one step. Raises CollectionNotFound or
        InvalidInput."""
        if one == other:
            raise InvalidInput("other", "a collection cannot be exchanged with itself")
        with self._lock:
            first, second = self.collection(one), self.collection(other)
            uids = self._uids[one], self._uids[other]
            self._roster.rename([(uids[1], one), (uids[0], other)])
            self._uids[one], self._uids[other] = uids[1], uids[0]
            self._collections = {**self._collections, one: second, other: first}
            first.take_over(replace(first.spec, name=other))
            second.take_over(replace(second.spec, name=one))

    def unsettled(self) -> list[Collection]:
        """Collections that a crash left open: rows that died may still be in their files."""
        logs = {name: self._layout.collection(uid).write_ahead_log for name, uid in list(self._uids.items())}
        return [self._collections[n] for n, log in logs.items() if log.exists() and log.stat().st_size]

    def every(self) -> list[Collection]:
        """All collections."""
        return list(self._collections.values())

    def hot(self) -> list[Collection]:
        """The collections that are in memory now."""
        return [c for c in list(self._collections.values()) if c.hot.loaded is not None]

    def close(self) -> None:
        """Closes all collections, each with a snapshot where it changed."""
        with self._lock:
            for collection in self._collections.values():
                collection.close()

    def abandon(self) -> None:
        """Closes without snapshots, for a tenant whose files are about to be deleted."""
        with self._lock:
            for collection in self._collections.values():
                collection.abandon()

    def _adopt(
        self, uid: str, spec: CollectionSpec, replaced: Collection | None = None, *, copied: bool = False
    ) -> Collection:
        """Enters a collection whose directory is there, in the place of another. The caller holds the lock."""
        before = self._uids.get(spec.name)
        entry = Entry(uid, replaced.pictures.home if replaced is not None else uid, spec)
        collection = self._collection_of(entry)
        with collection.hot:  # makes its database
            pass
        if replaced is not None:
            replaced.abandon()
        if copied or spec.picture_policy is not PicturePolicy.DISCARD:
            collection.pictures.apply(spec.picture_policy)
        if copied:
            collection.pictures.settle(self._copies(before, replaced))
        self._roster.enter(entry)
        self._uids[spec.name], self._collections[spec.name] = uid, collection
        if replaced is not None and before is not None:
            move_kept(self._layout.collection(before), self._layout.collection(uid))
            shutil.rmtree(self._layout.collection(before).root)
        return collection

    def _copies(self, uid: str | None, replaced: Collection | None) -> Copies:
        """The copies of pictures of a collection that is closed."""
        if uid is None or replaced is None or not replaced.spec.may_have_copies:
            return Copies()
        with opened(self._layout.collection(uid).records, derive_key(self._key, "collection store")) as connection:
            return read_copies(connection)

    def _collection_of(self, entry: Entry) -> Collection:
        layout, owner = self._layout.collection(entry.uid), self._layout.root.name
        place = Place(layout, self._key, entry.spec, self.allowance, entry.home, owner, self._region)
        return Collection(place, self._shelf)

    def _measure(self) -> Usage:
        used = Usage()
        for collection in list(self._collections.values()):
            used = used.plus(collection.usage())
        return used

    def _report_unlisted(self) -> None:
        known = set(self._uids.values())
        for uid in self._layout.collection_uids():
            if uid not in known:
                _LOG.warning("directory %s is not listed in collections.db; it is left as it is", uid)


def _check_list(layout: TenantLayout) -> None:
    """Raises DataFault where the list of collections is gone although there are collections."""
    there = layout.collections.exists() and layout.collections.stat().st_size > 0
    if not there and layout.collection_uids():
        raise DataFault(f"{layout.collections} is missing or empty, although there are collections; restore the file")


def check_spec(spec: CollectionSpec) -> None:
    """Raises InvalidInput unless a collection may be like this."""
    if not _NAME.fullmatch(spec.name):
        raise InvalidInput("collection.name", f"{spec.name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
    if not 1 <= spec.dimension <= MAX_DIMENSION:
        raise InvalidInput("dimension", f"dimension {spec.dimension} is not within 1..{MAX_DIMENSION}")
    check_id("encoder_id", spec.encoder_id)
    _check_description(spec.description)


def _check_description(description: str) -> None:
    if len(description.encode()) > MAX_DESCRIPTION_BYTES:
        raise InvalidInput("collection.description", f"the description is longer than {MAX_DESCRIPTION_BYTES} bytes")
