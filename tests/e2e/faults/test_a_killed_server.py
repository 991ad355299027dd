"""Three servers on one PostgreSQL, of which one is killed: clients that know all and try again see no error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord, Term
from tests.support.histories.connections import COLLECTION, DIMENSION
from tests.support.histories.several_servers import SeveralServers
from tests.support.postgresql.server import running_postgres
from tests.support.reliability import FaultResult

SERVERS, CLIENTS, KILLS = 3, 6, 3
BEFORE_S, AFTER_S, WINDOW_S, PROMISED_S = 6.0, 12.0, 0.5, 3.0
_PAUSE_S = 0.02


class Asking:
    """A client that writes and searches. calls: (when it began, seconds that it took)."""

    def __init__(self, targets: list[str], key: str, number: int) -> None:
        turned = targets[number % len(targets) :] + targets[: number % len(targets)]
        self._client, self._number = Client(f"ipv4:{','.join(turned)}", key), number
        self.calls: list[tuple[float, float]] = []
        self.failed: list[BaseException] = []

    def run(self, enough: threading.Event) -> None:
        vectors = np.random.default_rng(self._number).standard_normal((500, DIMENSION)).tolist()
        with self._client as client:
            for step in range(1_000_000):
                if enough.wait(_PAUSE_S):
                    return
                began, vector = time.monotonic(), vectors[step % len(vectors)]
                try:
                    if step % 4 == 0:
                        client.insert(COLLECTION, [NewRecord(f"{self._number}-{step % 500}", vector=vector)])
                    else:
                        client.search(COLLECTION, Term(vector=vector), k=3)
                except Exception as error:
                    self.failed.append(error)
                self.calls.append((began, time.monotonic() - began))


def p99(calls: list[tuple[float, float]], since: float, until: float) -> float:
    """Of the calls that began in this time, in seconds."""
    took = [s for began, s in calls if since <= began < until]
    return float(np.percentile(took, 99)) if took else 0.0


def back_after(calls: list[tuple[float, float]], killed: float) -> tuple[float, float]:
    """The p99 before, and the seconds after the kill from which on no window of half a second has twice as much."""
    usual = max(p99(calls, killed - BEFORE_S + n * WINDOW_S, killed - BEFORE_S + (n + 1) * WINDOW_S) for n in range(12))
    late = [
        began + took - killed for began, took in calls if killed - 1 < began < killed + AFTER_S and took > 2 * usual
    ]
    return usual, max(late, default=0.0)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_no_call_fails_and_calls_are_soon_as_fast_as_before(
    tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    with running_postgres() as postgres, closing(SeveralServers(tmp_path, [postgres], SERVERS, 1)) as servers:
        servers.start()
        asking = [Asking([s.server.target for s in servers.servers], servers.key, n) for n in range(CLIENTS)]
        enough, found = threading.Event(), list[tuple[float, float]]()
        threads = [threading.Thread(target=a.run, args=(enough,)) for a in asking]
        for thread in threads:
            thread.start()
        for victim in random.Random(1).sample(range(SERVERS), KILLS):
            enough.wait(BEFORE_S + 2)
            killed = time.monotonic()
            servers.servers[victim].kill_only()
            enough.wait(AFTER_S)
            found.append(back_after([c for a in asking for c in a.calls], killed))
            servers.servers[victim].start_again()
        enough.set()
        for thread in threads:
            thread.join()
    failed = [e for a in asking for e in a.failed]
    usual, back = max(u for u, _ in found), max(b for _, b in found)
    report_faults(
        FaultResult(
            "one of three servers killed, clients try again", KILLS, len(failed),
            f"no call of {sum(len(a.calls) for a in asking):,} failed; none took over twice the usual p99 "
            f"({usual * 1000:.0f} ms) from {back:.1f} s after the kill on",
        )
    )  # fmt: skip
    assert failed == []
    assert back < PROMISED_S, found
