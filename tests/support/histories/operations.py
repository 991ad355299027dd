"""Operations on records: what a client asked for, when, and what it was told."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

FOR_EVER = math.inf


class Kind(StrEnum):
    WRITE = "write"
    INSERT_ONLY = "insert only"
    DELETE = "delete"
    READ = "read"


class Told(StrEnum):
    """What a client was told of a write. UNKNOWN: nothing, it may stand or not, and may still come."""

    CREATED = "created"
    UPDATED = "updated"
    EXISTS = "exists"
    DELETED = "deleted"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Operation:
    """One call, on one record.

    - `key`: the record's id. `server`: number of the server that was asked.
    - `value`: what a write writes, each another one, or what a read has found; None: no such record.
    - `began`, `ended`: monotonic seconds; FOR_EVER where the outcome is unknown.
    - `slack`: only of reads: by how many seconds the answer may be older than the call.
    """

    kind: Kind
    key: str
    server: int
    value: int | None
    began: float
    ended: float
    told: Told | None = None
    slack: float = 0.0

    @property
    def earliest(self) -> float:
        """It took effect no sooner than this."""
        return self.began - self.slack


class History:
    """Operations of any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: list[Operation] = []

    def add(self, operation: Operation) -> None:
        with self._lock:
            self._operations.append(operation)

    def taken(self) -> list[Operation]:
        """All since the last call."""
        with self._lock:
            found, self._operations = self._operations, []
        return found


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations on each record."""
    found: dict[str, list[Operation]] = {}
    for one in operations:
        found.setdefault(one.key, []).append(one)
    return found


def write_down(operations: Iterable[Operation], path: Path) -> None:
    """Operations as JSON lines, for whoever looks into a refused history."""
    path.write_text("\n".join(json.dumps(asdict(o)) for o in operations) + "\n")
