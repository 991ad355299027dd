"""Every file of a data directory missing, empty, cut short, older, or changed for another: nothing is removed, nothing
wrong is answered, other tenants are served, and the message names the file."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from index import (
    AfterimageIndexError,
    CollectionNotFound,
    DataDirectory,
    DataFault,
    SnapshotDamaged,
    WrongKey,
)
from service.sync.model import SourceConfig
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import NewKey
from service.tenancy.masterkey import load_master_key
from service.tenancy.mending import mend_tenants, registry_mending
from service.tenancy.registry import TenantRegistry
from tests.support.collections import record
from tests.support.data_directory import COLLECTIONS, FIRST, Opened, key_file, make, opened, tree

KINDS = {
    "registry": "registry.db",
    "manifest": "tenants/*/manifest.db",
    "list": "tenants/*/collections.db",
    "sync": "tenants/*/sync.db",
    "audit": "tenants/*/audit.db",
    "training": "tenants/*/training.db",
    "records": "tenants/*/*/records.db",
    "snapshot manifest": "tenants/*/*/snapshot-*/manifest.json",
    "snapshot rows": "tenants/*/*/snapshot-*/rows.enc",
    "snapshot vectors": "tenants/*/*/snapshot-*/vectors-00000.enc",
    "kept manifest": "tenants/*/*/kept-*/manifest.json",
    "kept records": "tenants/*/*/kept-*/records*.db",
}
Damage = Callable[[Path, Path, Path], None]  # of a file, given what older data directory and other file there are


def missing(file: Path, _older: Path, _other: Path) -> None:
    file.unlink()


def empty(file: Path, _older: Path, _other: Path) -> None:
    file.write_bytes(b"")


def cut_short(file: Path, _older: Path, _other: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def older(file: Path, older_one: Path, _other: Path) -> None:
    if older_one.exists():
        shutil.copy(older_one, file)


def swapped(file: Path, _older: Path, other: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


DAMAGES: tuple[Damage, ...] = (missing, empty, cut_short, older, swapped)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data directory, `data`, and as it was before the last changes, `older`."""
    folder = tmp_path_factory.mktemp("whole")
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
    """A data directory of one's own to damage."""
    shutil.copytree(whole / "data", target / "data")
    shutil.copy(key_file(whole / "data"), key_file(target / "data"))
    return target / "data"


def told(parts: Opened, tenant: str) -> object:
    """All that a tenant's data says."""
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


def asked(root: Path) -> dict[str, object]:
    """What each tenant's data says, or why it says nothing."""
    try:
        with opened(root) as parts:
            answers: dict[str, object] = {}
            for tenant in FIRST:
                try:
                    answers[tenant] = told(parts, tenant)
                except (AfterimageIndexError, AssertionError) as error:
                    answers[tenant] = error
            return answers
    except (DataFault, WrongKey) as error:
        return dict.fromkeys(FIRST, error)


def others(file: Path, root: Path, pattern: str) -> Iterator[Path]:
    """Files of the same kind: one of the same tenant, where it has another, and one of the other tenant."""
    same = [p for p in sorted(root.glob(pattern)) if p != file]
    mine = [p for p in same if p.relative_to(root).parts[:2] == file.relative_to(root).parts[:2]]
    yield from itertools.chain(mine[:1], [p for p in same if p not in mine][:1])


def check(whole: Path, folder: Path, kind: str, damage: Damage, file_number: int = 0) -> None:
    """Damages one file in each way that there is, and looks at what becomes of it."""
    expected, tenants = asked_once(whole), uids(whole)
    for number in range(2 if damage is swapped else 1):
        root = copied(whole, folder / f"case-{number}")
        file = sorted(root.glob(KINDS[kind]))[file_number]
        candidates = list(others(file, root, KINDS[kind]))
        if damage is swapped and number >= len(candidates):
            return
        other = candidates[number] if candidates else file
        unharmed = tree(root)
        damage(file, whole / "older" / file.relative_to(root), other)
        before = tree(root)
        touched = {name for name in before.keys() | unharmed.keys() if before.get(name) != unharmed.get(name)}
        answers = asked(root)
        harmed = {Path(name).parts[1] for name in touched if name.startswith("tenants/")}
        for tenant, answer in answers.items():
            if answer == expected[tenant]:
                continue
            assert isinstance(answer, Exception), f"{tenant} answers {answer}, {expected[tenant]} is right"
            names = [Path(name).name for name in touched] + [Path(name).parent.name for name in touched]
            assert any(name in str(answer) for name in names if name), f"{answer} names none of {names}"
            if harmed:
                assert tenants[tenant] in harmed, f"{tenant} is not served because of another's file: {answer}"
        after = tree(root)
        for name, digest in before.items():
            if not name.endswith((".db", "-wal", "-shm")):
                assert digest in after.values(), f"{name} was removed"
            elif name.endswith(".db"):
                assert any(n.endswith(Path(name).name) for n in after), f"{name} was removed"


