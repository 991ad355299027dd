"""A trial: clients ask, faults happen, and what the clients were told is checked again and again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tests.support.histories.checker import acknowledged_lost, explained
from tests.support.histories.clients import Client, Shared, Slack, paused
from tests.support.histories.connections import Asked, NobodyKnows, NotDone
from tests.support.histories.operations import History, Kind, Operation, by_key, write_down
from tests.support.reliability import told

KEYS, CLIENTS = 8, 5
PATIENCE_S = 300.0  # machines are slow and busy; what is promised within seconds has its own tests
_MORE = 3  # writes that each server acknowledges between two faults


@dataclass(frozen=True)
class Fault:
    """name: what happens. happen: does it, and puts right what no service can. often: its weight among others."""

    name: str
    happen: Callable[[], None]
    often: int = 1


@dataclass
class Outcome:
    """What came of a trial. stale: records of which some read cannot be explained, although nothing is lost."""

    faults: Counter[str] = field(default_factory=Counter)
    operations: Counter[Kind] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    stale: int = 0

    def wrong(self) -> int:
        """Records whose history cannot be explained."""
        return self.lost + self.stale

    def __str__(self) -> str:
        reads = self.operations[Kind.READ]
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return f"{reads:,} reads and {self.operations.total() - reads:,} writes are as promised: {faults}"


class Trial:
    """connect: makes the connections of one client. settle_s: within how many seconds all servers give the same answers
    once nothing is written any more."""

    def __init__(
        self, connect: Callable[[], list[Asked]], slack: Slack, folder: Path, *, settle_s: float, seed: int
    ) -> None:
        self._shared = Shared(History(), slack)
        self._folder, self._settle_s, self._chance = folder, settle_s, random.Random(seed)
        self._asking = connect()
        self._servers = sorted({c.server for c in self._asking})
        self._all = [connect() for _ in range(CLIENTS)]
        self._clients = [Client(self._shared, own, seed * 100 + n) for n, own in enumerate(self._all)]
        self.outcome = Outcome(failed=self._shared.failed)
        self._generation = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """The clients ask during the block."""
        self._next_keys()
        for client in self._clients:
            client.start()
        try:
            yield
        finally:
            for client in self._clients:
                client.stop()
            for connection in (c for own in [self._asking, *self._all] for c in own):
                connection.close()

    def undergo(self, faults: Sequence[Fault], count: int, *, check_every: int = 5) -> None:
        """Has `count` faults happen, each at some moment after the last one was overcome. Raises AssertionError where
        a server does not come back, or calls fail as they must not."""
        self._until_each_writes(5 * _MORE)
        chosen = self._chance.choices(faults, [f.often for f in faults], k=count)
        for number, fault in enumerate(told(chosen, count, "faults"), 1):
            Event().wait(self._chance.uniform(0, 0.3))
            fault.happen()
            self.outcome.faults[fault.name] += 1
            self._until_each_writes(_MORE)
            if number % check_every == 0 or number == count:
                self.check()

    def check(self) -> None:
        """Reads all records at last, and checks all that was noted since the last check."""
        with paused(self._clients):
            last = self._last_reads()
            noted = self._shared.history.taken()
            self._next_keys()
        self.outcome.operations += Counter(o.kind for o in noted)
        for key, found in by_key([*noted, *last]).items():
            if not explained(found):
                lost = acknowledged_lost(found, [o for o in last if o.key == key])
                self.outcome.lost += lost
                self.outcome.stale += not lost
                write_down(sorted(found, key=lambda o: o.began), self._folder / f"refused-{key}.jsonl")

    def _last_reads(self) -> list[Operation]:
        """What all servers say of all records, once they say the same, or no longer have time for it."""
        deadline = time.monotonic() + self._settle_s
        while True:
            in_time = time.monotonic() < deadline
            reads = [self._last_read(c, key) for key in self._shared.keys for c in self._asking]
            answers = {key: {o.value for o in found} for key, found in by_key(o for o in reads if o).items()}
            if all(reads) and (not in_time or all(len(a) == 1 for a in answers.values())):
                return [o for o in reads if o]
            assert time.monotonic() < deadline + PATIENCE_S, "a server does not answer"
            Event().wait(0.05)

    def _last_read(self, connection: Asked, key: str) -> Operation | None:
        began = time.monotonic()
        try:
            found = self._chance.choice([connection.read, connection.search])(key)
        except (NotDone, NobodyKnows):
            return None
        return Operation(Kind.READ, key, connection.server, found, began, time.monotonic())

    def _next_keys(self) -> None:
        self._generation += 1
        self._shared.keys = [f"{self._generation}-{n}" for n in range(KEYS)]

    def _until_each_writes(self, count: int) -> None:
        before, deadline = self._shared.acknowledged.copy(), time.monotonic() + PATIENCE_S
        while any(self._shared.acknowledged[s] < before[s] + count for s in self._servers):
            if self._shared.broken:
                raise self._shared.broken[0]
            assert time.monotonic() < deadline, f"no writes after {self.outcome.faults}: {self._shared.failed}"
            Event().wait(0.01)
