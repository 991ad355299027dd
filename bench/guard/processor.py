"""Processor time of a server and of the processes that it has started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import psutil

_CPUCLOCK_SCHED = 2  # of a whole process, its ended threads included; see clock_getcpuclockid(3)


def spent_ns(pid: int) -> dict[int, int]:
    """User and system time since their start of a process and its descendants, in nanoseconds, by pid. Linux only.

    The kernel counts it in nanoseconds. /proc/PID/stat rounds it to ticks of 10 ms. Instructions would not depend on
    other work on the machine, but few virtual machines let them be counted.
    """
    found: dict[int, int] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(OSError):  # it has ended
                found[process.pid] = time.clock_gettime_ns((~process.pid << 3) | _CPUCLOCK_SCHED)
    return found


def grown_ns(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """What was spent in between, in nanoseconds. Processes that ended meanwhile count until `before`."""
    return sum(spent - before.get(pid, 0) for pid, spent in after.items())
