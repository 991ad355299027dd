"""A complete data directory, made in this process by the real parts.

It contains tenants with collections, snapshots, kept snapshots, a source, an audit log, a training set and a model. The
collections have saved searches, feedback, judged pairs, pushed items and copies of pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from index import (
    Collection,
    DataDirectory,
    FeedbackSums,
    ItemPush,
    Judgement,
    KeptPicture,
    PicturePolicy,
    SourceMark,
    TenantDirectory,
    Verdict,
)
from service.audit.logs import AuditLogs
from service.encoder import builtin
from service.encoder.manifest import read_manifest
from service.objects.sealed import SealedObjects, new_object_id
from service.objects.store import ObjectStore
from service.sync.ledgers import Ledgers
from service.sync.source_model import SourceConfig
from service.tenancy.apikeys import Scope
from service.tenancy.masterkey import load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from service.tenancy.stored_keys import NewKey
from service.training.model import Example, OwnModel, State, Training, TrainingRequest
from service.training.store import MODELS_HOME
from service.training.stores import TrainingStores
from tests.support.data.collections import SPEC, record

TENANTS = ("acme", "bolt")
COLLECTIONS = ("hats", "shoes")
RECORDS = {"hats": 5, "shoes": 7}
ALL_RECORDS = {name: count + 2 for name, count in RECORDS.items()}  # with those of `add_companions`
FIRST = {"acme": 100, "bolt": 200}  # the number of a tenant's first record
_SPEC = replace(SPEC, learning=False, feedback=True, picture_policy=PicturePolicy.ENCRYPTED_COPY)


@dataclass(frozen=True)
class Opened:
    """The open parts of a data directory, as in a server."""

    data: DataDirectory
    registry: TenantRegistry
    spaces: TenantSpaces
    ledgers: Ledgers
    audit: AuditLogs
    training: TrainingStores
    objects: SealedObjects

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
        SealedObjects(ObjectStore(data.objects), registry.data_key),
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
            collection = parts.directory(tenant).create(replace(_SPEC, name=name))
            first = FIRST[tenant]
            collection.upsert([record(first + n, f"p{n}", price=n) for n in range(RECORDS[name])])
            collection.saved_searches.create("similar", tenant.encode())
            add_companions(parts, tenant, collection, 0)
            collection.keep_snapshot()
            collection.upsert([record(first, "p0", price=99)])
            collection.keep_snapshot()
            collection.snapshot()
        parts.ledgers.of(uid).add_source(SourceConfig("spring", "shoes", "https://shop.example/feed"))
        for action in ("collection.create", "snapshot.create"):
            parts.audit.add(uid, "operator", action, {"collection": "shoes"})
        parts.training.of(uid).create_set("soles", "")
        add_learnt(parts, tenant, 0)


def add_companions(parts: Opened, tenant: str, collection: Collection, round: int) -> None:
    """Adds a pushed item, a copy of a picture, a judged pair and feedback to a collection."""
    first, number, pictured = FIRST[tenant], FIRST[tenant] + 70 + round, str(FIRST[tenant] + 80 + round)
    pushed = replace(record(number), mark=SourceMark("spring", b"item"))
    collection.sourced.push(ItemPush("spring", f"item-{round}", 5 + round), [pushed])
    object_id = new_object_id()
    collection.pictures.announce(object_id)
    picture = f"{tenant}'s picture {round}".encode()
    parts.objects.put(parts.uid(tenant), collection.pictures.home, object_id, picture)
    kept = KeptPicture(object_id, len(picture))
    collection.upsert([replace(record(int(pictured)), digest=object_id.encode(), kept=kept)])
    collection.judged_pairs.judge([Judgement(str(first), pictured, Verdict.DIFFERENT)])
    collection.feedback.add(FeedbackSums.over(("",), np.full((1, 1), float(number)), np.ones((1, 1))))


def add_learnt(parts: Opened, tenant: str, round: int) -> None:
    """Adds an example and a model of its own to a tenant with a training set."""
    uid, store = parts.uid(tenant), parts.training.of(parts.uid(tenant))
    manifest = read_manifest(Path(builtin.__file__).parent).model_copy(update={"id": f"own-{round}"}).model_dump_json()
    home = store.sets()[0].uid
    for kept_in in (home, MODELS_HOME):
        object_id, content = new_object_id(), f"{tenant} learns {kept_in} {round}".encode()
        store.announce(kept_in, object_id)
        parts.objects.put(uid, kept_in, object_id, content)
        if kept_in == home:
            assert store.put_example(home, Example(str(round), "a", object_id, len(content), store.digest(content)))
            continue
        begun = store.create_training(TrainingRequest("soles", "builtin", f"own-{round}"))
        ended = Training(begun.training_id, begun.request, State.PUBLISHED, 1, 1, "", 1, 2)
        assert store.publish(OwnModel(f"own-{round}", "builtin", "soles", manifest, {}, object_id, 1), ended)


def make(root: Path) -> None:
    """Creates a data directory at `root` with its master key beside it, and closes it."""
    with opened(root) as parts:
        fill(parts)


def tree(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative name."""
    files = (p for p in sorted(root.rglob("*")) if stat.S_ISREG(p.lstat().st_mode))
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
