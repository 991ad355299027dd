"""Damages a data directory, and compares its tenants' data with the expected content."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from index import AfterimageIndexError, DataFault, SnapshotDamaged, WrongKey
from service.sync.source_model import SourceConfig
from service.tenancy.apikeys import Scope
from service.tenancy.masterkey import load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from tests.support.data.collections import record
from tests.support.data.data_directory import COLLECTIONS, FIRST, Opened, key_file, make, opened, tree


def make_whole(folder: Path) -> Path:
    """A folder with a data directory, `data`, and its state before the last changes, `older`."""
    make(folder / "data")
    shutil.copytree(folder / "data", folder / "older")
    with opened(folder / "data") as parts:
        for tenant in FIRST:
            uid = parts.uid(tenant)
            parts.registry.api_keys.create(uid, NewKey(frozenset({Scope.SEARCH})))
            for name in COLLECTIONS:
                collection = parts.directory(tenant).collection(name)
                collection.upsert([record(FIRST[tenant] + 50)])
                collection.delete([str(FIRST[tenant] + 1)])
                collection.snapshot()
            parts.directory(tenant).change("hats", description="for heads")
            parts.ledgers.of(uid).add_source(SourceConfig("autumn", "hats", "https://shop.example/other"))
            parts.audit.add(uid, "operator", "collection.change", {"collection": "hats"})
            parts.training.of(uid).create_set("brims", "")
    return folder


def copied(whole: Path, target: Path) -> Path:
    """A separate copy of a data directory to damage."""
    shutil.copytree(whole / "data", target / "data")
    shutil.copy(key_file(whole / "data"), key_file(target / "data"))
    return target / "data"


def told(parts: Opened, tenant: str) -> object:
    """All visible data of a tenant."""
    uid, directory = parts.uid(tenant), parts.directory(tenant)
    collections = {}
    for name in directory.names():
        collection = directory.collection(name)
        found = {r.record_id: dict(r.attributes) for r in collection.list(0, 100)}
        kept = [
            (s.snapshot_id, s.records, collection.kept.checked(s.snapshot_id)[0] == s) for s in collection.kept.list()
        ]
        collections[name] = (collection.spec.description, found, collection.count(), kept)
        assert not collection.kept.missing(), f"kept snapshots are missing: {collection.kept.missing()}"
        problems = [p for p in collection.problems() if not p.startswith("damaged-")]
        if problems:
            raise SnapshotDamaged("; ".join(problems))
    sources = [s.config.name for s in parts.ledgers.of(uid).sources()]
    entries = [(e.number, e.action) for e, _ in parts.audit.of(uid).entries()]
    return collections, sources, entries, [s.name for s in parts.training.of(uid).sets()]


def asked(root: Path, tenants: Sequence[str] = tuple(FIRST)) -> dict[str, object]:
    """The visible data of each tenant, or the reason why there is none."""
    try:
        with opened(root) as parts:
            answers: dict[str, object] = {}
            for tenant in tenants:
                try:
                    answers[tenant] = told(parts, tenant)
                except (AfterimageIndexError, AssertionError) as error:
                    answers[tenant] = error
            return answers
    except (DataFault, WrongKey) as error:
        return dict.fromkeys(tenants, error)


@functools.cache
def asked_once(whole: Path) -> dict[str, object]:
    """The data of the intact directory."""
    answers = asked(copied(whole, whole / "sound"))
    assert not any(isinstance(answer, Exception) for answer in answers.values()), answers
    return answers


@functools.cache
def uids(whole: Path) -> dict[str, str]:
    """Uids of the tenants, by name."""
    key = load_master_key(key_file(whole / "data"), None, create=False)
    with closing(TenantRegistry(whole / "data" / "registry.db", key)) as registry:
        return {t.name: t.uid for t in registry.tenants()}


def wrongs(whole: Path, root: Path, unharmed: dict[str, str]) -> list[str]:
    """Checks a damaged directory. Returns a line for each fault. `unharmed`: `tree` before the damage."""
    before = tree(root)
    touched = {name for name in before.keys() | unharmed.keys() if before.get(name) != unharmed.get(name)}
    harmed = {Path(name).parts[1] for name in touched if name.startswith("tenants/")}
    asking = [t for t, uid in uids(whole).items() if not harmed or uid in harmed]
    try:
        answers = asked(root, asking)
    except Exception as error:  # a kind that nobody expects is wrong by itself
        return [f"{type(error).__module__}.{type(error).__name__} is raised: {error}"]
    found = [line for t, answer in answers.items() for line in _wrong(whole, t, answer, touched)]
    return [*found, *_removed(before, tree(root))]


def _wrong(whole: Path, tenant: str, answer: object, touched: set[str]) -> list[str]:
    expected = asked_once(whole)[tenant]
    if answer == expected:
        return []
    if not isinstance(answer, Exception):
        return [f"{tenant} answers {answer}, {expected} is right"]
    names = {part for name in touched for part in Path(name).parts[2:]} | {Path(name).name for name in touched}
    names |= {name.removeprefix("kept-") for name in names}  # a snapshot is named by its id, too
    return [] if any(name in str(answer) for name in names) else [f"{tenant}: {answer!r} names none of {names}"]


def _removed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Databases change when they are opened, so that only their names must remain; of other files the content."""
    contents = set(after.values())
    gone = []
    for name, digest in before.items():
        if name.endswith(".db"):
            if not any(n.endswith(Path(name).name) for n in after):
                gone.append(f"{name} was removed")
        elif not name.endswith(("-wal", "-shm")) and digest not in contents:
            gone.append(f"{name} was removed")
    return gone
