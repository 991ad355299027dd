"""`make reliability`: runs every fault test at full length and writes the results.

The tests report counts (`tests/support/reliability.py`), from which the table of docs/reliability.md is generated. The
whole run takes about forty minutes of one core. Further arguments are passed to pytest, such as `tests/disk` or `-k
power`. Then only the selected tests run, and rows of other tests are kept, each with its commit. A run without
arguments gives all rows at one commit. Files that differ from the commit are refused.
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

from bench.environment import RESULTS, clean_commit, write_result
from tests.support.reliability import PROGRESS_VARIABLE, RESULTS_VARIABLE

_PYTEST = ("-vv", "--no-header", "--durations", "0", "--durations-min", "5", "--timeout", "3600", "-m", "reliability")

# What disks do is played to these tests; to wait for a real one would only take them longer.
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Returns pytest's exit code. The result is also written if a test fails, with `passed` false."""
    began, selected, measured_at = time.monotonic(), sys.argv[1:], clean_commit()
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
        code, rows = run(Path(folder), selected)
    earlier = earlier_result() if selected else {}
    minutes = earlier.get("minutes", 0.0) + (time.monotonic() - began) / 60
    result = {
        "passed": code == 0 and earlier.get("passed", True),
        "minutes": round(minutes, 1),
        "faults": merged([{**row, "commit": measured_at} for row in rows], earlier.get("faults", [])),
    }
    print(write_result("reliability", result, measured_at))
    return code


def run(folder: Path, selected: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """Runs the tests. Returns pytest's exit code and the reported counts."""
    results, screen = folder / "results", os.dup(sys.stderr.fileno())
    one_core = {"OMP_NUM_THREADS": "1"}  # else FAISS has each small search wait for threads on busy cores
    environment = {**os.environ, **one_core, RESULTS_VARIABLE: str(results), PROGRESS_VARIABLE: str(screen)}
    where = [] if any(not s.startswith("-") and Path(s.partition("::")[0]).exists() for s in selected) else ["tests"]
    command = [sys.executable, "-m", "pytest", *where, *_PYTEST, "--basetemp", f"{folder}/tests", *selected]
    done = subprocess.run(command, env=environment, pass_fds=(screen,))
    return done.returncode, [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def merged(rows: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns new rows and the earlier ones of other tests, sorted by fault."""
    again = {row["test"] for row in rows}
    return sorted([*rows, *(r for r in earlier if r["test"] not in again)], key=lambda row: (row["fault"], row["test"]))


def earlier_result() -> dict[str, Any]:
    """The earlier result, whose rows tell at which commits they were measured; empty if there is none."""
    path = RESULTS / "reliability.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
