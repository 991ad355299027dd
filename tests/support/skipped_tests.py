"""Lists the tests that a run skipped, so that a second run, with more tools, does only those:

    pytest -p tests.support.skipped_tests --skipped-to FILE
    pytest @FILE

A module that skips as a whole is listed by its path. A test that fails as expected is not skipped.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skipped-to", type=Path, metavar="FILE", help="list the tests that are skipped in FILE")


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--skipped-to")
    if path is None:
        return
    if not hasattr(config, "workerinput"):  # before any worker of pytest-xdist starts
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    config.pluginmanager.register(_Listed(path))


class _Listed:
    """Workers and the process that starts them all hear of a test, so each test is looked for before it is added."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        with self._path.open("a+") as listed:
            fcntl.flock(listed, fcntl.LOCK_EX)
            listed.seek(0)
            if report.nodeid not in listed.read().splitlines():
                listed.write(f"{report.nodeid}\n")
