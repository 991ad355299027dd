"""Objects in a local folder: what is no file is no object, holds nobody up, and stops no deletion."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.objects.store import ObjectStore

INSTEAD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": lambda p: (p / "a").mkdir(parents=True),
    "link to itself": lambda p: p.symlink_to(p.name), "link to nothing": lambda p: p.symlink_to("nothing"),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    made = ObjectStore(tmp_path / "objects")
    for name in ("tenant/home/one", "tenant/home/two", "tenant/other/one", "tenants/home/one"):
        made.put(name, name.encode())
    (tmp_path / "objects/tenant/home/three#1").write_bytes(b"being written")
    return made


@pytest.mark.parametrize("kind", INSTEAD)
def test_what_lies_in_the_place_of_an_object_is_none_and_holds_nobody_up(
    store: ObjectStore, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "objects/tenant/home/one"
    path.unlink()
    INSTEAD[kind](path)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(store.get, "tenant/home/one")
        try:
            with pytest.raises(FileNotFoundError):
                read.result(timeout=20)
        finally:
            if kind == "pipe" and not read.done():
                path.open("wb").close()  # else the thread waits for a writer for good
    assert store.get("tenant/home/two") == b"tenant/home/two"
    assert store.names("tenant/home") == ["tenant/home/two"]
    assert store.names("tenant") == ["tenant/home/two", "tenant/other/one"]
    store.delete(["tenant/home/one", "tenant/home/two"])
    assert not os.path.lexists(path)
    assert store.names("tenant") == ["tenant/other/one"]


@pytest.mark.parametrize("kind", INSTEAD)
def test_a_home_is_emptied_whatever_lies_in_it(store: ObjectStore, tmp_path: Path, kind: str) -> None:
    INSTEAD[kind](tmp_path / "objects/tenant/home/strange")
    assert store.clear("tenant/home") == 2
    assert not (tmp_path / "objects/tenant/home").exists()
    assert store.clear("tenant/home") == 0
    assert store.clear("tenant") == 1
    assert store.names("tenants") == ["tenants/home/one"]


def test_a_folder_that_cannot_be_listed_is_no_empty_one(store: ObjectStore, tmp_path: Path) -> None:
    """Else a search for traces would pass it over."""
    (tmp_path / "objects/file").write_bytes(b"")
    with pytest.raises(OSError, match="object storage"):
        store.names("file/home")
