from pathlib import Path

import pytest

from index.storage.raw_pages import plain_pages
from index.storage.sqlite import checkpoint, connect

KEY = bytes(range(32))


def found(path: Path, needle: bytes, key: bytes = KEY) -> bool:
    return any(needle in page for page in plain_pages(path, key))


@pytest.mark.parametrize("where", ["log", "file"])
def test_what_is_stored_is_found_where_it_is_and_not_with_another_key(tmp_path: Path, where: str) -> None:
    database = connect(tmp_path / "x.db", KEY)
    database.execute("CREATE TABLE t (a TEXT)")
    database.executemany("INSERT INTO t VALUES (?)", [(f"needle-{n} " + "." * 900,) for n in range(50)])
    if where == "file":
        checkpoint(database)
    for number in (0, 25, 49):
        assert found(tmp_path / "x.db", f"needle-{number} ".encode())
    assert not found(tmp_path / "x.db", b"needle-50 ")
    assert not found(tmp_path / "x.db", b"needle-0 ", bytes(32))
    assert b"needle-0 " not in (tmp_path / "x.db").read_bytes()
    database.close()


def test_what_was_deleted_without_being_overwritten_is_found_too(tmp_path: Path) -> None:
    database = connect(tmp_path / "x.db", KEY)
    database.execute("CREATE TABLE t (a TEXT)")
    database.execute("INSERT INTO t VALUES (?)", ("needle " + "." * 3000,))
    database.execute("PRAGMA secure_delete = OFF")
    database.execute("DELETE FROM t")
    checkpoint(database)
    assert found(tmp_path / "x.db", b"needle ")
    database.close()


def test_what_is_deleted_as_this_program_does_is_not_found(tmp_path: Path) -> None:
    database = connect(tmp_path / "x.db", KEY)
    database.execute("CREATE TABLE t (a TEXT)")
    database.execute("INSERT INTO t VALUES (?)", ("needle " + "." * 3000,))
    checkpoint(database)
    assert found(tmp_path / "x.db", b"needle ")
    database.execute("DELETE FROM t")
    checkpoint(database)
    assert not found(tmp_path / "x.db", b"needle ")
    database.close()
