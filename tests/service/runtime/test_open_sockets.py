"""The sockets of this process."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from pathlib import Path

from service.runtime.open_sockets import internet_sockets

_IS_FREE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def test_tcp_sockets_are_found_and_nothing_else() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local, other = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server, datagrams, local, other:
        datagrams.bind(("127.0.0.1", 0))
        ports = {found.getsockname()[1] for found in internet_sockets()}
        assert server.getsockname()[1] in ports
        assert datagrams.getsockname()[1] not in ports
        assert all(found.family != socket.AF_UNIX for found in internet_sockets())


def test_a_duplicate_is_closed_when_the_next_one_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        found = list(internet_sockets())
        assert found
        assert all(one.fileno() == -1 for one in found)


def is_locked(path: Path) -> bool:
    """Whether another process is refused a lock on a file."""
    return subprocess.run([sys.executable, "-c", _IS_FREE, str(path)], capture_output=True).returncode != 0


def test_locks_on_files_are_kept(tmp_path: Path) -> None:
    """SQLite has such locks on every database, and loses data without them."""
    path = tmp_path / "locked"
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert is_locked(path)
        list(internet_sockets())
        assert is_locked(path)
