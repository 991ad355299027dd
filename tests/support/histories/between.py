"""What lies between servers and PostgreSQL, which is shut, cut and held; and PostgreSQL, which is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event

from tests.support.histories.trial import Fault
from tests.support.postgresql.gate import Gate
from tests.support.postgresql.server import PostgresServer

# What docs/postgresql.md promises, with what a busy machine takes beside it.
FOLLOWED_S, FOLLOWED_AGAIN_S, BUSY_S = 1.0, 3.0, 2.0


class Reach:
    """When a server could not reach PostgreSQL, and so how old what it reads may be."""

    def __init__(self) -> None:
        self._away_since: float | None = None
        self._away = [(-FOLLOWED_AGAIN_S, -FOLLOWED_AGAIN_S)]

    @contextmanager
    def away(self) -> Iterator[None]:
        """It cannot during the block."""
        self._away_since = time.monotonic()
        try:
            yield
        finally:
            self._away.append((self._away_since, time.monotonic()))
            self._away_since = None

    def slack(self, now: float) -> float:
        """By how many seconds a read that begins now may be behind."""
        since = self._away_since if self._away_since is not None else now
        for began, ended in reversed(self._away):
            if ended + FOLLOWED_AGAIN_S + BUSY_S > since:
                since = min(since, began)
        return now - since + FOLLOWED_S + BUSY_S


class Between:
    """nodes: of PostgreSQL; count: of servers, each of which has a gate to each of the nodes."""

    def __init__(self, nodes: Sequence[PostgresServer], count: int, chance: random.Random) -> None:
        self._chance = chance
        self._gates = [[Gate(node.socket) for node in nodes] for _ in range(count)]
        self._reaches = [Reach() for _ in range(count)]

    def url(self, server: int) -> str:
        """How a server reaches PostgreSQL: whichever node is the primary."""
        hosts = ",".join(str(gate.folder) for gate in self._gates[server])
        return f"postgresql:///postgres?host={hosts}&user=afterimage&target_session_attrs=read-write"

    def slack(self, server: int, now: float) -> float:
        """By how many seconds a read of a server that begins now may be behind."""
        return self._reaches[server].slack(now)

    def close(self) -> None:
        for gate in (g for gates in self._gates for g in gates):
            gate.close()

    @contextmanager
    def away(self, servers: Sequence[int]) -> Iterator[None]:
        """These servers do not always reach PostgreSQL during the block."""
        with ExitStack() as entered:
            for server in servers:
                entered.enter_context(self._reaches[server].away())
            yield

    def all_away(self, happen: Callable[[], None]) -> None:
        """Has something happen during which no server reaches PostgreSQL."""
        with self.away(range(len(self._reaches))):
            happen()

    def faults(self) -> list[Fault]:
        """Of what connects one server with PostgreSQL."""
        return [
            Fault("connections to PostgreSQL cut", lambda: self._each_gate(Gate.cut), 5),
            Fault("PostgreSQL out of reach of a server", lambda: self._each_gate(Gate.shut, 3, Gate.open), 4),
            Fault("connections to PostgreSQL held", lambda: self._each_gate(Gate.hold, 2, Gate.release), 3),
        ]

    def faults_of(self, postgres: PostgresServer) -> list[Fault]:
        """Of PostgreSQL."""
        return [
            Fault("PostgreSQL killed", lambda: self._change(postgres.kill, 1, postgres.start), 4),
            Fault("PostgreSQL stopped", lambda: self._change(postgres.stand_still, 2, postgres.go_on), 2),
        ]

    def _each_gate(
        self, begin: Callable[[Gate], None], most_s: float = 0.0, end: Callable[[Gate], None] | None = None
    ) -> None:
        server = self._chance.randrange(len(self._gates))
        with self.away([server]):
            for gate in self._gates[server]:
                begin(gate)
            Event().wait(self._chance.uniform(0, most_s))
            for gate in self._gates[server]:
                if end is not None:
                    end(gate)

    def _change(self, begin: Callable[[], None], most_s: float, end: Callable[[], None]) -> None:
        with self.away(range(len(self._gates))):
            begin()
            Event().wait(self._chance.uniform(0, most_s))
            end()
