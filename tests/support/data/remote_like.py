"""Stores and indexes as if they were on another machine: each call takes time, may never arrive, and its answer may be
lost after it was done."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Any, cast

from index.contract import (
    BackupSet,
    ColdRecords,
    IndexSite,
    RecordStore,
    RecordStoreFactory,
    RecordWriter,
    VectorIndex,
    VectorIndexFactory,
)
from index.manifest.location import Location
from index.types.collection import CollectionSpec
from index.types.errors import OutcomeUnknown, StoreUnavailable

DELAY_S = 0.0003


class Fault(Enum):
    """What becomes of a call."""

    TIMED_OUT = "it never arrived"
    CUT_OFF = "it was not done, and nobody knows"
    LOST = "it was done, and the answer was lost"


class Faults:
    """What the next calls meet, by the name of the method."""

    def __init__(self) -> None:
        self._next: dict[str, deque[Fault]] = {}

    def plan(self, method: str, *faults: Fault) -> None:
        """The next calls of a method meet these, one each."""
        self._next.setdefault(method, deque()).extend(faults)

    def wrap(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call as a client of another machine has it."""

        def remote(*arguments: Any, **named: Any) -> Any:
            time.sleep(DELAY_S)
            waiting = self._next.get(method)
            fault = waiting.popleft() if waiting else None
            if fault is Fault.TIMED_OUT:
                raise StoreUnavailable(f"{method} timed out")
            if fault is Fault.CUT_OFF:
                raise OutcomeUnknown(f"{method}: the connection broke")
            result = call(*arguments, **named)
            if fault is Fault.LOST:
                raise OutcomeUnknown(f"{method}: the connection broke")
            return result

        return remote


class Remote:
    """Stands for something that is elsewhere. Generators and blocks are handed out as they are."""

    def __init__(self, inner: Any, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name == "writer":
            return lambda sink: Remote(value(sink), self._faults)
        if name == "companion":
            return lambda companion: Remote(value(companion), self._faults)
        if name == "remembered":
            return lambda filter_text="": None
        if name == "shown":
            return lambda record_ids, show: None
        if name == "expected_s":
            return lambda query: math.inf  # it waits for the other side
        if name == "stage":
            return self._faults.wrap(name, lambda changes: Remote(value(changes), self._faults))
        return self._faults.wrap(name, value) if callable(value) else value


class RemoteIndexes:
    """A factory of such indexes."""

    def __init__(self, inner: VectorIndexFactory, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> VectorIndex:
        return cast(VectorIndex, Remote(self._inner.open(spec, store, site), self._faults))

    def close(self) -> None:
        self._inner.close()


class RemoteStores:
    """A factory of stores that are elsewhere. What concerns files, backups among them, stays here."""

    sharing = None

    def __init__(self, inner: RecordStoreFactory[Location], faults: Faults) -> None:
        self._inner, self._faults = inner, faults
        self.opened = 0

    def open(self, site: Location, free_files: Callable[[], int]) -> RecordStore:
        self.opened += 1
        return remote_store(self._inner.open(site, free_files), self._faults)

    def create(self, site: Location) -> None:
        self._inner.create(site)

    def discard(self, site: Location) -> None:
        self._inner.discard(site)

    def behind(self, site: Location) -> bool:
        return self._inner.behind(site)

    def has_dead(self, site: Location) -> bool:
        return self._inner.has_dead(site)

    def cold(self, site: Location) -> AbstractContextManager[ColdRecords]:
        return self._inner.cold(site)

    def replaced(self, site: Location) -> AbstractContextManager[ColdRecords]:
        return self._inner.replaced(site)

    def backups(self, site: Location) -> BackupSet:
        return self._inner.backups(site)

    def adopt(self, file: Path, key: bytes, site: Location, before: Sequence[Path]) -> None:
        self._inner.adopt(file, key, site, before)


def remote_store(store: RecordStore, faults: Faults) -> RecordStore:
    """A store as if it were elsewhere."""
    return cast(RecordStore, Remote(store, faults))


def remote_writer(writer: RecordWriter, faults: Faults) -> RecordWriter:
    """A writer as if it were elsewhere."""
    return cast(RecordWriter, Remote(writer, faults))
