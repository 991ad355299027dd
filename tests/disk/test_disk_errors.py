"""Every failing system call on every kind of file: the operation fails with a reason, and no acknowledged data is
lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.reliability import FaultResult, told

_STORAGE = {"STORE_UNAVAILABLE", "WRITE_OUTCOME_UNKNOWN", "STORE_DAMAGED", "SNAPSHOT_DAMAGED"}


def check_errors(library: Path, folder: Path, *errors: str) -> int:
    """Runs the cases of these error names. Returns how many calls were refused."""
    root = folder / "data"
    root.mkdir()
    faults = folder / "faults"
    environment = {
        **os.environ, "LD_PRELOAD": str(library), "RECORDER_ROOT": str(root), "RECORDER_FAULTS": str(faults),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.disk.faulty_run", str(root), str(faults), *errors]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        cases = [json.loads(line) for line in told(running.stdout, 30 * len(errors), "failing calls")]
    assert running.returncode == 0
    assert len(cases) == 30 * len(errors)
    assert not [(c["case"], c["wrong"]) for c in cases if c["wrong"]]
    other = [(c["case"], c["reasons"]) for c in cases if set(c["reasons"].values()) - _STORAGE]
    assert not other
    refused = {c["case"][0] for c in cases if c["reasons"]}
    assert refused == {"open", "read", "write", "fsync", "rename"}  # each kind of call did fail
    return sum(len(c["reasons"]) for c in cases)


@pytest.mark.timeout(300)
def test_an_error_of_any_call_is_a_storage_error_and_loses_nothing(recorder: Path, tmp_path: Path) -> None:
    check_errors(recorder, tmp_path, "EIO")


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_the_same_for_a_full_and_a_read_only_disk(
    recorder: Path, tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    refused = check_errors(recorder, tmp_path, "EIO", "ENOSPC", "EROFS", "EDQUOT")
    outcome = "refused with a reason; nothing acknowledged is lost"
    report_faults(FaultResult("open, read, write, fsync or rename fails on a kind of file", refused, 0, outcome))
