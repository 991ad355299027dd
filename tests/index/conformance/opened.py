"""A collection over each of the vector indexes that must do the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import Collection, CollectionCache, SearchQuery, TenantDirectory, Vector
from index.contract import RecordStore, VectorIndex, VectorIndexFactory
from index.storage.layout import DataDirectory
from tests.support.data.collections import KEY, SPEC, loaded, vector
from tests.support.data.remote_like import Faults


@dataclass
class Opened:
    """A collection over the index that is tried. faults: of its calls, where it is elsewhere."""

    root: Path
    indexes: VectorIndexFactory
    faults: Faults

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Opens everything anew, as after a crash: nothing is closed first."""
        tenant = TenantDirectory(DataDirectory(self.root).tenant("a" * 32), KEY, CollectionCache(self.indexes))
        self.tenant = tenant
        self.collection: Collection = (
            tenant.collection(SPEC.name) if SPEC.name in tenant.names() else tenant.create(SPEC)
        )

    @property
    def index(self) -> VectorIndex:
        return loaded(self.collection).index

    @property
    def store(self) -> RecordStore:
        return loaded(self.collection).store

    def hits(self, query: SearchQuery) -> list[str]:
        return [h.record.record_id for group in self.index.search(query).groups for h in group]


def unit(seed: int) -> Vector:
    raw = vector(seed)
    return np.asarray(raw / np.linalg.norm(raw), np.float32)
