"""Open databases keep their locks, whatever is asked of their files."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from index.manifest.manifest import salt_of
from index.storage import connect
from index.storage.open_databases import OpenDatabases
from index.storage.page_format import FORMATS, PageFormat

KEY = b"k" * 32
# SQLite's range of shared locks begins at 1 GiB and 2 bytes, and is 510 bytes long.
_IS_FREE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)"


def is_locked(path: Path) -> bool:
    """Whether another process is refused the lock that it needs to remove the write-ahead log."""
    return subprocess.run([sys.executable, "-c", _IS_FREE, str(path)], capture_output=True).returncode != 0


@pytest.mark.parametrize("pages", FORMATS)
def test_a_second_connection_and_a_look_at_the_salt_keep_the_locks(tmp_path: Path, pages: PageFormat) -> None:
    path = tmp_path / "a.db"
    first = connect(path, KEY, pages)
    first.execute("CREATE TABLE t (x)")
    assert is_locked(path)
    salt = salt_of(path)
    second = connect(path, KEY, create=False)
    assert second.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert is_locked(path)
    first.close()
    assert salt_of(path) == salt == written_salt(path)
    second.close()
    assert not is_locked(path)


def written_salt(path: Path) -> bytes:
    """The salt that is in the file, read by another process."""
    show = "import sys; sys.stdout.write(open(sys.argv[1], 'rb').read(16).hex())"
    return bytes.fromhex(subprocess.run([sys.executable, "-c", show, str(path)], capture_output=True, text=True).stdout)


def test_the_salt_of_a_database_in_the_place_of_another_is_its_own(tmp_path: Path) -> None:
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    for each in (path, other):
        connect(each, KEY).close()
    held = connect(path, KEY)
    before, its_own = salt_of(path), salt_of(other)
    os.replace(other, path)
    assert salt_of(path) == its_own != before
    held.close()
    assert salt_of(path) == its_own


def test_what_is_open_is_forgotten_with_its_last_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = OpenDatabases()
    monkeypatch.setattr("index.storage.open_databases.open_databases", known)
    kept = connect(tmp_path / "a.db", KEY)
    dropped = connect(tmp_path / "a.db", KEY)
    with pytest.raises(Exception, match="not a database"):
        connect(tmp_path / "a.db", b"x" * 32)
    assert list(known._users.values()) == [2]
    del dropped
    gc.collect()
    assert list(known._users.values()) == [1]
    kept.close()
    kept.close()
    assert not known._users
    assert not known._beginnings


def test_a_missing_and_an_empty_file_have_no_salt(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert salt_of(tmp_path / "empty.db") == salt_of(tmp_path / "none.db") == b""
