"""The sealed rows of one collection in PostgreSQL, by version: each commit of any server has the next one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from index.records.postgresql.database import CHANNEL, PgConnection

ROW, DELETED, TOMBSTONE = 0, 1, 2  # kinds; only rows stay for ever
_PAGE = 1000
_STAMP_BYTES = 8


class State(NamedTuple):
    """How far a collection is. number: of the collection, in PostgreSQL; format: of the databases of the servers;
    pruned: deletions up to this version are not told any more."""

    number: int
    format: int
    version: int
    pruned: int
    deleted: bool


class SealedRow(NamedTuple):
    """key: 16 bytes; kind: ROW, DELETED or TOMBSTONE, which is a row that goes at some time."""

    key: bytes
    version: int
    kind: int
    sealed: bytes


@dataclass(frozen=True)
class SharedRows:
    """id: of the collection, 16 bytes; owner: uid of its tenant. Each method is called in a transaction of the
    connection that it gets, and raises what psycopg raises."""

    id: bytes
    owner: str = ""

    def state(self, connection: PgConnection, *, locked: bool = False) -> State | None:
        """How far the collection is; None: PostgreSQL does not have it. locked: no other server writes to it before
        the end of the transaction."""
        query = "SELECT number, format, version, pruned, deleted FROM afterimage.collections WHERE id = %s"
        row = connection.execute(query + (" FOR UPDATE" if locked else ""), (self.id,), binary=True).fetchone()
        return None if row is None else State(*row)

    def make(self, connection: PgConnection, format: int) -> bool:
        """Enters the collection, at version 0. False: another server has done so."""
        made = connection.execute(
            "INSERT INTO afterimage.collections (id, format, version, owner) VALUES (%s, %s, 0, %s)"
            " ON CONFLICT DO NOTHING",
            (self.id, format, owner_id(self.owner)),
        )
        return made.rowcount == 1

    def drop(self, connection: PgConnection, *, deleted: bool) -> None:
        """Deletes all rows of the collection. deleted: no server may have it any more, and may enter it again."""
        state = self.state(connection, locked=True)
        if state is None:
            return
        _drop_rows(connection, state.number)
        if deleted:
            connection.execute("UPDATE afterimage.collections SET deleted = true WHERE id = %s", (self.id,))
        else:
            connection.execute("DELETE FROM afterimage.collections WHERE id = %s", (self.id,))
        self._notify(connection)

    def put(self, connection: PgConnection, number: int, rows: Sequence[SealedRow]) -> None:
        """Writes rows over what they were."""
        keys, versions, kinds, sealed = zip(*rows, strict=True)
        connection.execute(
            "INSERT INTO afterimage.rows SELECT %s, * FROM"
            " unnest(%b::bytea[], %b::bigint[], %b::smallint[], %b::bytea[])"
            " ON CONFLICT (collection, key) DO UPDATE"
            " SET version = excluded.version, kind = excluded.kind, sealed = excluded.sealed",
            (number, list(keys), list(versions), list(kinds), list(sealed)),
        )

    def advance(self, connection: PgConnection, number: int, version: int, format: int) -> bytes:
        """Raises the version. Returns the stamp, by which the commit is known from one that was lost."""
        stamp = os.urandom(_STAMP_BYTES)
        connection.execute(
            "UPDATE afterimage.collections SET version = %s, format = %s, owner = %s WHERE number = %s",
            (version, format, owner_id(self.owner), number),
        )
        connection.execute(
            "INSERT INTO afterimage.commits (collection, version, stamp) VALUES (%s, %s, %s)", (number, version, stamp)
        )
        self._notify(connection)
        return stamp

    def stamp(self, connection: PgConnection, number: int, version: int) -> bytes:
        """The stamp of a version; empty where it is not known any more, or not yet."""
        row = connection.execute(
            "SELECT stamp FROM afterimage.commits WHERE collection = %s AND version = %s", (number, version)
        ).fetchone()
        return bytes(row[0]) if row else b""

    def after(self, connection: PgConnection, number: int, version: int) -> Iterator[list[SealedRow]]:
        """All rows and deletions of higher versions, in pages, in order of versions."""
        position: tuple[int, bytes] = (version + 1, b"")
        while True:
            found = connection.execute(
                "SELECT key, version, kind, sealed FROM afterimage.rows WHERE collection = %s"
                " AND (version, key) > (%s, %s) ORDER BY version, key LIMIT %s",
                (number, *position, _PAGE), binary=True,
            ).fetchall()  # fmt: skip
            rows = [SealedRow(bytes(k), v, kind, bytes(sealed)) for k, v, kind, sealed in found]
            if rows:
                yield rows
            if len(rows) < _PAGE:
                return
            position = (rows[-1].version, rows[-1].key)

    def there(self, connection: PgConnection, number: int, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that are of rows that are there."""
        found = connection.execute(
            "SELECT key FROM afterimage.rows WHERE collection = %s AND kind <> %s AND key = ANY(%b)",
            (number, DELETED, list(keys)), binary=True,
        )  # fmt: skip
        return {bytes(key) for (key,) in found}

    def prune(self, connection: PgConnection, days: float) -> int:
        """Forgets deletions that are older. A server whose copy is older still renews it. Returns how many."""
        state = self.state(connection, locked=True)
        if state is None:
            return 0
        row = connection.execute(
            "SELECT max(version) FROM afterimage.commits"
            " WHERE collection = %s AND at < now() - make_interval(secs => %s)",
            (state.number, days * 86400),
        ).fetchone()
        up_to = row[0] if row else None
        if up_to is None or up_to <= state.pruned:
            return 0
        gone = connection.execute(
            "DELETE FROM afterimage.rows WHERE collection = %s AND version <= %s AND kind <> %s",
            (state.number, up_to, ROW),
        ).rowcount
        connection.execute(
            "DELETE FROM afterimage.commits WHERE collection = %s AND version < %s", (state.number, up_to)
        )
        connection.execute("UPDATE afterimage.collections SET pruned = %s WHERE number = %s", (up_to, state.number))
        return int(gone)

    @staticmethod
    def forget(connection: PgConnection, owner: str) -> int:
        """Deletes all rows of everything that a tenant has, by uid. Returns of how many collections and databases."""
        found = connection.execute(
            "SELECT number FROM afterimage.collections WHERE owner = %s ORDER BY number FOR UPDATE", (owner_id(owner),)
        ).fetchall()
        for (number,) in found:
            _drop_rows(connection, number)
            connection.execute("DELETE FROM afterimage.collections WHERE number = %s", (number,))
        return len(found)

    def _notify(self, connection: PgConnection) -> None:
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self.id.hex()))


def owner_id(uid: str) -> bytes:
    """What PostgreSQL knows a tenant by: 16 bytes. uid: random, so that a digest of it says nothing; empty: none."""
    return hashlib.sha256(f"tenant {uid}".encode()).digest()[:16] if uid else b""


def _drop_rows(connection: PgConnection, number: int) -> None:
    connection.execute("SET LOCAL statement_timeout = 0")  # there may be millions
    connection.execute("DELETE FROM afterimage.rows WHERE collection = %s", (number,))
    connection.execute("DELETE FROM afterimage.commits WHERE collection = %s", (number,))
