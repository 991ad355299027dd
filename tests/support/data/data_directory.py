"""A complete data directory, made in this process by the real parts.

It contains tenants with collections, snapshots, kept snapshots, a source, an audit log and a training set.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from index import DataDirectory, TenantDirectory
from service.audit.logs import AuditLogs
from service.sync.ledgers import Ledgers
from service.sync.source_model import SourceConfig
from service.tenancy.apikeys import Scope
from service.tenancy.masterkey import load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from service.tenancy.stored_keys import NewKey
from service.training.stores import TrainingStores
from tests.support.data.collections import SPEC, record

TENANTS = ("acme", "bolt")
COLLECTIONS = ("hats", "shoes")
RECORDS = {"hats": 5, "shoes": 7}
FIRST = {"acme": 100, "bolt": 200}  # the number of a tenant's first record


@dataclass(frozen=True)
class Opened:
    """The open parts of a data directory, as in a server."""

    data: DataDirectory
    registry: TenantRegistry
    spaces: TenantSpaces
    ledgers: Ledgers
    audit: AuditLogs
    training: TrainingStores

    def uid(self, tenant: str) -> str:
        return self.registry.tenant(tenant).uid

    def directory(self, tenant: str) -> TenantDirectory:
        return self.spaces.directory(self.uid(tenant))

    def close(self) -> None:
        for part in (self.spaces, self.ledgers, self.audit, self.training, self.registry):
            part.close()


def key_file(root: Path) -> Path:
    """The path of the master key of a data directory."""
    return root.with_name(root.name + ".master-key")


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Opened]:
    """Opens a data directory as a server does."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = DataDirectory(root)
    registry = TenantRegistry(data.registry, load_master_key(key_file(root), None, create=True))
    parts = Opened(
        data, registry, TenantSpaces(data, registry), Ledgers(data, registry, None, 1 << 20),
        AuditLogs(data, registry), TrainingStores(data, registry),
    )  # fmt: skip
    try:
        yield parts
    finally:
        parts.close()


def fill(parts: Opened) -> None:
    """Creates two tenants, each with two collections, a snapshot and two kept ones of each, and everything else."""
    for tenant in TENANTS:
        uid = parts.registry.create_tenant(tenant).uid
        parts.registry.api_keys.create(uid, NewKey(frozenset(Scope)))
        for name in COLLECTIONS:
            collection = parts.directory(tenant).create(replace(SPEC, name=name, learning=False))
            first = FIRST[tenant]
            collection.upsert([record(first + n, f"p{n}", price=n) for n in range(RECORDS[name])])
            collection.keep_snapshot()
            collection.upsert([record(first, "p0", price=99)])
            collection.keep_snapshot()
            collection.snapshot()
        parts.ledgers.of(uid).add_source(SourceConfig("spring", "shoes", "https://shop.example/feed"))
        for action in ("collection.create", "snapshot.create"):
            parts.audit.add(uid, "operator", action, {"collection": "shoes"})
        parts.training.of(uid).create_set("soles", "")


def make(root: Path) -> None:
    """Creates a data directory at `root` with its master key beside it, and closes it."""
    with opened(root) as parts:
        fill(parts)


def tree(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative name."""
    files = (p for p in sorted(root.rglob("*")) if stat.S_ISREG(p.lstat().st_mode))
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
