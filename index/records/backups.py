"""Snapshots that people ask for: a copy of a collection's database that stays until it is deleted.

`kept-<id>` in the collection's directory holds `records.db`, under the tenant's key like the original, and
`manifest.json`: what it is a copy of, the SHA-256 of the file, and a MAC. The tenant's key is not in it: where that is
destroyed the copy cannot be read any more, wherever it went. Records that are deleted later are deleted here too: a
restore brings back what was changed or damaged, never what somebody asked to be erased. For that a new file is written
beside the old one, `records-<revision>.db`; then the manifest names it, in one step, and then the old one is removed.
A file that is not what its manifest says is left as it is, and never signed again.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from index.manifest.location import Location
from index.manifest.manifest import State, Thing, salt_of
from index.records.backup_manifest import check_digest, check_files, read_manifest, write_manifest
from index.records.backup_rows import delete_rows, has_excess, has_rows, narrow
from index.records.extensions.hook import Extensions
from index.records.queries import read_sequence, read_usage
from index.storage.durable_files import remove_tree, replace_directory, sync_directory
from index.storage.sqlite import Connection, DatabaseError, backup, checkpoint, connect, integrity_problems
from index.storage.steps import step
from index.types.backup import Backup
from index.types.collection import CollectionSpec
from index.types.errors import (
    DataFault,
    SnapshotDamaged,
    SnapshotNotFound,
    StoreDamaged,
    WrongKey,
)

_LOG = logging.getLogger(__name__)
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


class Backups:
    """Implements `index.contract.BackupSet`, for a collection or for one that is gone."""

    def __init__(self, place: Location, extensions: Extensions) -> None:
        self._extensions = extensions
        self._layout, self._key, self._home = place.layout, place.key, place.home
        self._store_key, self._spec, self._region = place.store_key, place.spec, place.region
        self._manifest = place.listing.manifest

    def create(self, source: Connection) -> Backup:
        """Copies what `source`, a connection to the collection's database, sees at this moment. Raises OSError."""
        now = time.time()
        snapshot_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{secrets.token_hex(4)}"
        path = self._layout.kept(snapshot_id)
        self._manifest.put(Thing(self._name(path), State.CREATING))
        with replace_directory(path) as folder:
            copy = backup(source, folder / "records.db", self._store_key)
            try:
                sequence, usage = read_sequence(copy), read_usage(copy)
            finally:
                copy.close()
            made = Backup(
                snapshot_id, int(now * 1000), sequence, usage.records, (folder / "records.db").stat().st_size,
                self._spec, self._region, self._home,
            )  # fmt: skip
            write_manifest(folder, made, self._key)
        self._manifest.later(Thing(self._name(path), State.PRESENT, salt_of(path / made.file)))
        return made

    def list(self) -> builtins.list[Backup]:
        """The newest first; those whose manifest does not stand its check are left out (`problems` tells of them)."""
        found = []
        for path in self._layout.kept_snapshots():
            try:
                found.append(read_manifest(path, self._key)[0])
            except SnapshotDamaged:
                continue
        return sorted(found, key=lambda s: s.snapshot_id, reverse=True)

    def ids(self) -> builtins.list[str]:
        """Of all that are there, damaged or not."""
        return [p.name.removeprefix("kept-") for p in self._layout.kept_snapshots()]

    def checked(self, snapshot_id: str) -> tuple[Backup, Path]:
        """A snapshot and its database, every byte of which is as it was written. Raises SnapshotNotFound or
        SnapshotDamaged."""
        path = self._path(snapshot_id)
        snapshot, database = check_files(path, self._key)
        self._check_listed(path, snapshot)
        return snapshot, database

    def _check_listed(self, path: Path, snapshot: Backup) -> None:
        """Raises SnapshotDamaged where the snapshot is not the one that the tenant's manifest lists here."""
        thing = self._manifest.thing(self._name(path))
        if snapshot.home and snapshot.home != self._home:
            raise SnapshotDamaged(f"{path.name}: it belongs to another collection")
        if thing is None or path.name != f"kept-{snapshot.snapshot_id}":
            raise SnapshotDamaged(f"{path.name}: the tenant's manifest does not list it here")
        if snapshot.revision < thing.number:
            raise SnapshotDamaged(f"{path.name}: it is an older copy, from before an erasure")
        if snapshot.revision == thing.number and thing.salt and salt_of(path / snapshot.file) != thing.salt:
            raise SnapshotDamaged(f"{path.name}: {snapshot.file} is another file than the tenant's manifest lists")

    def files(self) -> builtins.list[Path]:
        """Of all snapshots whose manifest can be read."""
        found = []
        for path in self._layout.kept_snapshots():
            with contextlib.suppress(SnapshotDamaged):
                found.append(path / read_manifest(path, self._key)[0].file)
        return found

    def problems(self, snapshot_id: str) -> Iterator[str]:
        """What is wrong with a snapshot, a line each. Raises SnapshotNotFound."""
        path = self._path(snapshot_id)
        try:
            snapshot, database = self.checked(snapshot_id)
        except SnapshotDamaged as error:
            yield str(error)
            return
        connection = connect(database, self._store_key)
        try:
            yield from (f"{path.name}: {line}" for line in integrity_problems(connection))
            if read_usage(connection).records != snapshot.records:
                yield f"{path.name}: the number of records differs from the manifest"
        finally:
            connection.close()

    def delete(self, snapshot_id: str) -> None:
        """Deletes a snapshot for good. Raises SnapshotNotFound."""
        path = self._path(snapshot_id)
        self._manifest.put(Thing(self._name(path), State.DELETING))
        remove_tree(path)
        self._manifest.drop_later(self._name(path))

    def missing(self) -> builtins.list[str]:
        """Ids of snapshots that are listed and not there."""
        prefix = f"{self._home}/kept-"
        ids = (name.removeprefix(prefix) for name in self._manifest.things() if name.startswith(prefix))
        return [i for i in ids if not self._layout.kept(i).is_dir()]

    def erase(self, row_ids: Sequence[int]) -> builtins.list[str]:
        """Deletes records from every snapshot, for they were deleted from the collection. Returns ids of snapshots that
        are damaged: they stay as they are, and are not restored any more."""
        if not row_ids:
            return []
        return self._change(lambda c: has_rows(c, row_ids), lambda c: delete_rows(c, row_ids, self._extensions))

    def narrow(self, spec: CollectionSpec) -> builtins.list[str]:
        """Drops from every snapshot what the collection may no longer keep. Returns as `erase` does."""
        extensions = self._extensions
        return self._change(lambda c: has_excess(c, extensions), lambda c: narrow(c, spec, extensions))

    def tidy(self) -> None:
        """Removes what a change that was cut off left: files that a snapshot's manifest does not name any more."""
        for path in self._layout.kept_snapshots():
            if len([*path.glob("records*.db")]) > 1:
                with contextlib.suppress(SnapshotDamaged):
                    snapshot, _ = check_files(path, self._key)
                    _remove_others(path, snapshot.file)

    def _change(
        self, concerned: Callable[[Connection], bool], change: Callable[[Connection], None]
    ) -> builtins.list[str]:
        damaged = []
        for path in self._layout.kept_snapshots():
            try:
                self._change_one(path, concerned, change)
            except (SnapshotDamaged, StoreDamaged, DataFault, WrongKey) as error:
                _LOG.warning("could not erase from a kept snapshot; it can no longer be restored: %s", error)
                damaged.append(path.name.removeprefix("kept-"))
                thing = self._manifest.thing(self._name(path))
                if thing is not None:  # a copy of it from before, were it put back, is not restored either
                    self._manifest.put(replace(thing, number=thing.number + 1, salt=b""))
        return damaged

    def _change_one(
        self, path: Path, concerned: Callable[[Connection], bool], change: Callable[[Connection], None]
    ) -> None:
        before, digest = read_manifest(path, self._key)
        with contextlib.closing(connect(path / before.file, self._store_key, create=False)) as connection:
            try:
                if not concerned(connection):
                    return
            except DatabaseError:
                check_digest(path, before.file, digest)
                raise
            self._check_listed(path, before)
            check_digest(path, before.file, digest)
            revision = before.revision + 1
            file = path / f"records-{revision}.db"
            _remove_database(file)
            with contextlib.closing(backup(connection, file, self._store_key)) as copy:
                change(copy)
                checkpoint(copy)
                usage = read_usage(copy)
        sync_directory(path)
        size = file.stat().st_size
        after = replace(before, records=usage.records, bytes=size, revision=revision, file=file.name, home=self._home)
        write_manifest(path, after, self._key)
        self._manifest.later(Thing(self._name(path), State.PRESENT, salt_of(file), revision))
        _remove_others(path, file.name)

    def _name(self, path: Path) -> str:
        """Of a snapshot in the tenant's manifest."""
        return f"{self._home}/{path.name}"

    def _path(self, snapshot_id: str) -> Path:
        path = self._layout.kept(snapshot_id)
        if not _ID.fullmatch(snapshot_id) or not path.is_dir():
            raise SnapshotNotFound(f"no snapshot {snapshot_id[:80]!r}")
        return path


def _remove_others(path: Path, file: str) -> None:
    """Removes the databases of a snapshot that its manifest does not name."""
    step(f"before earlier databases of {path.name} are removed")
    for other in path.glob("records*.db"):
        if other.name != file:
            _remove_database(other)
    sync_directory(path)
    step(f"earlier databases of {path.name} are removed")


def _remove_database(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
