"""A collection is deleted while maintenance works on its files: the deletion waits for it, and succeeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index import Collection, CollectionNotFound, StoreUnavailable
from index.records.backups import Backups
from index.tenant.directory import TenantDirectory
from tests.support.data.collections import SPEC, directory, record

PATIENCE_S = 60.0
Work = Callable[[Collection], object]


@pytest.fixture
def tenant(tmp_path: Path) -> TenantDirectory:
    return directory(tmp_path)


@pytest.fixture
def collection(tenant: TenantDirectory) -> Collection:
    made = tenant.create(SPEC)
    made.upsert([record(n) for n in range(30)])
    made.keep_snapshot()
    made.delete(["1", "2"])
    return made


class Held:
    """Maintenance that has begun to erase from the kept snapshots, and goes on when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()
        erase = Backups.erase

        def held(backups: Backups, deleted: Sequence[int]) -> list[str]:
            self.begun.set()
            assert self.goes_on.wait(PATIENCE_S)
            return erase(backups, deleted)

        monkeypatch.setattr(Backups, "erase", held)


@pytest.mark.parametrize("work", [Collection.clear_kept, Collection.snapshot, Collection.compact])
def test_a_deletion_waits_for_maintenance_that_works_on_the_files(
    tenant: TenantDirectory,
    collection: Collection,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Collection], object],
) -> None:
    held, root = Held(monkeypatch), collection.handle.place.layout.root
    with ThreadPoolExecutor(2) as pool:
        maintenance = pool.submit(work, collection)
        assert held.begun.wait(PATIENCE_S)
        deletion = pool.submit(tenant.delete, SPEC.name, with_kept=True)
        while not collection.handle._closed:
            assert not deletion.done()
        with pytest.raises(TimeoutError):
            deletion.result(0.2)
        assert root.exists()
        held.goes_on.set()
        deletion.result(PATIENCE_S)
        maintenance.result(PATIENCE_S)
    assert not root.exists()
    with pytest.raises(CollectionNotFound):
        tenant.collection(SPEC.name)


def test_maintenance_that_comes_after_the_deletion_finds_it_closed(
    tenant: TenantDirectory, collection: Collection
) -> None:
    tenant.delete(SPEC.name, with_kept=True)
    assert collection.maintain() is None
    for work in (collection.snapshot, collection.compact, collection.clear_kept):
        with pytest.raises(StoreUnavailable, match="closed"):
            work()
    assert not collection.handle.place.layout.root.exists()
