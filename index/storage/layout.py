"""The one place that makes and parses the names of files in a data directory.

DATA/
  LOCK                                    held by the process that owns the directory
  NODE                                    random name of the server that owns the directory
  REGION                                  where the server says that its data lies
  registry.db                             tenants and API keys (encrypted)
  objects/<tenant>/<home>/<object>        what a tenant wants kept, sealed, unless a bucket is set
  redis/                                  files of the embedded Redis
  processes/                              socket of the process that writes, where there are several
  tenants/<tenant>/manifest.db            what must be in the directory (encrypted)
  tenants/<tenant>/collections.db         which collections a tenant has (encrypted)
  tenants/<tenant>/sync.db                sources of catalogues and their runs (encrypted)
  tenants/<tenant>/audit.db               what was done with the tenant (encrypted)
  tenants/<tenant>/training.db            training sets, trainings and models of its own (encrypted)
  tenants/<tenant>/staging/<run>.db       the items of a run while it applies them (encrypted)
  tenants/<tenant>/retained/<home>/kept-<id>/ copies that somebody asked for, of collections that are gone
  tenants/<tenant>/set-aside/             what was found and not listed, or could not be read
  tenants/<tenant>/<collection>/records.db    the truth (encrypted)
  tenants/<tenant>/<collection>/snapshot-<sequence>/    derived: what is in memory
  tenants/<tenant>/<collection>/kept-<id>/              a copy that somebody asked for: manifest.json, records.db
  tenants/<tenant>/<collection>/damaged-<sequence>/     a snapshot that failed its checks
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

_SNAPSHOT = re.compile(r"snapshot-(\d{20})")
_UID = re.compile(r"[0-9a-f]{32}")
TEMPORARY_PREFIX = ".writing-"


def new_uid() -> str:
    """A random directory name: 128 bits in hexadecimal, which tells nothing of what it names."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class DataDirectory:
    """Names below the data directory."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "LOCK"

    @property
    def node(self) -> Path:
        return self.root / "NODE"

    @property
    def region(self) -> Path:
        return self.root / "REGION"

    @property
    def registry(self) -> Path:
        return self.root / "registry.db"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def tenants(self) -> Path:
        return self.root / "tenants"

    def tenant(self, uid: str) -> TenantLayout:
        return TenantLayout(self.tenants / uid)


@dataclass(frozen=True)
class TenantLayout:
    """Names below a tenant's directory."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.db"

    @property
    def collections(self) -> Path:
        return self.root / "collections.db"

    @property
    def retained(self) -> Path:
        """Kept snapshots of collections that are gone, below the home of each."""
        return self.root / "retained"

    @property
    def set_aside(self) -> Path:
        return self.root / "set-aside"

    @property
    def sync(self) -> Path:
        return self.root / "sync.db"

    @property
    def audit(self) -> Path:
        return self.root / "audit.db"

    @property
    def training(self) -> Path:
        return self.root / "training.db"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    def collection(self, uid: str) -> CollectionLayout:
        return CollectionLayout(self.root / uid)

    def collection_uids(self) -> list[str]:
        """Uids of the collection directories on disk, whether or not `collections.db` knows them."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and _UID.fullmatch(p.name))


@dataclass(frozen=True)
class CollectionLayout:
    """Names below a collection's directory."""

    root: Path

    @property
    def records(self) -> Path:
        return self.root / "records.db"

    @property
    def write_ahead_log(self) -> Path:
        """SQLite's; it is gone once the database was closed."""
        return self.root / "records.db-wal"

    def snapshot(self, sequence: int) -> Path:
        return self.root / f"snapshot-{sequence:020d}"

    def damaged(self, snapshot: Path) -> Path:
        return snapshot.with_name(snapshot.name.replace("snapshot-", "damaged-"))

    def snapshots(self) -> list[tuple[int, Path]]:
        """Finished snapshots as (sequence, path), the newest first."""
        found = []
        for path in self.root.iterdir():
            match = _SNAPSHOT.fullmatch(path.name)
            if match and path.is_dir():
                found.append((int(match[1]), path))
        return sorted(found, reverse=True)

    def kept(self, snapshot_id: str) -> Path:
        """A snapshot that somebody asked for."""
        return self.root / f"kept-{snapshot_id}"

    def kept_snapshots(self) -> list[Path]:
        """Directories of snapshots that somebody asked for."""
        if not self.root.is_dir():
            return []
        return sorted(p for p in self.root.iterdir() if p.name.startswith("kept-") and p.is_dir())

    def leftovers(self) -> list[Path]:
        """Snapshots that were being written when the process ended."""
        return [p for p in self.root.iterdir() if p.name.startswith(TEMPORARY_PREFIX)]
