"""A run lists what it skipped, and a second run does just that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MIXED = """
import os
import pytest

here = pytest.mark.skipif("TOOL" not in os.environ, reason="no tool")

@pytest.mark.parametrize("n", ["a b", "[c]", 3, "é"])
@here
def test_needs_the_tool(n): pass

def test_asks_late():
    if "TOOL" not in os.environ: pytest.skip("no tool")

def test_needs_nothing(): pass

@pytest.mark.xfail
def test_fails_as_expected(): assert False
"""
WHOLE = """
import pytest
pytest.importorskip("no_such_package" if "TOOL" not in __import__("os").environ else "os")

def test_one(): pass

def test_two(): pass
"""


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """What pytest printed in a folder."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "yes"} | environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_second_run_does_the_tests_that_the_first_skipped(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_mixed.py").write_text(MIXED)
    for name in ("test_whole.py", "test_whole_too.py"):
        (tmp_path / name).write_text(WHOLE)
    (tmp_path / "listed").write_text("of an earlier run\n")
    first = run(tmp_path, "-n", workers, "-p", "tests.support.skipped_tests", "--skipped-to", "listed")
    assert re.search(r"\b1 passed", first)
    listed = (tmp_path / "listed").read_text().splitlines()
    assert len(listed) == len(set(listed)) == 4 + 1 + 2
    assert "test_mixed.py::test_asks_late" in listed
    assert {"test_whole.py", "test_whole_too.py"} < set(listed)
    second = run(tmp_path, "@listed", TOOL="there")
    assert re.search(r"^9 passed", second, re.MULTILINE)
