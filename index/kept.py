"""Snapshots that people ask for: a copy of a collection's database that stays until it is deleted.

`kept-<id>` in the collection's directory holds `records.db`, under the tenant's key like the original, and
`manifest.json`: what it is a copy of, the SHA-256 of the file, and a MAC. The tenant's key is not in it: where that is
destroyed the copy cannot be read any more, wherever it went. Records that are deleted later are deleted here too: a
restore brings back what was changed or damaged, never what somebody asked to be erased.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from index.crypto import derive_key
from index.errors import SnapshotDamaged, SnapshotNotFound
from index.layout import CollectionLayout
from index.model import CollectionSpec, PicturePolicy
from index.pictures import Dropped, knows_pictures, write_policy
from index.place import Place
from index.schema import MIGRATIONS
from index.sqlite import Connection, backup, checkpoint, connect, integrity_problems, migrate
from index.store import read_sequence, read_usage
from index.synced import replace_directory, sync_directory, write_synced

FORMAT = 1
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
_BLOCK = 1 << 20
_DELETED_AT_ONCE = 500
# The picture policy is the collection's as it is when something is restored, not as it was.
_SPEC = ("name", "encoder_id", "encoder_fingerprint", "dimension", "description", "learning")


@dataclass(frozen=True)
class KeptSnapshot:
    """A snapshot as its manifest tells. region: where its tenant's data must lie. Times are milliseconds since 1970."""

    snapshot_id: str
    created_ms: int
    sequence: int
    records: int
    bytes: int
    spec: CollectionSpec
    region: str = ""


class KeptSnapshots:
    """Of one collection."""

    def __init__(self, place: Place) -> None:
        self._layout, self._key = place.layout, place.key
        self._store_key, self._spec, self._region = place.store_key, place.spec, place.region

    def create(self, source: Connection) -> KeptSnapshot:
        """Copies what `source`, a connection to the collection's database, sees at this moment. Raises OSError."""
        now = time.time()
        snapshot_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{secrets.token_hex(4)}"
        with replace_directory(self._layout.kept(snapshot_id)) as folder:
            copy = backup(source, folder / "records.db", self._store_key)
            try:
                sequence, usage = read_sequence(copy), read_usage(copy)
            finally:
                copy.close()
            made = KeptSnapshot(
                snapshot_id, int(now * 1000), sequence, usage.records, (folder / "records.db").stat().st_size,
                self._spec, self._region,
            )  # fmt: skip
            self._write_manifest(folder, made)
        return made

    def list(self) -> builtins.list[KeptSnapshot]:
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

    def checked(self, snapshot_id: str) -> tuple[KeptSnapshot, Path]:
        """A snapshot and its database, every byte of which is as it was written. Raises SnapshotNotFound or
        SnapshotDamaged."""
        return check_files(self._path(snapshot_id), self._key)

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
                yield f"{path.name}: the database has another number of records than the manifest"
        finally:
            connection.close()

    def delete(self, snapshot_id: str) -> None:
        """Deletes a snapshot for good. Raises SnapshotNotFound."""
        shutil.rmtree(self._path(snapshot_id))

    def erase(self, row_ids: Sequence[int]) -> None:
        """Deletes records from every snapshot, for they were deleted from the collection."""
        if row_ids:
            self._change(lambda connection: _delete_rows(connection, row_ids))

    def forget_pictures(self, policy: PicturePolicy) -> None:
        """Drops from every snapshot what a policy does not allow to be kept of pictures."""
        self._change(lambda connection: knows_pictures(connection) and _dropped(connection, policy))

    def _change(self, change: Callable[[Connection], bool]) -> None:
        for path in self._layout.kept_snapshots():
            try:
                snapshot, _ = read_manifest(path, self._key)
            except SnapshotDamaged:
                continue
            connection = connect(path / "records.db", self._store_key)
            try:
                changed = change(connection)
                usage = read_usage(connection)
                checkpoint(connection)
            finally:
                connection.close()
            if changed:
                size = (path / "records.db").stat().st_size
                self._write_manifest(path, replace(snapshot, records=usage.records, bytes=size))

    def _path(self, snapshot_id: str) -> Path:
        path = self._layout.kept(snapshot_id)
        if not _ID.fullmatch(snapshot_id) or not path.is_dir():
            raise SnapshotNotFound(f"no snapshot {snapshot_id[:80]!r}")
        return path

    def _write_manifest(self, folder: Path, snapshot: KeptSnapshot) -> None:
        told = asdict(snapshot)
        told["spec"] = {name: told["spec"][name] for name in _SPEC}
        body: dict[str, Any] = {"format": FORMAT, "sha256": _digest(folder / "records.db"), **told}
        content = json.dumps({**body, "mac": manifest_mac(self._key, body)}, indent=1).encode()
        temporary = folder / ".writing-manifest.json"
        write_synced(temporary, content)
        temporary.rename(folder / "manifest.json")


