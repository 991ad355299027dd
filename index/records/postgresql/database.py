"""Connections to PostgreSQL, and the tables that all collections share there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg

from index.types.errors import StoreUnavailable, UnsupportedFormat

PgConnection = psycopg.Connection[Any]
PgError = psycopg.Error
CHANNEL = "afterimage"
_FORMAT = 1
_OLDEST_SERVER = 150000
# A server that cannot be reached is given up within these times, so that a write is refused and not hung.
_CONNECT_S, _LOCK_MS, _STATEMENT_MS, _IDLE_MS = 5, 15_000, 120_000, 60_000
_ALIVE: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_IDLE_CONNECTIONS, _FRESH_S = 8, 1.0
_PREPARING = 0x61667465  # advisory lock
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS afterimage;
CREATE TABLE IF NOT EXISTS afterimage.format (format integer NOT NULL);
INSERT INTO afterimage.format SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM afterimage.format);
CREATE TABLE IF NOT EXISTS afterimage.collections (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id bytea NOT NULL UNIQUE,
  format integer NOT NULL,
  version bigint NOT NULL,
  pruned bigint NOT NULL DEFAULT 0,
  deleted boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS afterimage.rows (
  collection bigint NOT NULL REFERENCES afterimage.collections,
  key bytea NOT NULL,
  version bigint NOT NULL,
  kind smallint NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (collection, key)
);
ALTER TABLE afterimage.rows ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS rows_by_version ON afterimage.rows (collection, version, key);
CREATE TABLE IF NOT EXISTS afterimage.commits (
  collection bigint NOT NULL REFERENCES afterimage.collections,
  version bigint NOT NULL,
  stamp bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (collection, version)
);
ALTER TABLE afterimage.collections ADD COLUMN IF NOT EXISTS owner bytea NOT NULL DEFAULT '';
CREATE TABLE IF NOT EXISTS afterimage.servers (
  deployment bytea NOT NULL,
  id bytea NOT NULL,
  name bytea NOT NULL,
  seen timestamptz NOT NULL,
  erased bigint NOT NULL,
  PRIMARY KEY (deployment, id)
);
CREATE TABLE IF NOT EXISTS afterimage.erasures (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  deployment bytea NOT NULL,
  owner bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS collections_by_owner ON afterimage.collections (owner);
"""


class Database:
    """One PostgreSQL database. Any number of threads may call any method at once."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet."""
        self._url = url
        self._idle: list[tuple[PgConnection, float]] = []
        self._lock = threading.Lock()
        self._prepared = self._closed = False

    @contextmanager
    def transaction(self, *, one_state: bool = False) -> Iterator[PgConnection]:
        """A connection in a transaction, which is committed at the end of the block, where the block has not done so,
        and rolled back where that raises. one_state: all statements see one committed state. Raises Unreachable in
        place of what psycopg raises."""
        with reached():
            connection = self._take()
            level = psycopg.IsolationLevel.REPEATABLE_READ if one_state else psycopg.IsolationLevel.READ_COMMITTED
            try:
                connection.isolation_level = level
                yield connection
                if not connection.closed:  # else the block knows what became of it
                    connection.commit()
            except BaseException as error:
                self._give_back(connection, sound=not isinstance(error, psycopg.Error))
                raise
            self._give_back(connection, sound=True)

    def connect(self) -> PgConnection:
        """A connection of one's own, which commits each statement. Raises Unreachable or UnsupportedFormat."""
        with reached():
            connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_S, application_name="afterimage",
                options=f"-c lock_timeout={_LOCK_MS} -c statement_timeout={_STATEMENT_MS}"
                f" -c idle_in_transaction_session_timeout={_IDLE_MS}", **_ALIVE,
            )  # fmt: skip
            try:
                if not self._prepared:
                    _prepare(connection)
                    self._prepared = True
            except BaseException:
                connection.close()
                raise
            return connection

    def close(self) -> None:
        """Closes idle connections; those in use are closed when they are given back."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection, _ in idle:
            connection.close()

    def _take(self) -> PgConnection:
        while True:
            with self._lock:
                found, since = self._idle.pop() if self._idle else (None, 0.0)
            if found is None:
                connection = self.connect()
                connection.autocommit = False
                return connection
            if monotonic() - since < _FRESH_S or _answers(found):
                return found
            found.close()

    def _give_back(self, connection: PgConnection, *, sound: bool) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            sound = False
        with self._lock:
            if sound and not connection.closed and not self._closed and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append((connection, monotonic()))
                return
        connection.close()


class Unreachable(StoreUnavailable):
    """PostgreSQL does not answer, or refuses."""


@contextmanager
def reached() -> Iterator[None]:
    """Raises Unreachable in place of what psycopg raises inside."""
    try:
        yield
    except psycopg.Error as error:
        raise Unreachable(f"PostgreSQL: {said(error)}") from error


def said(error: psycopg.Error) -> str:
    """The first line of what PostgreSQL, or the connection, says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _answers(connection: PgConnection) -> bool:
    """Whether a connection that was idle for some time still stands."""
    try:
        connection.execute("SELECT 1")
        connection.rollback()
        return True
    except psycopg.Error:
        return False


def _prepare(connection: PgConnection) -> None:
    """Makes the tables where they are missing."""
    if connection.info.server_version < _OLDEST_SERVER:
        raise UnsupportedFormat(f"PostgreSQL {connection.info.server_version // 10000} is too old; 15 is the oldest")
    row = connection.execute("SELECT to_regclass('afterimage.erasures') IS NOT NULL").fetchone()
    if not (row and row[0]):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARING,))
            connection.execute(_SCHEMA)
    row = connection.execute("SELECT format FROM afterimage.format").fetchone()
    if row is None or row[0] > _FORMAT:
        raise UnsupportedFormat("the tables in PostgreSQL are of a newer version of Afterimage")
