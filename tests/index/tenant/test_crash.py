"""kill -9 at random points during concurrent writes: acknowledged writes are there, and none is there in part."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from index import SearchQuery
from tests.support.data.collections import directory, vector
from tests.support.reliability import FaultResult, told

ROUNDS = 25
LONG_ROUNDS = 1000


@dataclass
class Round:
    """What a killed writer had reported: the last acknowledged state of each id, and the one batch in flight."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    in_flight: dict[str, str] = field(default_factory=dict)
    batches: int = 0

    def hear(self, line: str) -> None:
        kind, *pairs = line.split()
        batch = dict(pair.split("=") for pair in pairs)
        if kind == "?":
            self.in_flight.update(batch)
        else:
            self.batches += 1
            self.acknowledged.update(batch)
            for record_id in batch:
                del self.in_flight[record_id]


class Writers:
    """Starts writers, and kills each at a random moment."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.index.tenant.crash_writer", str(folder)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process that forks must have no threads
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run_until_killed(self, seed: int) -> Round:
        """The output of a writer until its end."""
        given, said = self._process.stdin, self._process.stdout
        assert given is not None
        assert said is not None
        given.write(f"{seed}\n")
        given.flush()
        begun, process_id = said.readline().split()
        assert begun == "begun"
        heard, lines = Round(), random.Random(seed).randrange(1, 60)
        for number, line in enumerate(said):
            if number == lines:
                os.kill(int(process_id), signal.SIGKILL)
            if line.startswith("ended"):
                assert int(line.split()[1]) == -signal.SIGKILL  # it had not ended by itself
                return heard
            heard.hear(line)
        raise AssertionError("the process that starts writers has ended")

    def close(self) -> None:
        """Starts no more."""
        self._process.communicate(timeout=60)


@pytest.mark.timeout(400)
def test_acknowledged_writes_survive_kill_9_and_no_half_record_is_served(tmp_path: Path) -> None:
    check_rounds(tmp_path, range(ROUNDS))


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_the_same_over_a_thousand_rounds(tmp_path: Path, report_faults: Callable[[FaultResult], None]) -> None:
    acknowledged = check_rounds(tmp_path, range(1000, 1000 + LONG_ROUNDS))
    outcome = f"all of {acknowledged:,} acknowledged batches of writes are there, no half record is served"
    report_faults(FaultResult("kill -9 of a process with four writers", LONG_ROUNDS, 0, outcome))


def check_rounds(folder: Path, seeds: range) -> int:
    """Kills a writer once for each seed. Returns how many writes were acknowledged."""
    with closing(Writers(folder)) as writers:
        return _check_rounds(folder, writers, seeds)


def _check_rounds(folder: Path, writers: Writers, seeds: range) -> int:
    model: dict[str, str] = {}
    acknowledged = 0
    for seed in told(seeds, len(seeds), "kills"):
        heard = writers.run_until_killed(seed)
        acknowledged += heard.batches
        model.update(heard.acknowledged)
        tenant = directory(folder)
        collection = tenant.collection("things")
        stored = {r.record_id: r for r in collection.list(0, 1000, vectors=True)}
        state = {i: str(int(float(str(r.attributes["seed"])))) for i, r in stored.items()}
        for record_id in model.keys() | state.keys() | heard.in_flight.keys():
            allowed = {model.get(record_id, "-"), heard.in_flight.get(record_id, model.get(record_id, "-"))}
            assert state.get(record_id, "-") in allowed, f"round {seed}: {record_id}"
        for record_id, record in stored.items():
            expected = vector(int(state[record_id]))
            assert record.vector is not None
            assert np.allclose(record.vector, expected / np.linalg.norm(expected), atol=1e-6)
            answer = collection.search(SearchQuery(expected, k=1))
            assert answer.groups[0][0].distance < 1e-3
        assert collection.stats().records == len(stored)
        model = state
        tenant.abandon()
    assert len(model) > 50  # the rounds did write
    return acknowledged
