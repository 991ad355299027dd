"""No key, token, credential or URL remains after a call or run, whatever its path and outcome."""

import os
from pathlib import Path

import pytest

from tests.e2e.privacy.canary import UNPROTECTED
from tests.e2e.privacy.secrets_canary import CONTROL, run
from tests.support.needs import missing


@pytest.fixture(autouse=True)
def _may_look() -> None:
    if os.geteuid() != 0:
        missing("the right to read another process's memory", "run the tests as root")


def test_no_secret_remains_in_memory_files_log_or_redis(tmp_path: Path) -> None:
    assert run(tmp_path, {}) == {"seen": {CONTROL}}


@pytest.mark.long
def test_without_the_protections_the_search_finds_them(tmp_path: Path) -> None:
    left = run(tmp_path, {**UNPROTECTED, "PYTHONMALLOC": "pymalloc"}, patience_s=0.1)
    assert len(left["server"]) >= 3, left
