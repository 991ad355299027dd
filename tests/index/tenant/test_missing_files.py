"""Missing, empty and unlisted files: nothing is removed, and no missing data is served."""

import shutil
from pathlib import Path

import pytest

from index import DataFault
from tests.support.data.collections import SPEC, directory, record
from tests.support.data.data_directory import tree


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
