"""Builds of an ANN index beside processes that want the processor all the time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.vectors.ann import ann_build_job, ann_builder, build_priority
from index.vectors.ann.ann_build_job import AnnBuilds
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.build_priority import STARVED_S, Priority, StarvationMeter, cpu_seconds
from index.vectors.arrays.float16_matrix import Float16Matrix, RowMatrix

ROWS, DIMENSION = 1024, 16


@pytest.fixture
def rows() -> Float16Matrix:
    made = np.random.default_rng(1).standard_normal((ROWS, DIMENSION))
    matrix = RowMatrix(DIMENSION, ROWS)
    matrix.append((made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16))
    return matrix.view(0, ROWS)


class Meter:
    """A meter whose process gets what a test says."""

    def __init__(self) -> None:
        self.at = self.cpu = 0.0
        self.meter = StarvationMeter(lambda: self.cpu, lambda: self.at)

    def second(self, cpu: float) -> bool:
        self.at += 1
        self.cpu += cpu
        return self.meter.is_starved()


def test_a_process_that_gets_a_tenth_of_a_core_does_not_starve() -> None:
    meter = Meter()
    assert not any(meter.second(0.101) for _ in range(1000))


def test_a_process_starves_after_ten_seconds_without_the_processor() -> None:
    meter = Meter()
    assert [meter.second(0.01) for _ in range(12)] == [n + 1 >= STARVED_S for n in range(12)]


def test_a_process_that_worked_long_is_given_as_long_before_its_work_is_thrown_away() -> None:
    meter = Meter()
    assert not any(meter.second(2.0) for _ in range(30))
    waited = 1
    while not meter.second(0.0):
        waited += 1
    assert waited == 60


def test_seconds_that_lack_the_processor_add_up_over_others() -> None:
    meter = Meter()
    starved = [meter.second(0.0 if n % 2 == 0 else 0.2) for n in range(20)]
    assert starved == [False] * 18 + [True] * 2


def test_processor_time_of_a_process_is_what_the_system_counts() -> None:
    before, begun = cpu_seconds(os.getpid()), os.times()
    while os.times().user - begun.user < 0.2:
        pass
    assert 0.15 < cpu_seconds(os.getpid()) - before < 10
    with pytest.raises(OSError):
        cpu_seconds(2**22 + 1)


@pytest.mark.parametrize(
    ("priority", "told"), [(Priority.IDLE, (os.SCHED_IDLE, 0)), (Priority.LOW, (os.SCHED_OTHER, 10))]
)
def test_a_builder_lowers_its_own_priority(priority: Priority, told: tuple[int, int]) -> None:
    script = f"import os\n{priority.value}\nprint(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    policy, nice = map(int, said.split())
    assert (policy, nice - os.getpriority(os.PRIO_PROCESS, 0)) == told


def test_a_build_that_starves_is_begun_anew_and_gives_the_same(
    rows: Float16Matrix, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    priorities: list[Priority] = []
    builds, run = AnnBuilds(), AnnBuilds._run
    first, _ = builds.build(rows[: ROWS // 2])
    monkeypatch.setattr(ann_build_job, "_FIRST_PRIORITY", Priority.IDLE)
    monkeypatch.setattr(ann_build_job, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(StarvationMeter, "is_starved", lambda _: True)

    def noted(self: AnnBuilds, job: ann_builder.Job, previous: AnnIndex | None, priority: Priority) -> dict[str, int]:
        priorities.append(priority)
        return run(self, job, previous, priority)

    monkeypatch.setattr(AnnBuilds, "_run", noted)
    with caplog.at_level("INFO"):
        extended, signatures = builds.build(rows, first)
    assert priorities == [Priority.IDLE, Priority.LOW]
    assert (extended.rows, len(signatures)) == (ROWS, ROWS // 2)
    assert "lacked the processor" in caplog.text
    assert not builds._running
    assert not builds.busy


def test_a_builder_that_stands_still_is_begun_anew(rows: Float16Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that gets no processor at all: it is stopped as soon as it has begun."""
    begin: Callable[..., Any] = subprocess.Popen
    begun: list[subprocess.Popen[bytes]] = []

    def stopped(*arguments: Any, **options: Any) -> Any:
        begun.append(begin(*arguments, **options))
        if len(begun) == 1:
            os.kill(begun[0].pid, signal.SIGSTOP)
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", stopped)
    monkeypatch.setattr(ann_build_job, "_FIRST_PRIORITY", Priority.IDLE)
    monkeypatch.setattr(ann_build_job, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(build_priority, "STARVED_S", 0.2)
    ann_index, _ = AnnBuilds().build(rows)
    assert ann_index.rows == ROWS
    assert [process.returncode for process in begun] == [-signal.SIGKILL, 0]
    assert not Path(f"/proc/{begun[0].pid}").exists()
