"""Encrypted SQLite databases: how one is opened, and how its format moves forward.

Every database of a data directory is opened here, so that all have the same guarantees: SQLCipher with a raw 256-bit
key, write-ahead log, `synchronous=FULL` (a commit is on disk when it returns), `secure_delete` (a deleted row's bytes
are overwritten), temporary tables in memory. A new one has the newest format of pages, an older one keeps its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2

from index.storage.open_databases import TrackedConnection
from index.storage.page_format import FORMATS, PageFormat, format_of
from index.types.errors import (
    AfterimageIndexError,
    DataFault,
    StoreDamaged,
    StoreUnavailable,
    UnsupportedFormat,
    WrongKey,
)

Connection = Any
DatabaseError = dbapi2.DatabaseError
BUSY_TIMEOUT_S = 10.0
_DAMAGE = (dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB)


def connect(
    path: Path, key: bytes, pages: PageFormat | None = None, *, create: bool = True, read_only: bool = False
) -> Connection:
    """Opens, or makes, a database. Usable from any one thread at a time. pages: of a new one, None: the newest.
    create: whether one is made where there is none. read_only: for one that there is. Such a connection cannot write,
    and does not move the log when it is the last to close.

    Raises WrongKey where the key does not fit, StoreUnavailable where the file cannot be opened, DataFault where it is
    missing or empty although it must be there, or damaged.
    """
    for plain in (bytes, type(None)):  # else the module looks for an adapter of each in vain, which takes it 0.7 µs
        dbapi2.register_adapter(plain, _as_it_is)
    create = create and not read_only
    if not create or path.is_dir():
        check_there(path)
    mode = "ro" if read_only else "rwc" if create else "rw"
    try:
        connection = dbapi2.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None,
            check_same_thread=False, timeout=BUSY_TIMEOUT_S, cached_statements=64, factory=TrackedConnection,
        )  # fmt: skip
    except dbapi2.Error as error:
        raise StoreUnavailable(f"{path.name}: {error}") from error
    try:
        there = connection.take(path, key)
        pages = pages or (there.pages if there else format_of(path, key))
        connection.execute("PRAGMA cipher_log_level = NONE")  # else it writes to standard error, beside the log
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        set_format(connection, pages)
        if there is None and create:  # in another one that has it SQLite would write the first page, at every opening
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
        for setting in ("synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
        if there is None:
            connection.take_new(path, pages)
    except (dbapi2.DatabaseError, OSError) as error:
        connection.close()
        if _primary_code(error) == dbapi2.SQLITE_NOTADB:
            raise WrongKey(f"{path.name} is not a database, or belongs to another key") from error
        raise store_error(error, path) from error
    return connection


@contextmanager
def opened(path: Path, key: bytes) -> Iterator[Connection]:
    """A connection for one use. Raises as `connect` does, and in place of what SQLite raises inside StoreDamaged or
    StoreUnavailable."""
    connection = connect(path, key, create=False)
    try:
        with store_errors(path):
            yield connection
    finally:
        connection.close()


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Raises StoreDamaged or StoreUnavailable in place of what SQLite raises inside, about the database at `path`."""
    try:
        yield
    except DatabaseError as error:
        raise store_error(error, path) from error


def store_error(error: BaseException, path: Path) -> StoreUnavailable:
    """What an error of SQLite means to the caller."""
    if _primary_code(error) in _DAMAGE:
        return StoreDamaged(
            f"{path.name} is damaged ({error}): `afterimage index verify` lists the pages; restore a snapshot"
        )
    return StoreUnavailable(f"{path.name}: {error}")


def file_error(error: BaseException, path: Path) -> AfterimageIndexError:
    """The same of a database that a tenant, or the server, as a whole stands on."""
    if _primary_code(error) in _DAMAGE:
        return DataFault(path, f"is damaged ({error})")
    return StoreUnavailable(f"{path.name}: {error}")


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raises DataFault or StoreUnavailable in place of what SQLite raises inside, about such a database."""
    try:
        yield
    except StoreDamaged as error:
        raise DataFault(path, "is damaged") from error
    except DatabaseError as error:
        raise file_error(error, path) from error


class DatabaseLock:
    """For a database that several threads use, one at a time: what SQLite raises inside is raised as DataFault where
    the file is damaged, and as StoreUnavailable else. May be taken again by the thread that has it."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._lock.release()
        if isinstance(error, DatabaseError):
            raise file_error(error, self._path) from error


