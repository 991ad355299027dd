"""The header of the WAL index: commits that other processes make are noticed without a query."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.storage.sqlite import Connection, checkpoint, connect
from index.storage.wal_header import HEADER_BYTES, WalHeader

KEY = bytes(32)
_LOCKED_BY_READERS = 128  # the byte of the file that each process with a connection locks, as SQLite's os_unix.c says
CHANGE = "import sys; from pathlib import Path; from index.storage.sqlite import connect;"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "any.db"


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    opened = connect(path, KEY)
    opened.execute("CREATE TABLE numbers (number INTEGER)")
    yield opened
    opened.close()


def run(code: str, path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", CHANGE + code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_each_commit_of_this_and_of_other_processes_changes_the_header(path: Path, connection: Connection) -> None:
    header = WalHeader(path)
    seen = [header.read()]
    assert len(seen[0]) == HEADER_BYTES
    for _ in range(3):
        connection.execute("INSERT INTO numbers VALUES (1)")
        seen.append(header.read())
        run("connect(Path(sys.argv[1]), bytes(32)).execute('INSERT INTO numbers VALUES (1)')", path)
        seen.append(header.read())
    checkpoint(connection)
    connection.execute("INSERT INTO numbers VALUES (1)")
    seen.append(header.read())
    assert len(set(seen)) == len(seen)
    header.close()


def test_reading_changes_nothing_and_a_rollback_neither(path: Path, connection: Connection) -> None:
    header = WalHeader(path)
    before = header.read()
    run("print(connect(Path(sys.argv[1]), bytes(32)).execute('SELECT count(*) FROM numbers').fetchone())", path)
    for statement in ("BEGIN IMMEDIATE", "INSERT INTO numbers VALUES (1)", "ROLLBACK", "SELECT * FROM numbers"):
        connection.execute(statement)
    assert header.read() == before
    header.close()


def test_closing_one_of_several_leaves_the_locks_of_sqlite_to_the_others(path: Path, connection: Connection) -> None:
    first, second = WalHeader(path), WalHeader(path)
    first.close()
    found = run(
        f"import fcntl, os; f = os.open(sys.argv[1] + '-shm', os.O_RDWR)\n"
        f"try: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, {_LOCKED_BY_READERS}); print('free')\n"
        f"except OSError: print('locked')",
        path,
    )
    assert found == "locked"
    before = second.read()
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert second.read() != before
    connection.close()
    second.close()


def test_a_database_that_is_not_open_has_no_header(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WalHeader(path)


def test_nothing_is_read_after_the_end(path: Path, connection: Connection) -> None:
    header = WalHeader(path)
    connection.close()
    header.close()
    with pytest.raises(ValueError, match="closed"):
        header.read()
