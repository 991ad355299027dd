"""A stop with a thousand collections that have a few new writes each: it ends in time, and nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord
from tests.support.reliability import FaultResult, told
from tests.support.servers.server import Server, start_server

_COLLECTIONS, _OLD, _NEW = 1_000, 100, 5
_STOP_S = 30.0  # what orchestrators commonly give


def write(client: Client, first: int, count: int, vectors: np.ndarray) -> None:
    """Writes records into each collection. They are numbered from `first`."""
    records = [NewRecord(str(first + n), vector=vectors[first + n].tobytes()) for n in range(count)]
    for number in told(range(_COLLECTIONS), _COLLECTIONS, f"{count} records into each collection"):
        assert not [done for done in client.import_records(f"c{number}", records) if done.error]


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_a_stop_with_a_thousand_changed_collections_ends_in_time(
    tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    vectors = np.random.default_rng(1).standard_normal((_OLD + _NEW, 384)).astype("<f4")
    server = start_server(tmp_path, anew=True)
    key = server.key("acme")
    took = []
    with server.client(key) as client:
        for number in range(_COLLECTIONS):
            client.create_collection(f"c{number}")
        write(client, 0, _OLD, vectors)
    took.append(stopped(server))
    server = start_server(tmp_path, anew=True)
    with server.client(key) as client:
        write(client, _OLD, _NEW, vectors)
    took.append(stopped(server))
    server = start_server(tmp_path, anew=True)
    with server.client(key) as client:
        assert {client.count_records(f"c{number}") for number in range(_COLLECTIONS)} == {_OLD + _NEW}
    took.append(stopped(server))
    all_new, few_new, none_new = took
    assert few_new < _STOP_S
    outcome = (
        f"{few_new:.1f} s; {all_new:.1f} s after {_OLD} new records in each, {none_new:.1f} s after none;"
        f" all {_COLLECTIONS * (_OLD + _NEW):,} records are there after the start"
    )
    report_faults(FaultResult(f"stop with {_COLLECTIONS:,} collections of {_NEW} new records each", 1, 0, outcome))


def stopped(server: Server) -> float:
    """Asks a server to stop. Returns the seconds until it has ended."""
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(300) == 0
    return time.monotonic() - began
