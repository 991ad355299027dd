"""Missing, empty and unlisted files: nothing is removed, and no missing data is served."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from index import DataFault
from index.storage.layout import DataDirectory
from index.tenant.repair import Repair
from tests.support.data.collections import KEY, SPEC, directory, record
from tests.support.data.data_directory import tree
from tests.support.data.files import flip_byte


def made(root: Path) -> Path:
    """A tenant with a collection and a kept snapshot, closed; the tenant's directory."""
    tenant = directory(root)
    collection = tenant.create(SPEC)
    collection.upsert([record(n) for n in range(20)])
    collection.keep_snapshot()
    tenant.close()
    return next((root / "tenants").iterdir())


@pytest.mark.parametrize("empty", [False, True])
def test_a_list_of_collections_that_is_gone_removes_no_collection(tmp_path: Path, empty: bool) -> None:
    listed = made(tmp_path) / "collections.db"
    listed.unlink()
    if empty:
        listed.touch()
    before = tree(tmp_path)
    with pytest.raises(DataFault, match=r"collections\.db"):
        directory(tmp_path)
    assert tree(tmp_path) == before


def test_a_directory_that_is_not_listed_is_left_as_it_is(tmp_path: Path) -> None:
    tenant = made(tmp_path)
    uid = next(p for p in tenant.iterdir() if p.is_dir())
    shutil.copytree(uid, tenant / ("e" * 32))
    before = tree(tenant / ("e" * 32))
    assert directory(tmp_path).names() == ["things"]
    assert tree(tenant / ("e" * 32)) == before


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "is missing": shutil.rmtree,
    "records.db is missing": lambda kept: (kept / "records.db").unlink(),
    "records.db is empty": lambda kept: (kept / "records.db").write_bytes(b""),
    "No such file": lambda kept: (kept / "manifest.json").unlink(),
    "Expecting value": lambda kept: (kept / "manifest.json").write_bytes(b""),
    "manifest was changed": lambda kept: flip_byte(kept / "manifest.json", 40),
    "is not a file": lambda kept: to_pipe(kept / "manifest.json"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("said", DAMAGE)
def test_a_kept_snapshot_that_cannot_be_restored_is_told_of_and_stops_nobody(tmp_path: Path, said: str) -> None:
    kept = next(made(tmp_path).rglob("kept-*"))
    DAMAGE[said](kept)
    repair = Repair(DataDirectory(tmp_path).tenant("a" * 32), KEY)
    assert repair.steps() == []
    (told,) = repair.remarks()
    assert told.startswith(f"kept snapshot {kept} ")
    assert said in told
    tenant = directory(tmp_path)
    assert tenant.remarks == (told,)
    assert tenant.collection("things").count() == 20


def test_a_kept_snapshot_that_is_whole_is_not_remarked_upon(tmp_path: Path) -> None:
    made(tmp_path)
    assert Repair(DataDirectory(tmp_path).tenant("a" * 32), KEY).remarks() == []
