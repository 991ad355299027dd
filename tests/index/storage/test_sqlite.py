"""Opening, migrating and copying databases."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from index.storage import sqlite
from index.storage.page_format import FORMATS, PageFormat, format_of
from index.storage.sqlite import (
    BUSY_TIMEOUT_S,
    Connection,
    DatabaseLock,
    backup,
    checkpoint,
    connect,
    file_error,
    file_errors,
    integrity_problems,
    is_disk_full,
    library_versions,
    migrate,
    opened,
    store_error,
    store_errors,
)
from index.types.errors import DataFault, StoreDamaged, StoreUnavailable, UnsupportedFormat, WrongKey
from tests.support.data.files import flip_byte

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made.db"


@pytest.fixture
def made(path: Path) -> Iterator[Connection]:
    """A database with a table of a thousand rows."""
    connection = connect(path, KEY)
    connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(n, "x" * 100) for n in range(1000)])
    yield connection
    connection.close()


def pragma(connection: Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_connection_has_every_guarantee_of_the_module(path: Path) -> None:
    for _ in range(2):  # a new database, and one that is there
        connection = connect(path, KEY)
        told = {n: pragma(connection, n) for n in ("synchronous", "secure_delete", "temp_store", "cell_size_check")}
        assert told == {"synchronous": 2, "secure_delete": 1, "temp_store": 2, "cell_size_check": 1}
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "auto_vacuum") == 2
        assert connection.isolation_level is None
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
        connection.close()


def test_a_database_that_must_be_there_is_named_where_it_is_not(path: Path) -> None:
    with pytest.raises(DataFault, match="is missing"):
        connect(path, KEY, create=False)
    path.touch()
    with pytest.raises(DataFault, match="is empty"):
        connect(path, KEY, create=False)
    assert path.stat().st_size == 0
    path.unlink()
    path.mkdir()
    for create in (True, False):
        with pytest.raises(DataFault, match="is not a file"):
            connect(path, KEY, create=create)


def test_an_empty_file_becomes_a_database_where_one_may_be_made(path: Path) -> None:
    path.touch()
    connection = connect(path, KEY)
    assert pragma(connection, "auto_vacuum") == 2
    connection.close()


def test_a_database_in_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        connect(tmp_path / "nowhere" / "made.db", KEY)


def test_another_key_opens_nothing_and_leaves_no_open_file(made: Connection, path: Path) -> None:
    made.close()
    with pytest.raises(WrongKey, match=r"made\.db is not a database, or belongs to another key"):
        connect(path, bytes(32))


def test_errors_of_sqlite_are_translated_by_their_meaning(made: Connection, path: Path) -> None:
    pages = pragma(made, "page_count")
    made.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(dbapi2.DatabaseError) as full:
        made.executemany("INSERT INTO numbers VALUES (?, ?)", [(n, "y" * 1000) for n in range(2000, 3000)])
    assert is_disk_full(full.value)
    assert type(store_error(full.value, path)) is StoreUnavailable
    with pytest.raises(dbapi2.DatabaseError) as wrong:
        made.execute("SELECT * FROM nothing")
    assert not is_disk_full(wrong.value)
    assert type(store_error(wrong.value, path)) is StoreUnavailable
    assert not is_disk_full(ValueError())


def damaged(connection: Connection, path: Path, at: float = 0.5) -> None:
    """Flips a byte of a page, after the whole database is in its file."""
    checkpoint(connection)
    connection.close()
    flip_byte(path, int(path.stat().st_size * at))


def test_a_damaged_page_is_reported_as_damage_and_integrity_names_it(made: Connection, path: Path) -> None:
    assert list(integrity_problems(made)) == []
    damaged(made, path)
    with pytest.raises(StoreDamaged, match=r"made\.db is damaged"), opened(path, KEY) as connection:
        connection.execute("SELECT sum(length(text)) FROM numbers").fetchone()
    with opened(path, KEY) as connection:
        assert "page" in " ".join(integrity_problems(connection))


def test_a_copy_is_whole_has_the_same_format_and_is_of_this_moment(made: Connection, tmp_path: Path) -> None:
    copy = backup(made, tmp_path / "copy.db", KEY)
    made.execute("DELETE FROM numbers")
    assert copy.execute("SELECT count(*) FROM numbers").fetchone()[0] == 1000
    assert pragma(copy, "cipher_page_size") == pragma(made, "cipher_page_size")
    copy.close()
    assert not (tmp_path / "copy.db-wal").exists()


@pytest.mark.parametrize("pages", FORMATS)
def test_a_copy_has_the_format_of_its_original_whether_it_is_the_newest_or_not(
    path: Path, tmp_path: Path, pages: PageFormat
) -> None:
    with contextlib.closing(connect(path, KEY, pages)) as original:
        original.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        backup(original, tmp_path / "copy.db", KEY).close()
    assert format_of(tmp_path / "copy.db", KEY) == format_of(path, KEY)
    with opened(tmp_path / "copy.db", KEY) as copy:
        assert pragma(copy, "cipher_page_size") == str(pages.size)


def test_a_damaged_database_is_not_copied(made: Connection, path: Path, tmp_path: Path) -> None:
    damaged(made, path)
    with pytest.raises(StoreDamaged), opened(path, KEY) as connection:
        backup(connection, tmp_path / "copy.db", KEY)


def test_a_checkpoint_empties_the_log(made: Connection, path: Path) -> None:
    log = path.with_name("made.db-wal")
    assert log.stat().st_size > 0
    checkpoint(made)
    assert log.stat().st_size == 0


FIRST = "CREATE TABLE a (n); CREATE TABLE b (n)"
SECOND = "INSERT INTO a VALUES (1)"


def test_each_migration_runs_once_and_a_newer_format_is_refused(path: Path) -> None:
    connection = connect(path, KEY)
    migrate(connection, (FIRST,), "this")
    assert pragma(connection, "user_version") == 1
    migrate(connection, (FIRST, SECOND), "this")
    migrate(connection, (FIRST, SECOND), "this")
    assert pragma(connection, "user_version") == 2
    assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]
    with pytest.raises(UnsupportedFormat, match="this has format 2; this version supports at most 1"):
        migrate(connection, (FIRST,), "this")
    connection.close()


def test_a_migration_that_fails_leaves_the_format_before_it(path: Path) -> None:
    connection = connect(path, KEY)
    with pytest.raises(dbapi2.DatabaseError):
        migrate(connection, (FIRST, "INSERT INTO a VALUES (1); INSERT INTO nothing VALUES (1)"), "this")
    assert pragma(connection, "user_version") == 1
    assert not connection.in_transaction
    assert connection.execute("SELECT * FROM a").fetchall() == []
    connection.close()


def test_a_migration_may_hold_semicolons_in_text_comments_and_triggers(path: Path) -> None:
    connection = connect(path, KEY)
    script = """
    CREATE TABLE a (text TEXT); -- one; and another
    CREATE TABLE log (text TEXT DEFAULT 'x; y'); /* a; b */
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
      INSERT INTO log VALUES (';'); INSERT INTO log VALUES (new.text || ';');
    END;
    INSERT INTO a VALUES ('p;q')
    """
    migrate(connection, (script,), "this")
    assert [row[0] for row in connection.execute("SELECT text FROM log ORDER BY rowid")] == [";", "p;q;"]
    with pytest.raises(dbapi2.DatabaseError, match="unrecognized token"):
        migrate(connection, (script, "INSERT INTO a VALUES ('open)"), "this")
    migrate(connection, (script, "INSERT INTO a VALUES ('r'); -- the end"), "this")
    assert pragma(connection, "user_version") == 2
    connection.close()


def test_a_migration_that_another_process_made_meanwhile_is_not_made_again(path: Path) -> None:
    connection, other = connect(path, KEY), connect(path, KEY)
    migrate(connection, (FIRST,), "this")

    class Late:
        """Sees the format as it was before the other process came."""

        def __init__(self) -> None:
            self.asked = 0

        def execute(self, statement: str) -> object:
            if statement == "PRAGMA user_version":
                self.asked += 1
                if self.asked == 1:
                    return other.execute("SELECT 0")
            return other.execute(statement)

    migrate(Late(), (FIRST,), "this")
    assert pragma(connection, "user_version") == 1
    connection.close()
    other.close()


def test_versions_of_the_libraries_are_numbers_with_points() -> None:
    sqlite, cipher = library_versions()
    assert sqlite.count(".") == 2
    assert cipher[0].isdigit()


@pytest.mark.parametrize("code", range(30))
def test_an_error_is_classified_by_the_primary_part_of_its_code(code: int) -> None:
    for extended in (code, code | 1 << 8, code | 5 << 8):
        error = dbapi2.OperationalError("on purpose")
        error.sqlite_errorcode = extended
        is_damage = code in (dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB)
        assert type(store_error(error, Path("x.db"))) is (StoreDamaged if is_damage else StoreUnavailable)
        assert type(file_error(error, Path("x.db"))) is (DataFault if is_damage else StoreUnavailable)
        assert is_disk_full(error) is (code == dbapi2.SQLITE_FULL)


def test_a_lock_is_given_back_and_tells_what_an_error_means() -> None:
    lock = DatabaseLock(Path("x.db"))
    for raised, told in ((dbapi2.OperationalError("x"), StoreUnavailable), (ValueError("x"), ValueError)):
        with pytest.raises(told), lock, lock:
            raise raised
    with lock:
        pass
    assert lock._lock.acquire(blocking=False)
    with pytest.raises(DataFault, match="is damaged"), file_errors(Path("x.db")):
        raise StoreDamaged("x")


def test_a_busy_database_is_waited_for_ten_seconds(made: Connection) -> None:
    assert BUSY_TIMEOUT_S == 10.0
    assert pragma(made, "busy_timeout") == 10_000


@pytest.mark.parametrize("code", range(30))
def test_only_what_is_no_database_under_this_key_is_another_key_s(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        error = dbapi2.DatabaseError("on purpose")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(sqlite, "set_format", refuse)
    with pytest.raises((WrongKey, StoreUnavailable)) as caught:
        connect(path, KEY)
    expected = {dbapi2.SQLITE_NOTADB: WrongKey, dbapi2.SQLITE_CORRUPT: StoreDamaged}.get(code, StoreUnavailable)
    assert type(caught.value) is expected


def test_what_sqlite_raises_inside_is_told_of_the_file() -> None:
    with pytest.raises(StoreUnavailable, match=r"x\.db: locked"), file_errors(Path("x.db")):
        raise dbapi2.OperationalError("locked")
    with pytest.raises(StoreUnavailable, match=r"x\.db: locked"), store_errors(Path("x.db")):
        raise dbapi2.OperationalError("locked")
