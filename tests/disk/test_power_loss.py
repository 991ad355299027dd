"""Power cuts at random moments of every kind of change: acknowledged changes are there, and none is there in part."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.tenant.directory import TenantDirectory
from tests.disk.model import Heard, Things
from tests.disk.simulated_disk import Disk, Mode, read_trace
from tests.disk.writer import THREADS
from tests.support.data.collections import directory, vector
from tests.support.reliability import FaultResult, told

RECORDINGS = 5


def record(library: Path, folder: Path, seed: int, steps: int) -> Path:
    """The recording of a complete writer."""
    root, trace = folder / "written", folder / "trace"
    root.mkdir()
    environment = {
        **os.environ, "LD_PRELOAD": str(library), "RECORDER_ROOT": str(root), "RECORDER_TRACE": str(trace),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.disk.writer", str(root), str(seed), str(steps)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return trace


def check_cuts(trace: Path, folder: Path, seed: int, cuts: int) -> Counter[Mode]:
    """Simulates power cuts at random moments of a recording. Fails with the moment at which something is lost."""
    entries, chance = list(read_trace(trace)), random.Random(seed)
    first = next(i for i, e in enumerate(entries) if e.operation == "m" and e.first.startswith(b"!"))
    moments = sorted(chance.randrange(first + 1, len(entries) + 1) for _ in range(cuts))
    disk, heard, done = Disk(), [Heard() for _ in range(THREADS)], Counter[Mode]()
    for number, entry in enumerate(told(entries, len(entries), f"changes of recording {seed}"), 1):
        if entry.operation == "m":
            for line in entry.first.decode().splitlines():
                kind, thread, text = line.split(" ", 2)
                heard[int(thread)].hear(f"{kind} {text}")
        else:
            disk.replay(entry)
        while moments and moments[0] == number:
            mode = list(Mode)[len(moments) % len(Mode)]
            moments.pop(0)
            target = folder / "cut"
            disk.write_to(target, mode, chance)
            check(target, heard, f"seed {seed}, entry {number}, {mode.name}")
            shutil.rmtree(target)
            done[mode] += 1
    return done


def check(folder: Path, heard: list[Heard], moment: str) -> None:
    """Opens the content of a disk, and compares it with the writer's acknowledgements."""
    tenant = directory(folder)
    try:
        for thread, said in enumerate(heard):
            names = [n for n in tenant.names() if n.startswith(f"c{thread}-")]
            found = {n: contents(tenant, n) for n in names}
            possible = [expected(state) for state in said.possible()]
            loose = said.in_flight is not None and said.in_flight[0] == "keep"  # one more snapshot may be there
            assert any(fits(found, state, loose) for state in possible), (
                f"{moment}, thread {thread}: in flight {said.in_flight}\nfound {found}\nacknowledged {possible[0]}"
            )
    finally:
        tenant.abandon()


# Seeds of the records by id, and those of each snapshot by its id.
Contents = tuple[dict[str, int], dict[str, dict[str, int]]]


def contents(tenant: TenantDirectory, name: str) -> Contents:
    """Records of a collection and of each of its snapshots, which are restored for that."""
    collection = tenant.collection(name)
    problems = [p for p in collection.problems() if not p.startswith("snapshot-")]  # those are derived: made anew
    assert not problems, problems
    records = {r.record_id: int(float(str(r.attributes["seed"]))) for r in collection.list(0, 1000, vectors=True)}
    for stored in collection.list(0, 1000, vectors=True):
        wanted = vector(int(float(str(stored.attributes["seed"]))))
        assert stored.vector is not None
        assert np.allclose(stored.vector, wanted / np.linalg.norm(wanted), atol=1e-6)
    kept = {}
    for snapshot_id in collection.kept.ids():
        restored = tenant.restore(name, snapshot_id, "restored")
        kept[snapshot_id] = {r.record_id: int(float(str(r.attributes["seed"]))) for r in restored.list(0, 1000)}
        tenant.delete("restored")
    return records, kept


def expected(state: dict[str, Things]) -> dict[str, Contents]:
    """A state of the model in the form of `contents`."""

    def seeds(records: Mapping[str, tuple[int, Any]]) -> dict[str, int]:
        return {i: seed for i, (seed, _) in records.items()}

    return {n: (seeds(t.records), {k: seeds(r) for k, r in t.kept.items()}) for n, t in state.items()}


def fits(found: dict[str, Contents], state: dict[str, Contents], loose: bool) -> bool:
    """Whether the content equals a state. `loose`: an additional snapshot is allowed."""
    if not loose or found.keys() != state.keys():
        return found == state
    return all(
        records == state[n][0] and {k: v for k, v in kept.items() if k in state[n][1]} == state[n][1]
        and len(kept) <= len(state[n][1]) + 1
        for n, (records, kept) in found.items()
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_what_was_acknowledged_survives_power_cuts_and_so_do_kept_snapshots(recorder: Path, tmp_path: Path) -> None:
    done = check_cuts(record(recorder, tmp_path, 1, 40), tmp_path, 1, 24)
    assert set(done) == set(Mode)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_the_same_over_many_recordings(
    recorder: Path, tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    done = Counter[Mode]()
    for seed in range(2, 2 + RECORDINGS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        done += check_cuts(record(recorder, folder, seed, 60), folder, seed, 40)
    for mode, count in done.items():
        fault = f"power cut that loses {mode.value}"
        report_faults(FaultResult(fault, count, 0, "every acknowledged change and kept snapshot is there"))
