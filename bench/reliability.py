"""Runs every test of faults at full length and writes what came of it: `make reliability`.

The tests report counts (`tests/support/reliability.py`); the table of docs/reliability.md is made of the result. All of
it takes about forty minutes of one core. What follows the command is given to pytest, such as `-k power`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.environment import write_result
from tests.support.reliability import PROGRESS_VARIABLE, RESULTS_VARIABLE

_PYTEST = ("-vv", "--no-header", "--durations", "0", "--durations-min", "5", "--timeout", "3600", "-m", "reliability")


def main() -> int:
    """Returns pytest's exit code; the result is written even where a test failed, with `passed` false."""
    began, screen = time.monotonic(), os.dup(sys.stderr.fileno())
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        one_core = {"OMP_NUM_THREADS": "1"}  # else FAISS has each small search wait for threads on busy cores
        environment = {**os.environ, **one_core, RESULTS_VARIABLE: str(results), PROGRESS_VARIABLE: str(screen)}
        command = [sys.executable, "-m", "pytest", "tests", *_PYTEST, "--basetemp", f"{folder}/tests", *sys.argv[1:]]
        done = subprocess.run(command, env=environment, pass_fds=(screen,))
        rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    rows.sort(key=lambda row: (row["fault"], row["test"]))
    result = {"passed": done.returncode == 0, "minutes": round((time.monotonic() - began) / 60, 1), "faults": rows}
    print(write_result("reliability", result))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
