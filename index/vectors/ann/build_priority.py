"""How a build of an ANN index shares the processor, and how it is noticed that it gets too little.

A build begins in the idle class, where searches do not feel it. Beside processes that are always busy that class gets
0.3 % of the processor: the build would never end. No unprivileged process may leave the class again (sched(7)), so a
build that starves is begun anew with a low priority of the normal class.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

STARVED_S = 10.0  # with too little of the processor, until the build is begun anew
_FAIR_SHARE = 0.1  # of one core; less of it is too little
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Priority(StrEnum):
    """How a build is scheduled: a statement that its process executes before it imports what starts threads.

    IDLE: it gets what nobody else wants. LOW: a tenth of what another process gets.
    """

    IDLE = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    LOW = "os.nice(10)"


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its threads so far, seconds. Raises OSError where it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class StarvationMeter:
    """Of one process. Not thread-safe."""

    def __init__(self, cpu_s: Callable[[], float], now: Callable[[], float] = time.monotonic) -> None:
        """cpu_s: processor time of the process so far, seconds."""
        self._cpu_s, self._now = cpu_s, now
        self._seen_at, self._seen_cpu_s = now(), cpu_s()
        self._starved_s = 0.0

    def is_starved(self) -> bool:
        """Whether the process lacked the processor for longer than it pays to wait. Call it about every second.

        That is for STARVED_S, and for as long as the process has worked: beginning anew costs no more than waiting has.
        """
        now, cpu_s = self._now(), self._cpu_s()
        passed, got = now - self._seen_at, cpu_s - self._seen_cpu_s
        self._seen_at, self._seen_cpu_s = now, cpu_s
        if got < _FAIR_SHARE * passed:
            self._starved_s += passed
        return self._starved_s >= max(STARVED_S, cpu_s)
