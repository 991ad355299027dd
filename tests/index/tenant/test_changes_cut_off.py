"""Changes of a tenant's collections, interrupted at each step: the next start finds the complete state before or
after."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import KeptPicture, PicturePolicy, RecordWrite, SearchQuery, TenantDirectory
from index.storage.layout import DataDirectory
from index.tenant.repair import Repair
from index.types.errors import CollectionNotFound
from index.vectors.ann.centering import CenteringTransform
from tests.support.data.collections import KEY, SPEC, directory, ids, loaded, record, vector
from tests.support.data.cuts import copy_of, cut
from tests.support.reliability import FaultResult, told

FOREIGN_KEY = bytes(range(100, 132))
Change = Callable[[TenantDirectory, Path], object]  # of a tenant, given the folder of a snapshot from elsewhere


def adopt(tenant: TenantDirectory, foreign: Path) -> None:
    tenant.adopt_snapshot(foreign, FOREIGN_KEY, "taken")


def restore(tenant: TenantDirectory, _: Path) -> None:
    tenant.restore("hats", tenant.kept("hats").list()[0].snapshot_id, "hats", replacing=True)


def restore_copy(tenant: TenantDirectory, _: Path) -> None:
    tenant.restore("hats", tenant.kept("hats").list()[0].snapshot_id, "taken")


def forget(tenant: TenantDirectory, _: Path) -> None:
    kept = tenant.collection("hats").kept
    kept.delete(kept.list()[0].snapshot_id)


def learn(tenant: TenantDirectory, _: Path) -> None:
    shoes = loaded(tenant.collection("shoes"))
    mean = np.full(SPEC.dimension, 0.1 if shoes.index.view.transform is None else 0.05, np.float32)
    shoes.index.learn(CenteringTransform(mean, mean))


def ann_index(tenant: TenantDirectory, _: Path) -> None:
    shoes = tenant.collection("shoes")
    assert shoes.build_ann_index(anew=True)
    shoes.snapshot()


CHANGES: dict[str, Change] = {
    "create": lambda t, _: t.create(replace(SPEC, name="boots", picture_policy=PicturePolicy.REFERENCE)),
    "delete": lambda t, _: t.delete("hats"),
    "delete with kept": lambda t, _: t.delete("hats", with_kept=True),
    "exchange": lambda t, _: t.exchange("hats", "shoes"),
    "policy": lambda t, _: t.set_policy("shoes", PicturePolicy.DISCARD),
    "description": lambda t, _: t.change("hats", description="for heads", learning=False),
    "adopt": adopt,
    "restore": restore,
    "restore a copy": restore_copy,
    "keep": lambda t, _: t.collection("shoes").keep_snapshot(),
    "delete a kept snapshot": forget,
    "erase": lambda t, _: t.collection("hats").erase(["1", "with"]),
    "snapshot": lambda t, _: t.collection("hats").snapshot(),
    "compaction": lambda t, _: t.collection("hats").compact(),
    "learning": learn,
    "base": ann_index,
}
INVISIBLE = {"snapshot", "compaction", "learning", "base"}  # they change files, and nothing that anybody is told
MINUTES = {"base"}  # each runs a process that takes a second
SHORT = 4  # copies that are looked at but in long runs: the first, the last and some between


@dataclass(frozen=True)
class State:
    """The content of a tenant's directory. `kept`: the number of records in each kept snapshot, by collection."""

    collections: dict[str, object]
    kept: dict[str, list[int]]


def state(root: Path) -> State:
    """The state after a start. Another start must find the same, and nothing to repair."""
    found = [_state(root) for _ in range(2)]
    assert found[0] == found[1]
    assert Repair(DataDirectory(root).tenant("a" * 32), KEY).steps() == []
    return found[0]


def _state(root: Path) -> State:
    tenant = directory(root)
    try:
        for left_open in tenant.unsettled():  # as a server does after each start
            left_open.snapshot()
        collections: dict[str, object] = {}
        for name in tenant.names():
            collection = tenant.collection(name)
            records = {r.record_id: dict(r.attributes) for r in collection.list(0, 100)}
            pictures = collection.pictures.of(list(records))
            vectors = {n: tuple(np.asarray(r.vector)) for n, r in collection.get(list(records), vectors=True).items()}
            for n, own in vectors.items():
                assert ids(collection, SearchQuery(np.asarray(own, np.float32), 1)) == [n]
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
    for name, count, policy in (("hats", 3, PicturePolicy.DISCARD), ("shoes", 20, PicturePolicy.REFERENCE)):
        collection = tenant.create(replace(SPEC, name=name, picture_policy=policy))
        collection.upsert([record(n, price=n) for n in range(count)])
        kept = KeptPicture(url="https://shop.example/1.jpg")
        collection.upsert([RecordWrite("with", vector(1000 + count), digest=b"d", kept=kept)])
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