def is_disk_full(error: BaseException) -> bool:
    """Whether a database refused because there is no room; a transaction that fails so leaves nothing behind."""
    return _primary_code(error) == int(dbapi2.SQLITE_FULL)


def _primary_code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def check_there(path: Path) -> None:
    """Raises DataFault unless there is a file that is not empty."""
    if not path.exists():
        raise DataFault(path, "is missing")
    if not path.is_file():
        raise DataFault(path, "is not a file")
    if path.stat().st_size == 0:
        raise DataFault(path, "is empty")


def set_format(connection: Connection, pages: PageFormat, database: str = "main") -> None:
    """Says how the pages of a database lie that was opened, or attached, and not read yet."""
    connection.execute(f"PRAGMA {database}.cipher_page_size = {pages.size}")
    connection.execute(f"PRAGMA {database}.cipher_hmac_algorithm = {pages.mac}")


def backup(source: Connection, path: Path, key: bytes) -> Connection:
    """Copies what `source` sees at this moment into a new database, which is then open. Pages are copied as they are:
    it has the same format. Raises as `connect` does, DatabaseError, and StoreDamaged where the copy is not whole:
    SQLCipher copies a page that fails its check as zeros, and says nothing."""
    size = int(source.execute("PRAGMA cipher_page_size").fetchone()[0])
    copy = connect(path, key, {f.size: f for f in FORMATS}[size])
    try:
        source.backup(copy)
        checkpoint(copy)
        if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreDamaged("the database to copy is damaged: `afterimage index verify` lists the pages")
    except BaseException:
        copy.close()
        raise
    return copy


def _as_it_is(value: bytes | None) -> bytes | None:
    return value


def migrate(connection: Connection, migrations: Sequence[str], what: str) -> None:
    """Brings a database to the newest format; `user_version` counts the migrations that ran.

    Raises UnsupportedFormat where it is newer than this program knows.
    """
    newest = len(migrations)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > newest:
        raise UnsupportedFormat(
            f"{what} has format {found}; this version supports at most {newest}: use a newer version of Afterimage"
        )
    for version in range(found, newest):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] <= version:
                for statement in statements(migrations[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def statements(script: str) -> Iterator[str]:
    """The statements of an SQL script. SQLite itself says where one ends, so that a semicolon may stand in text, in a
    comment or in a trigger. `executescript` would commit the transaction that it runs in."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if dbapi2.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip("; \n"):
        yield statement  # SQLite names what is wrong with it


def checkpoint(connection: Connection) -> None:
    """Moves the write-ahead log into the database and empties it, so that overwritten rows leave the disk."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def shrink(connection: Connection) -> None:
    """Lets go of the pages that a connection remembers, some megabytes after much was written."""
    connection.execute("PRAGMA shrink_memory").fetchall()


def integrity_problems(connection: Connection) -> Iterator[str]:
    """What is wrong with a database: pages whose MAC does not fit, and what SQLite itself finds."""
    try:
        if connection.execute("PRAGMA cipher_integrity_check").fetchone() is not None:
            checkpoint(connection)  # the log may hold a whole page where a power cut left half of one in the file
        yield from (str(row[0]) for row in connection.execute("PRAGMA cipher_integrity_check"))
        yield from (str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok")
    except DatabaseError as error:
        yield f"the database cannot be read: {error}"


def library_versions() -> tuple[str, str]:
    """Versions of SQLite and SQLCipher."""
    connection = dbapi2.connect(":memory:")
    try:
        cipher = connection.execute("PRAGMA cipher_version").fetchone()[0]
        return dbapi2.sqlite_version, str(cipher)
    finally:
        connection.close()
