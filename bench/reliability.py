"""Runs every test of faults at full length and writes what came of it: `make reliability`.

The tests report counts (`tests/support/reliability.py`); the table of docs/reliability.md is made of the result. All of
it takes about forty minutes of one core. What follows the command is given to pytest, as `tests/disk` or `-k power`:
then only what is selected runs, and what the result has of other tests stays, as long as it is of the same commit. So
it can be run in slices.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.environment import RESULTS, commit, write_result
from tests.support.reliability import PROGRESS_VARIABLE, RESULTS_VARIABLE

_PYTEST = ("-vv", "--no-header", "--durations", "0", "--durations-min", "5", "--timeout", "3600", "-m", "reliability")

# What disks do is played to these tests; to wait for a real one would only take them longer.
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Returns pytest's exit code; the result is written even where a test failed, with `passed` false."""
    began, selected = time.monotonic(), sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
        code, rows = run(Path(folder), selected)
    earlier = earlier_result() if selected else {}
    again = {row["test"] for row in rows}
    rows += [row for row in earlier.get("faults", []) if row["test"] not in again]
    rows.sort(key=lambda row: (row["fault"], row["test"]))
    minutes = earlier.get("minutes", 0.0) + round((time.monotonic() - began) / 60, 1)
    result = {"passed": code == 0 and earlier.get("passed", True), "minutes": round(minutes, 1), "faults": rows}
    print(write_result("reliability", result))
    return code


def run(folder: Path, selected: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """Runs the tests; returns pytest's exit code and what they reported."""
    results, screen = folder / "results", os.dup(sys.stderr.fileno())
    one_core = {"OMP_NUM_THREADS": "1"}  # else FAISS has each small search wait for threads on busy cores
    environment = {**os.environ, **one_core, RESULTS_VARIABLE: str(results), PROGRESS_VARIABLE: str(screen)}
    where = [] if any(not s.startswith("-") and Path(s.partition("::")[0]).exists() for s in selected) else ["tests"]
    command = [sys.executable, "-m", "pytest", *where, *_PYTEST, "--basetemp", f"{folder}/tests", *selected]
    done = subprocess.run(command, env=environment, pass_fds=(screen,))
    return done.returncode, [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def earlier_result() -> dict[str, Any]:
    """What was written before of the commit that is checked out; nothing where it is of another one."""
    path = RESULTS / "reliability.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found if found.get("machine", {}).get("commit") == commit() else {}


if __name__ == "__main__":
    sys.exit(main())