@pytest.fixture(autouse=True)
def _searches_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.local.rebuilding._SEARCHES_END_S", 0.0)


@dataclass(frozen=True)
class Tried:
    """A change interrupted at each step: the state before, after, and after each interruption."""

    before: State
    after: State
    cuts: list[tuple[str, State]]

    def wrong(self) -> list[str]:
        """Interruptions after which the state is neither, or a finished change was undone."""
        found = [name for name, state in self.cuts if state not in (self.before, self.after)]
        which = [state == self.after for _, state in self.cuts]
        return found or ([] if which == sorted(which) else ["once it is done it stays done"])


def tried(whole: Path, folder: Path, name: str, root: Path, most: int) -> Tried:
    """Makes a change in `root`, and reads the state after each of at most `most` interruptions."""
    copy_of(root, folder / "before")
    tenant = directory(root)
    cuts = cut(lambda: CHANGES[name](tenant, whole / "foreign"), root, folder / "cuts")
    tenant.close()
    return Tried(state(folder / "before"), state(root), [(path.name, state(path)) for path in _some(cuts, most)])


def _some(cuts: list[Path], most: int) -> list[Path]:
    if len(cuts) <= most:
        return cuts
    return [cuts[round(n * (len(cuts) - 1) / (most - 1))] for n in range(most)]


def check(whole: Path, folder: Path, name: str, most: int) -> None:
    done = tried(whole, folder, name, copy_of(whole / "data", folder / "data"), most)
    assert len(done.cuts) >= 2
    assert (done.before == done.after) == (name in INVISIBLE)
    assert done.wrong() == [], f"neither before nor after: {done.wrong()}"
    which = [found == done.after for _, found in done.cuts]
    if name not in INVISIBLE | {"erase"}:  # which is done before its first step
        assert (which[0], which[-1]) == (False, True)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long if n in MINUTES else ()) for n in CHANGES])
def test_a_change_that_is_cut_off_is_as_before_or_after(whole: Path, tmp_path: Path, name: str) -> None:
    check(whole, tmp_path, name, SHORT)


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
def test_the_same_at_every_step(whole: Path, tmp_path: Path, name: str) -> None:
    check(whole, tmp_path, name, 1000)


def prepared(whole: Path, folder: Path, chance: random.Random) -> Path:
    """A tenant's directory after random changes that allow every other one."""
    root = copy_of(whole / "data", folder / "data")
    tenant = directory(root)
    for _ in range(chance.randrange(6)):
        collection = tenant.collection(chance.choice(("hats", "shoes")))
        changes: Any = [
            lambda c=collection: c.upsert([record(n, price=chance.randrange(9)) for n in range(chance.randrange(40))]),
            lambda c=collection: c.delete([str(chance.randrange(8))]),
            lambda c=collection: c.snapshot(), lambda c=collection: c.compact(), lambda c=collection: c.keep_snapshot(),
            lambda: tenant.exchange("hats", "shoes"),
        ]  # fmt: skip
        chance.choice(changes)()
    tenant.close()
    return root


def rounds(whole: Path, folder: Path, kills: int) -> Iterator[tuple[str, Tried]]:
    """Each change in turn, after random others, with about eight rounds each until the number of kills is reached."""
    chance, done = random.Random(20), 0
    names = cycle([*(n for n in CHANGES for _ in range(1 if n in MINUTES else 3))])
    while done < kills:
        name, place = next(names), folder / "round"
        place.mkdir()
        found = tried(whole, place, name, prepared(whole, place, chance), 1000)
        for _ in found.cuts:
            done += 1
        yield name, found
        shutil.rmtree(place)


KILLS = 1000


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_the_same_after_changes_at_random(
    whole: Path, tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    kills, wrong = Counter[str](), []
    for name, found in told(rounds(whole, tmp_path, KILLS), KILLS // 8, "changes cut off at each step"):
        kills[name] += len(found.cuts)
        wrong += [f"{name}: {cut}" for cut in found.wrong()]
    outcome = f"the state before or after, whole: {', '.join(f'{name} {count}' for name, count in kills.items())}"
    report_faults(FaultResult("kill at a step of a change of a tenant's files", kills.total(), len(wrong), outcome))
    assert wrong == []
