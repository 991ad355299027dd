"""The manifest of a backup: `manifest.json` beside its database says what it is a copy of, and is authenticated.

It holds the SHA-256 of the database and a MAC under a key that is derived from the tenant's data key. A file that is
not what its manifest says is left as it is, and never signed again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from index.storage.crypto import derive_key
from index.storage.durable_files import replace_file
from index.storage.regular_files import open_regular, read_regular
from index.types.backup import Backup
from index.types.collection import CollectionSpec
from index.types.errors import SnapshotDamaged

FORMAT = 2
_FORMATS = (1, FORMAT)  # 1 knows no revisions, and not whose the snapshot is
_FILE = re.compile(r"records(-\d{1,9})?\.db")
# What extensions keep is the collection's as it is when something is restored, not as it was.
_SPEC = ("name", "encoder_id", "encoder_fingerprint", "dimension", "description", "learning")


def check_files(path: Path, key: bytes) -> tuple[Backup, Path]:
    """A snapshot in a directory and its database, every byte of which is as it was written under the tenant's data key.
    Raises SnapshotDamaged."""
    snapshot, digest = read_manifest(path, key)
    check_digest(path, snapshot.file, digest)
    return snapshot, path / snapshot.file


def check_digest(path: Path, file: str, digest: str) -> None:
    """Raises SnapshotDamaged unless a snapshot's database is what its manifest says."""
    try:
        found = file_digest(path / file)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SnapshotDamaged(f"{path.name}: {error.strerror}: {file}") from error
    if found != digest:
        raise SnapshotDamaged(f"{path.name}: {file} is not the file in the manifest")


def read_manifest(path: Path, key: bytes) -> tuple[Backup, str]:
    """What a snapshot's manifest says, and the SHA-256 of its database. Raises SnapshotDamaged, or OSError where the
    disk refuses to show it, which says nothing of the snapshot."""
    try:
        said = json.loads(read_regular(path / "manifest.json"))
        mac = said.pop("mac")
        if not hmac.compare_digest(mac, manifest_mac(key, said)):
            raise SnapshotDamaged(f"{path.name}: the manifest was changed, or belongs to another key")
        if said.pop("format") not in _FORMATS:
            raise SnapshotDamaged(f"{path.name}: unknown snapshot format")
        digest = said.pop("sha256")
        snapshot = Backup(**{**said, "spec": CollectionSpec(**said["spec"])})
        if not _FILE.fullmatch(snapshot.file):
            raise SnapshotDamaged(f"{path.name}: {snapshot.file[:80]!r} is not a valid database name")
        return snapshot, digest
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotDamaged(f"{path.name}: {error}") from error


def manifest_mac(key: bytes, body: dict[str, Any]) -> str:
    """HMAC-SHA256 over the canonical JSON of a manifest, in hexadecimal."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(derive_key(key, "kept snapshot manifest"), canonical, hashlib.sha256).hexdigest()


def spec_of(snapshot: Backup, name: str) -> CollectionSpec:
    """What a collection made of the snapshot is; it has its name where `name` is empty, and the default policy."""
    return replace(snapshot.spec, name=name or snapshot.spec.name)


def write_manifest(folder: Path, snapshot: Backup, key: bytes) -> None:
    """Writes the manifest of a backup whose database is in the folder. key: the tenant's data key. Raises OSError."""
    details = asdict(snapshot)
    details["spec"] = {name: details["spec"][name] for name in _SPEC}
    body: dict[str, Any] = {"format": FORMAT, "sha256": file_digest(folder / snapshot.file), **details}
    content = json.dumps({**body, "mac": manifest_mac(key, body)}, indent=1).encode()
    replace_file(folder / "manifest.json", content)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