@functools.cache
def asked_once(whole: Path) -> dict[str, object]:
    """What the sound directory answers."""
    answers = asked(copied(whole, whole / "sound"))
    assert not any(isinstance(answer, Exception) for answer in answers.values()), answers
    return answers


@functools.cache
def uids(whole: Path) -> dict[str, str]:
    """Uids of the tenants, by name."""
    key = load_master_key(key_file(whole / "data"), None, create=False)
    with closing(TenantRegistry(whole / "data" / "registry.db", key)) as registry:
        return {t.name: t.uid for t in registry.tenants()}


# Snapshots are derived: that they are read at all is what the rarer cases would show, and they take twice as long.
RARER = {(kind, damage) for kind in KINDS if "snapshot" in kind or "kept" in kind for damage in (older, swapped, empty)}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        pytest.param(k, d, marks=pytest.mark.long if (k, d) in RARER else (), id=f"{k}-{d.__name__}")
        for k, d in itertools.product(KINDS, DAMAGES)
    ],
)
def test_a_damaged_file_removes_nothing_and_is_named(whole: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    check(whole, tmp_path, kind, damage)


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_of_every_file(whole: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    for number in range(1, len(sorted((whole / "data").glob(KINDS[kind])))):
        check(whole, tmp_path / str(number), kind, damage, number)


MENDED = [(kind, damage) for kind in ("registry", "manifest", "list", "sync", "records") for damage in DAMAGES[:4]]
SHORT = {("registry", missing), ("manifest", empty), ("list", missing), ("records", missing), ("records", older)}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [pytest.param(k, d, marks=() if (k, d) in SHORT else pytest.mark.long, id=f"{k}-{d.__name__}") for k, d in MENDED],
)
def test_what_can_be_mended_is_served_again(whole: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    root = copied(whole, tmp_path)
    file = sorted(root.glob(KINDS[kind]))[0]
    damage(file, whole / "older" / file.relative_to(root), file)
    data, key = DataDirectory(root), load_master_key(key_file(root), None, create=False)
    mending = registry_mending(data, key)
    if mending is not None:
        mending.run()
    with closing(TenantRegistry(data.registry, key)) as registry:
        done = mend_tenants(registry, data)
        assert mend_tenants(registry, data) == []
    assert mending is not None or done, "something was to be mended"
    with opened(root) as parts:
        for tenant in FIRST:
            directory = parts.directory(tenant)
            assert directory.names() == sorted(COLLECTIONS)
            assert all(directory.collection(n).count() > 0 for n in COLLECTIONS)


def test_a_collection_that_nothing_is_left_of_is_given_up_alone(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path)
    file = sorted(root.glob(KINDS["records"]))[0]
    file.unlink()
    for kept in file.parent.glob("kept-*"):
        shutil.rmtree(kept)
    with closing(TenantRegistry(root / "registry.db", load_master_key(key_file(root), None, create=False))) as registry:
        (told_so, *_) = mend_tenants(registry, DataDirectory(root))
        assert "is lost" in told_so[1]
        assert "records, last write" in told_so[1]
    with opened(root) as parts:
        assert sorted(len(parts.directory(t).names()) for t in FIRST) == [1, 2]


def test_a_name_that_is_gone_is_not_found(whole: Path, tmp_path: Path) -> None:
    with opened(copied(whole, tmp_path)) as parts, pytest.raises(CollectionNotFound):
        parts.directory("acme").collection("boots")
