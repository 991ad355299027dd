"""Runs every test of faults at full length and writes what came of it: `make reliability`.

The tests report counts (`tests/support/reliability.py`); the table of docs/reliability.md is made of the result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.environment import write_result
from tests.support.reliability import RESULTS_VARIABLE


def main() -> int:
    """Returns pytest's exit code; the result is written even where a test failed, with `passed` false."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        command = [sys.executable, "-m", "pytest", "tests", "-m", "reliability", "--timeout", "3600", *sys.argv[1:]]
        done = subprocess.run(command, env={**os.environ, RESULTS_VARIABLE: str(results)})
        rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    rows.sort(key=lambda row: (row["fault"], row["test"]))
    print(write_result("reliability", {"passed": done.returncode == 0, "faults": rows}))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
