"""Changes of a tenant's collections, cut off at each step: the next start finds the state before or after, whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from index import KeptPicture, PicturePolicy, RecordWrite, TenantDirectory
from index.errors import CollectionNotFound
from index.layout import DataDirectory
from index.storage.repair import Repair
from tests.support.collections import KEY, SPEC, directory, record, vector
from tests.support.cuts import copy_of, cut

FOREIGN_KEY = bytes(range(100, 132))
Change = Callable[[TenantDirectory, Path], object]  # of a tenant, given the folder of a snapshot from elsewhere


def adopt(tenant: TenantDirectory, foreign: Path) -> None:
    tenant.adopt_snapshot(foreign, FOREIGN_KEY, "taken")


def restore(tenant: TenantDirectory, _: Path) -> None:
    tenant.restore("hats", tenant.kept("hats").list()[0].snapshot_id, "hats", replacing=True)


CHANGES: dict[str, Change] = {
    "create": lambda t, _: t.create(replace(SPEC, name="boots", picture_policy=PicturePolicy.REFERENCE)),
    "delete": lambda t, _: t.delete("hats"),
    "delete with kept": lambda t, _: t.delete("hats", with_kept=True),
    "exchange": lambda t, _: t.exchange("hats", "shoes"),
    "policy": lambda t, _: t.set_policy("shoes", PicturePolicy.DISCARD),
    "description": lambda t, _: t.change("hats", description="for heads", learning=False),
    "adopt": adopt,
    "restore": restore,
}
SHORT = 4  # copies that are looked at but in long runs: the first, the last and some between


@dataclass(frozen=True)
class State:
    """All that a tenant's directory says. kept: how many records each kept snapshot has, by its collection's name."""

    collections: dict[str, object]
    kept: dict[str, list[int]]


def state(root: Path) -> State:
    """What a start finds; and another one finds the same, and nothing to mend."""
    found = [_state(root) for _ in range(2)]
    assert found[0] == found[1]
    assert Repair(DataDirectory(root).tenant("a" * 32), KEY).mendings() == []
    return found[0]


def _state(root: Path) -> State:
    tenant = directory(root)
    try:
        collections: dict[str, object] = {}
        for name in tenant.names():
            collection = tenant.collection(name)
            records = {r.record_id: dict(r.attributes) for r in collection.list(0, 100)}
            pictures = collection.pictures.of(list(records))
            vectors = {n: tuple(r.vector) for n, r in collection.get(list(records), vectors=True).items()}
            assert list(collection.problems()) == []
            collections[name] = (asdict(collection.spec), records, vectors, pictures, collection.count())
        kept = {}
        for name in ("hats", "shoes", "boots", "taken"):
            try:
                snapshots = tenant.kept(name)
            except CollectionNotFound:
                continue
            kept[name] = sorted(snapshots.checked(s.snapshot_id)[0].records for s in snapshots.list())
        return State(collections, kept)
    finally:
        tenant.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tenant's directory, `data`, and a snapshot of another tenant, `foreign`."""
    folder = tmp_path_factory.mktemp("whole")
    tenant = directory(folder / "data")
    for name, count, policy in (("hats", 3, PicturePolicy.DISCARD), ("shoes", 5, PicturePolicy.REFERENCE)):
        collection = tenant.create(replace(SPEC, name=name, picture_policy=policy))
        collection.upsert([record(n, price=n) for n in range(count)])
        kept = KeptPicture(url="https://shop.example/1.jpg")
        collection.upsert([RecordWrite("with", vector(count), digest=b"d", kept=kept)])
        collection.keep_snapshot()
        collection.delete(["0"])
        collection.upsert([record(50)])
    tenant.close()
    other = TenantDirectory(DataDirectory(folder / "other").tenant("b" * 32), FOREIGN_KEY)
    things = other.create(SPEC)
    things.upsert([record(n) for n in range(4)])
    things.keep_snapshot()
    other.close()
    shutil.copytree(next((folder / "other").rglob("kept-*")), folder / "foreign")
    return folder


def check(whole: Path, folder: Path, change: Change, most: int) -> None:
    root = copy_of(whole / "data", folder / "data")
    tenant = directory(root)
    cuts = cut(lambda: change(tenant, whole / "foreign"), root, folder / "cuts")
    tenant.close()
    before, after = state(copy_of(whole / "data", folder / "before")), state(root)
    assert before != after
    assert len(cuts) >= 2
    seen = [(path.name, state(path)) for path in _some(cuts, most)]
    wrong = [(name, found) for name, found in seen if found not in (before, after)]
    assert wrong == [], f"neither before nor after: {[name for name, _ in wrong]}"
    which = [found == after for _, found in seen]
    assert which == sorted(which), "once it is done it stays done"
    assert (which[0], which[-1]) == (False, True)


def _some(cuts: list[Path], most: int) -> list[Path]:
    if len(cuts) <= most:
        return cuts
    return [cuts[round(n * (len(cuts) - 1) / (most - 1))] for n in range(most)]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_cut_off_is_as_before_or_after(whole: Path, tmp_path: Path, name: str) -> None:
    check(whole, tmp_path, CHANGES[name], SHORT)


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
def test_the_same_at_every_step(whole: Path, tmp_path: Path, name: str) -> None:
    check(whole, tmp_path, CHANGES[name], 1000)
