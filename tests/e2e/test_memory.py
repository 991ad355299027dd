"""What of the pictures is left in the server's memory once the callers are gone. Needs root: nobody else may look."""

import os
import time
from pathlib import Path

import pytest

from tests.e2e.test_forgetting import MARK, SWAPPED, send_everywhere
from tests.support.server import start_server
from tests.support.shared import missing

MARKS_PER_PICTURE = 128


def marks_in_memory(pid: int) -> int:
    """Occurrences of the mark, in either byte order, in all writable memory of a process."""
    found = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions = line.split()[:2]
            if not permissions.startswith("rw"):
                continue
            low, high = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(low)
                content = memory.read(high - low)
            except (OSError, OverflowError):
                continue
            found += content.count(MARK[:12]) + content.count(SWAPPED[:12])
    return found


def marks_left(folder: Path, environment: dict[str, str], *, wait_for_fewer_than: int = 0) -> int:
    """Marks once the callers are gone; gRPC takes a moment to drop a connection's read buffer."""
    server = start_server(folder, environment=environment)
    with server.client(server.key("acme")) as client, server.client(server.key("other")) as stranger:
        send_everywhere(client, stranger)
    deadline = time.monotonic() + (10 if wait_for_fewer_than else 0)
    while (found := marks_in_memory(server.process.pid)) >= wait_for_fewer_than and time.monotonic() < deadline:
        pass
    assert server.stop() == 0
    return found


def test_no_picture_stays_in_memory_and_without_the_protections_many_do(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("the right to read another process's memory")
    unprotected = marks_left(tmp_path / "off", {"_AFTERIMAGE_PREPARED": "1", "OMP_NUM_THREADS": "1"})
    assert unprotected > 20 * MARKS_PER_PICTURE  # the search does see what is there
    shred = MARKS_PER_PICTURE // 4  # at most a part of the last read buffer
    assert marks_left(tmp_path / "on", {}, wait_for_fewer_than=shred) < shred


@pytest.mark.parametrize("mark", [MARK, SWAPPED])
def test_the_mark_is_long_enough_not_to_occur_by_chance(mark: bytes) -> None:
    assert len(set(mark[:12])) > 6
