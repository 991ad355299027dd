"""Collections of the index without the service."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from index import RecordWrite, SearchQuery
from index.collection.collection import Collection
from index.collection.loaded import LoadedCollection
from index.records.group_commit import GroupCommit
from index.records.sqlite_store import SqliteRecordStore
from index.storage.layout import DataDirectory
from index.tenant.directory import TenantDirectory
from index.types.collection import CollectionSpec
from index.types.quota import StorageLimits
from index.types.record import Attributes, Vector
from index.vectors.local.local_index import LocalVectorIndex

DIMENSION = 16
KEY = bytes(range(32))
SPEC = CollectionSpec("things", "builtin", "f" * 16, DIMENSION)


def directory(root: object, key: bytes = KEY, limits: StorageLimits | None = None) -> TenantDirectory:
    """The single tenant of a test."""
    return TenantDirectory(DataDirectory(root).tenant("a" * 32), key, limits=limits)  # type: ignore[arg-type]


class LocallyLoaded(LoadedCollection):
    """For the type checker: tests of the local parts look into them."""

    store: SqliteRecordStore
    commit: GroupCommit
    index: LocalVectorIndex


def loaded(collection: Collection) -> LocallyLoaded:
    """The in-memory parts of a collection."""
    with collection.handle as parts:
        return cast(LocallyLoaded, parts)


def vector(seed: int) -> Vector:
    """A unique vector for each seed."""
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)


def record(number: int, product_id: str = "", **attributes: object) -> RecordWrite:
    """Record number n, with vector n."""
    return RecordWrite(str(number), vector(number), product_id, _attributes(attributes))


def _attributes(given: dict[str, object]) -> Attributes:
    return given  # type: ignore[return-value]


def ids(collection: Collection, query: SearchQuery) -> list[str]:
    """Ids of the hits, in order."""
    return [h.record.record_id for g in collection.search(query).groups for h in g]


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def build_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts builds immediately, instead of when the processor is idle, which is rare during tests."""
    monkeypatch.setattr("index.vectors.ann.ann_build_job._FIRST_PRIORITY", SimpleNamespace(value="pass"))
