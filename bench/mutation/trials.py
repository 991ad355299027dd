"""Runs tests in a process of their own, which begins with the large packages imported.

A new interpreter would take seconds to import them, for each of thousands of mutants. What is forked has imported
nothing of the project, so it takes the mutated file as any process would.
"""

from __future__ import annotations

import importlib
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from bench.mutation.rooms import ROOT

_EXAMPLES = 25
_MOST_BYTES = 6 << 30  # of one process: a mutant may take memory without an end
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_FIXTURES = ("--noconftest", "-p", "tests.support.fixtures")  # none that import what the tests do not need
_PYTEST = ("-q", "-x", *_FIXTURES, "-p", "no:xdist", "-m", "not long", "--hypothesis-seed=0", "--tb=line")


class Outcome(StrEnum):
    """What became of the tests."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class Limits(NamedTuple):
    """Seconds that the tests may take: of the processor, and by the clock."""

    cpu_s: int
    wall_s: float


class Trial(NamedTuple):
    """cpu_s: of the process itself. output: what pytest wrote."""

    outcome: Outcome
    cpu_s: float
    wall_s: float
    output: str


UNHURRIED = Limits(600, 1200.0)


def limits_from(unmutated: Trial) -> Limits:
    """Limits for mutants, from how long the tests take without one: enough for a machine that is busy."""
    return Limits(int(4 * unmutated.cpu_s) + 10, 6 * unmutated.wall_s + 60)


class Trials:
    """Runs tests in a copy of the project."""

    def __init__(self, tree: Path, scratch: Path, preload: Sequence[str]) -> None:
        """`scratch`: for the tests' files; `preload`: names of packages, none of them of the project."""
        self._tree, self._scratch = tree, scratch
        scratch.mkdir(parents=True, exist_ok=True)
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # threads do not survive a fork
        for name in preload:
            importlib.import_module(name)

    def run(self, tests: Sequence[str], limits: Limits = UNHURRIED, *, keep_compiled: bool = False) -> Trial:
        """Runs the tests until the first fails. `keep_compiled`: writes compiled files, which mutants then share."""
        log, files = self._scratch / "output", self._scratch / "files"
        shutil.rmtree(files, ignore_errors=True)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _run_pytest(self._tree, [*_PYTEST, f"--basetemp={files}", *tests], log, limits, keep_compiled)
        status, cpu_s = _wait(child, limits.wall_s)
        wall_s = time.monotonic() - began
        output = log.read_text(errors="replace") if log.exists() else ""
        return Trial(_outcome(status), cpu_s, wall_s, output)


def _wait(child: int, wall_s: float) -> tuple[int | None, float]:
    """The status of a process, None where it had to be stopped; and the seconds of the processor that it took."""
    handle = os.pidfd_open(child)
    try:
        ended = bool(select.select([handle], [], [], wall_s)[0])
    except BaseException:  # somebody stops the run
        _end_group(child)
        raise
    finally:
        os.close(handle)
    _end_group(child)
    _, status, usage = os.wait4(child, 0)
    return (status if ended else None), usage.ru_utime + usage.ru_stime


def _end_group(child: int) -> None:
    """Ends a process and those that it left behind."""
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _outcome(status: int | None) -> Outcome:
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Outcome.TIMED_OUT
    if not os.WIFEXITED(status):
        return Outcome.FAILED
    code = os.WEXITSTATUS(status)
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ran no test (exit code {code}): is a file of rooms.toml not there?")
    return Outcome.PASSED if code == 0 else Outcome.FAILED


class _WithoutShrinking:
    """A plugin of pytest: the first counterexample will do, looking for the smallest takes seconds; and where a test
    does not say how many examples it needs, a few."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not before pytest has seen to its assertions

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", max_examples=_EXAMPLES, phases=phases, deadline=None)
        settings.load_profile("mutation")


def _run_pytest(tree: Path, arguments: Sequence[str], log: Path, limits: Limits, keep_compiled: bool) -> NoReturn:
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _look_at(tree, keep_compiled)
        code = int(pytest.main(list(arguments), plugins=[_WithoutShrinking()]))
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _look_at(tree: Path, keep_compiled: bool) -> None:
    """Has this process, and those that it starts, import the copy of the project."""
    os.chdir(tree)
    sys.path[:] = [str(tree), *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
    for name in [n for n in sys.modules if n == "bench" or n.startswith("bench.")]:
        del sys.modules[name]
    os.environ["PYTHONPATH"] = str(tree)
    sys.dont_write_bytecode = not keep_compiled
    if not keep_compiled:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