def check_files(path: Path, key: bytes) -> tuple[KeptSnapshot, Path]:
    """A snapshot in a directory and its database, every byte of which is as it was written under the tenant's data key.
    Raises SnapshotDamaged."""
    snapshot, digest = read_manifest(path, key)
    try:
        found = _digest(path / "records.db")
    except OSError as error:
        raise SnapshotDamaged(f"{path.name}: {error.strerror}: records.db") from error
    if found != digest:
        raise SnapshotDamaged(f"{path.name}: records.db is not the file that the manifest speaks of")
    return snapshot, path / "records.db"


def read_manifest(path: Path, key: bytes) -> tuple[KeptSnapshot, str]:
    """What a snapshot's manifest says, and the SHA-256 of its database. Raises SnapshotDamaged."""
    try:
        said = json.loads((path / "manifest.json").read_bytes())
        mac = said.pop("mac")
        if not hmac.compare_digest(mac, manifest_mac(key, said)):
            raise SnapshotDamaged(f"{path.name}: the manifest was changed, or belongs to another key")
        if said.pop("format") != FORMAT:
            raise SnapshotDamaged(f"{path.name}: the snapshot is of a format that this version does not know")
        digest = said.pop("sha256")
        return KeptSnapshot(**{**said, "spec": CollectionSpec(**said["spec"])}), digest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotDamaged(f"{path.name}: {error}") from error


def manifest_mac(key: bytes, body: dict[str, Any]) -> str:
    """HMAC-SHA256 over the canonical JSON of a manifest, in hexadecimal."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(derive_key(key, "kept snapshot manifest"), canonical, hashlib.sha256).hexdigest()


def spec_of(snapshot: KeptSnapshot, name: str) -> CollectionSpec:
    """What a collection made of the snapshot is; it has its name where `name` is empty, and the default policy."""
    return replace(snapshot.spec, name=name or snapshot.spec.name)


def copy_database(source: Path, source_key: bytes, target: Path, target_key: bytes) -> None:
    """Copies a collection's database, under the data key of another tenant where that is another one. The digests of
    pictures and URLs are keyed: under another key they are left out, and each picture is encoded once more when it is
    sent again. Raises WrongKey or OSError."""
    connection = connect(source, derive_key(source_key, "collection store"))
    try:
        key = derive_key(target_key, "collection store")
        if source_key == target_key:
            backup(connection, target, key).close()
        else:
            with contextlib.closing(connect(target, key)) as copy:
                _copy_rows(connection, copy)
                checkpoint(copy)
    finally:
        connection.close()
    sync_directory(target.parent)


def _copy_rows(source: Connection, target: Connection) -> None:
    migrate(source, MIGRATIONS, "the snapshot")
    migrate(target, MIGRATIONS, "the collection database")
    target.execute("BEGIN IMMEDIATE")
    for table in ("meta", "records", "tombstones", "learnt"):  # what sources withdrew or failed at stays where it is
        target.execute(f"DELETE FROM {table}")  # noqa: S608
        rows = source.execute(f"SELECT * FROM {table}")  # noqa: S608
        marks = ",".join("?" * len(rows.description))
        target.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
    target.execute("DELETE FROM meta WHERE name = 'picture_policy'")
    target.execute(
        "UPDATE records SET digest = NULL, url_digest = NULL, etag = NULL, last_modified = NULL, source = NULL,"
        " item_digest = NULL"
    )
    target.execute("COMMIT")


def move_kept(old: CollectionLayout, new: CollectionLayout) -> None:
    """Takes the snapshots of one collection over into the directory of another."""
    for path in old.kept_snapshots():
        path.rename(new.root / path.name)


def _dropped(connection: Connection, policy: PicturePolicy) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    dropped = write_policy(connection, policy)
    connection.execute("DELETE FROM loose_pictures")
    connection.execute("COMMIT")
    return dropped != Dropped()


def _delete_rows(connection: Connection, row_ids: Sequence[int]) -> bool:
    """Deletes rows and corrects the counts; returns whether there were any."""
    before, pictures_too = read_usage(connection).records, knows_pictures(connection)
    connection.execute("BEGIN IMMEDIATE")
    for start in range(0, len(row_ids), _DELETED_AT_ONCE):
        block = row_ids[start : start + _DELETED_AT_ONCE]
        marks = ",".join("?" * len(block))
        connection.execute(f"DELETE FROM records WHERE row_id IN ({marks})", block)  # noqa: S608
        if pictures_too:
            connection.execute(f"DELETE FROM pictures WHERE row_id IN ({marks})", block)  # noqa: S608
    connection.execute("UPDATE meta SET value = (SELECT count(*) FROM records) WHERE name = 'records'")
    connection.execute("COMMIT")
    return before > read_usage(connection).records


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
