"""Runs of a catalogue synchronisation on different servers, each of which takes over from the others: none writes once
a later one was told that it had taken over, and what a run does is counted once."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from index import RecordWrite, StoreUnavailable
from index.types.errors import StaleEpoch
from index.types.record import Outcome
from index.types.sources import SourceBatch
from tests.index.records.postgresql.servers import IndexServer
from tests.support.data.collections import vector

_BATCHES, _RECORDS = 6, 3
_PAUSE_S = 0.02


@dataclass
class Runs:
    """claims: (epoch, when it was told). batches: (epoch, when it was begun), of those that were acknowledged. told:
    the records of these, by run."""

    servers: Sequence[IndexServer]
    claims: list[tuple[int, float]] = field(default_factory=list)
    batches: list[tuple[int, float]] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=dict)
    stale: int = 0
    broken: list[BaseException] = field(default_factory=list)
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A run on each server during the block, and another one once it has ended."""
        threads = [threading.Thread(target=self._go_on, args=(n,)) for n in range(len(self.servers))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join()
        if self.broken:
            raise self.broken[0]

    def accepted_stale(self) -> int:
        """How many batches were begun and acknowledged after a later run was told that it had taken over."""
        return sum(any(e > epoch and told < begun for e, told in self.claims) for epoch, begun in self.batches)

    def applied_wrongly(self, server: IndexServer) -> int:
        """How many runs are not counted once, or lack a record that was acknowledged, as this server sees it."""
        there: dict[str, set[str]] = {}
        for record in server.things.list(0, 1_000_000):
            there.setdefault(record.record_id.partition("-")[0], set()).add(record.record_id)
        return sum(
            not set(record_ids) <= there.get(run, set())
            or server.things.sourced.counts(run)["created"] != len(there[run])
            for run, record_ids in self.told.items()
        )

    def _go_on(self, number: int) -> None:
        chance = random.Random(number)
        try:
            while not self._enough.is_set():
                self._run(self.servers[number], chance)
        except BaseException as error:
            self.broken.append(error)

    def _run(self, server: IndexServer, chance: random.Random) -> None:
        epoch = next(self.epochs)
        run = f"run{epoch}"
        try:
            self._until_done(lambda: server.things.sourced.claim(epoch))
            self.claims.append((epoch, time.monotonic()))
            for batch in range(_BATCHES):
                self._enough.wait(chance.uniform(0, 4 * _PAUSE_S))
                begun = time.monotonic()
                ids = [f"{run}-{batch}-{n}" for n in range(_RECORDS)]
                self._until_done(lambda: self._apply(server, epoch, run, ids))  # noqa: B023
                self.batches.append((epoch, begun))
                self.told.setdefault(run, []).extend(ids)
        except StaleEpoch:
            self.stale += 1
        except TimeoutError:
            return

    def _apply(self, server: IndexServer, epoch: int, run: str, ids: list[str]) -> None:
        writes = [RecordWrite(i, np.array(vector(hash(i) % 1000)), "", {"owner": run}) for i in ids]
        results = server.things.sourced.apply(SourceBatch(epoch, "feed", run), writes)
        assert {r.outcome for r in results} <= {Outcome.CREATED, Outcome.UNCHANGED}, results

    def _until_done(self, act: object) -> None:
        """The same again, until it is known to be done: an unknown outcome is one that is asked for again."""
        while True:
            try:
                act()  # type: ignore[operator]
                return
            except StoreUnavailable:
                if self._enough.wait(_PAUSE_S):
                    raise TimeoutError from None
