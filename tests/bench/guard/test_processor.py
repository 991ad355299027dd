"""The processor time of a process and of those that it has started."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from bench.guard.processor import grown_ns, spent_ns

_WORKS = "import sys, time\nwhile time.process_time() < .1: pass\nprint(flush=True); sys.stdin.read()"


def work(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


def test_the_time_of_threads_that_have_ended_counts() -> None:
    before = spent_ns(os.getpid())
    thread = threading.Thread(target=work, args=(0.05,))
    thread.start()
    thread.join()
    after = spent_ns(os.getpid())
    assert after[os.getpid()] - before[os.getpid()] >= 50e6
    assert after[os.getpid()] <= time.process_time_ns()


def test_the_time_of_a_process_that_was_started_meanwhile_counts() -> None:
    before = spent_ns(os.getpid())
    with subprocess.Popen([sys.executable, "-c", _WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        after = spent_ns(os.getpid())
        child.stdin.close()
    assert child.pid not in before
    assert after[child.pid] >= 100e6
    assert grown_ns(before, after) >= 100e6


def test_what_was_spent_before_does_not_count_and_ended_processes_do_not_subtract() -> None:
    assert grown_ns({1: 100, 2: 50}, {1: 130, 3: 7}) == 37


def test_a_process_that_is_not_there_has_spent_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        assert spent_ns(ended.pid) == {}


@pytest.mark.parametrize("pid", [os.getppid()])
def test_the_time_of_other_processes_can_be_read(pid: int) -> None:
    assert spent_ns(pid)[pid] > 0
