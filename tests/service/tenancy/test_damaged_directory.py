"""Every file of a data directory missing, empty, truncated, outdated, or replaced by another.

Nothing is removed, no answer is wrong, other tenants are served, and the message names the file.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index import CollectionNotFound, DataDirectory
from service.tenancy.masterkey import load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.repairs import mend_tenants, registry_repair
from tests.support.data.collections import record, vector
from tests.support.data.damaged_directory import asked, asked_once, copied, make_whole, uids, wrongs
from tests.support.data.data_directory import COLLECTIONS, FIRST, key_file, opened, tree
from tests.support.data.files import flip_byte

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


def flipped(file: Path, _older: Path, _other: Path) -> None:
    flip_byte(file, file.stat().st_size * 3 // 5)  # of a database that is a page which no opening reads


DAMAGES: tuple[Damage, ...] = (missing, empty, cut_short, older, flipped, swapped)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data directory, `data`, and its state before the last changes, `older`."""
    return make_whole(tmp_path_factory.mktemp("whole"))


def others(file: Path, root: Path, pattern: str) -> Iterator[Path]:
    """Files of the same kind: another one of the same tenant, if any, and one of the other tenant."""
    same = [p for p in sorted(root.glob(pattern)) if p != file]
    mine = [p for p in same if p.relative_to(root).parts[:2] == file.relative_to(root).parts[:2]]
    yield from itertools.chain(mine[:1], [p for p in same if p not in mine][:1])


def check(whole: Path, folder: Path, kind: str, damage: Damage, file_number: int = 0) -> None:
    """Damages one file in every way, and checks the result. The other tenant must be served."""
    for number in range(2 if damage is swapped else 1):
        root = copied(whole, folder / f"case-{number}")
        file = sorted(root.glob(KINDS[kind]))[file_number]
        candidates = list(others(file, root, KINDS[kind]))
        if damage is swapped and number >= len(candidates):
            return
        other = candidates[number] if candidates else file
        unharmed = tree(root)
        damage(file, whole / "older" / file.relative_to(root), other)
        assert wrongs(whole, root, unharmed) == []
        harmed = [p for p in (file, other if damage is swapped else file) if p.relative_to(root).parts[0] == "tenants"]
        for tenant, uid in uids(whole).items():
            if harmed and not any(uid in p.parts for p in harmed):
                assert asked(root, [tenant]) == {tenant: asked_once(whole)[tenant]}


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


MENDED = [(kind, damage) for kind in ("registry", "manifest", "list", "sync", "records") for damage in DAMAGES[:5]]
MENDED.remove(("records", flipped))  # the collection is served, and `index verify` names the page
SHORT = {
    ("registry", missing),
    ("manifest", empty),
    ("list", missing),
    ("records", missing),
    ("records", older),
    ("manifest", flipped),
    ("list", flipped),
    ("sync", flipped),
    ("registry", flipped),
}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [pytest.param(k, d, marks=() if (k, d) in SHORT else pytest.mark.long, id=f"{k}-{d.__name__}") for k, d in MENDED],
)
def test_what_can_be_mended_is_served_again(whole: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    root = copied(whole, tmp_path)
    file = sorted(root.glob(KINDS[kind]))[0]
    damage(file, whole / "older" / file.relative_to(root), file)
    data, key = DataDirectory(root), load_master_key(key_file(root), None, create=False)
    step = registry_repair(data, key)
    if step is not None:
        step.run()
    with closing(TenantRegistry(data.registry, key)) as registry:
        done = mend_tenants(registry, data)
        assert mend_tenants(registry, data) == []
    assert step is not None or done, "something was to be mended"
    with opened(root) as parts:
        for tenant in FIRST:
            directory = parts.directory(tenant)
            assert directory.names() == sorted(COLLECTIONS)
            assert all(directory.collection(n).count() > 0 for n in COLLECTIONS)


def test_a_collection_that_nothing_is_left_of_is_given_up_alone(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path)
    file = sorted(root.glob(KINDS["records"]))[0]
    file.unlink()
    for left in [*file.parent.glob("kept-*"), *file.parent.glob("snapshot-*")]:
        shutil.rmtree(left)
    with closing(TenantRegistry(root / "registry.db", load_master_key(key_file(root), None, create=False))) as registry:
        (told_so, *_) = mend_tenants(registry, DataDirectory(root))
        assert "is lost" in told_so[1]
        assert "records, last write" in told_so[1]
    with opened(root) as parts:
        assert sorted(len(parts.directory(t).names()) for t in FIRST) == [1, 2]


def test_without_database_and_kept_snapshots_a_derived_snapshot_gives_the_records_back(
    whole: Path, tmp_path: Path
) -> None:
    root = copied(whole, tmp_path)
    file = sorted(root.glob(KINDS["records"]))[0]
    file.unlink()
    for left in file.parent.glob("kept-*"):
        shutil.rmtree(left)
    with closing(TenantRegistry(root / "registry.db", load_master_key(key_file(root), None, create=False))) as registry:
        said = [line for _, line in mend_tenants(registry, DataDirectory(root))]
    assert "records in half precision" in said[0]
    assert "picture digests" in said[0]
    with opened(root) as parts:
        for tenant in FIRST:
            expected = asked_once(whole)[tenant][0]  # type: ignore[index]
            for name in COLLECTIONS:
                collection = parts.directory(tenant).collection(name)
                stored = {r.record_id: dict(r.attributes) for r in collection.list(0, 100, vectors=True)}
                assert (stored, collection.count()) == expected[name][1:3]
                for r in collection.list(0, 100, vectors=True):
                    wanted = vector(int(r.record_id))
                    assert r.vector is not None
                    assert np.allclose(r.vector, wanted / np.linalg.norm(wanted), atol=1e-3)
                assert [p for p in collection.problems() if not p.startswith("damaged-")] == []
                collection.upsert([record(int(FIRST[tenant]) + 60)])  # and it goes on
                assert collection.count() == len(stored) + 1


def test_a_name_that_is_gone_is_not_found(whole: Path, tmp_path: Path) -> None:
    with opened(copied(whole, tmp_path)) as parts, pytest.raises(CollectionNotFound):
        parts.directory("acme").collection("boots")


def test_an_older_copy_of_a_whole_tenant_is_not_served_until_it_is_accepted(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path)
    first, other = FIRST
    with opened(root) as parts:
        uid = parts.uid(first)
    shutil.rmtree(root / "tenants" / uid)
    shutil.copytree(whole / "older" / "tenants" / uid, root / "tenants" / uid)
    before = tree(root)
    answers = asked(root)
    assert "manifest.db is an older copy: its generation is" in str(answers[first])
    assert answers[other] == asked_once(whole)[other]
    assert set(before) <= set(tree(root))
    data, key = DataDirectory(root), load_master_key(key_file(root), None, create=False)
    with closing(TenantRegistry(data.registry, key)) as registry:
        done = mend_tenants(registry, data)
    assert [name for name, _ in done] == [first]
    assert "is accepted as it is" in done[0][1]
    answers = asked(root)
    assert not any(isinstance(answer, Exception) for answer in answers.values())
    assert answers[first] != asked_once(whole)[first]
    assert answers[other] == asked_once(whole)[other]
