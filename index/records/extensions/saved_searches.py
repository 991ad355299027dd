"""Saved searches: names, and for each name its versions."""

from __future__ import annotations

import secrets

from index.contract import SAVED_SEARCHES, SavedSearchReads, SavedSearchWrites
from index.records.extensions.hook import Extension, Reader
from index.records.queries import has_table
from index.records.transaction import Transaction
from index.storage.sqlite import Connection
from index.types.companions import MAX_SAVED_SEARCHES, MAX_SAVED_VERSIONS, SavedSearch, check_saved_search
from index.types.errors import QuotaExceeded, SavedSearchExists, SavedSearchMoved, SavedSearchNotFound
from index.types.quota import Usage

_MIGRATIONS = {
    7: """
    CREATE TABLE saved_searches (
      name TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      created_ms INTEGER NOT NULL,
      deleted INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE saved_search_versions (
      name TEXT NOT NULL,
      version INTEGER NOT NULL,
      etag TEXT NOT NULL,
      saved_ms INTEGER NOT NULL,
      content BLOB NOT NULL,
      PRIMARY KEY (name, version)
    ) WITHOUT ROWID
""",
}
_COLUMNS = (
    "SELECT name, v.version, etag, created_ms, saved_ms, content"
    " FROM saved_searches AS s JOIN saved_search_versions AS v USING (name)"
)
_FREE_NAMES = 100  # numbers of deleted names that are remembered


class SavedSearches(Extension):
    """The extension. The bytes of all versions count towards the quota of the tenant."""

    companion = SAVED_SEARCHES
    migrations = _MIGRATIONS
    carried = ("saved_searches", "saved_search_versions")
    lost = ("saved searches",)

    def reads(self, reader: Reader) -> SavedSearchReads:
        return _Reads(reader)

    def writes(self, transaction: Transaction) -> SavedSearchWrites:
        return _Writes(transaction)

    def stored_bytes(self, connection: Connection) -> int:
        if not has_table(connection, "saved_search_versions"):
            return 0
        query = "SELECT coalesce(sum(length(name) + length(content)), 0) FROM saved_search_versions"
        return int(connection.execute(query).fetchone()[0])


class _Reads:
    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    def one(self, name: str, version: int = 0) -> SavedSearch:
        return self._read(lambda connection: _one(connection, name, version))

    def page(self, after: str, limit: int) -> list[SavedSearch]:
        query = f"{_COLUMNS} WHERE v.version = s.version AND name > ? ORDER BY name LIMIT ?"
        return self._read(lambda c: [SavedSearch(*row) for row in c.execute(query, (after, limit))])

    def versions(self, name: str) -> list[SavedSearch]:
        query = f"{_COLUMNS} WHERE name = ? ORDER BY v.version DESC"
        found = self._read(lambda c: [SavedSearch(*row) for row in c.execute(query, (name,))])
        if not found:
            raise _missing(name)
        return found


class _Writes:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction, self._execute = transaction, transaction.connection.execute

    def create(self, name: str, content: bytes, now_ms: int) -> SavedSearch:
        check_saved_search(name, content)
        row = self._execute("SELECT version, deleted FROM saved_searches WHERE name = ?", (name,)).fetchone()
        if row is not None and not row[1]:
            raise SavedSearchExists(f"saved search {name!r} exists")
        (count,) = self._execute("SELECT count(*) FROM saved_searches WHERE NOT deleted").fetchone()
        if count >= MAX_SAVED_SEARCHES:
            raise QuotaExceeded("saved_searches", f"the collection has {MAX_SAVED_SEARCHES} saved searches")
        version = row[0] + 1 if row is not None else 1
        self._execute("INSERT OR REPLACE INTO saved_searches VALUES (?, ?, ?, 0)", (name, version, now_ms))
        return self._store(SavedSearch(name, version, secrets.token_hex(8), now_ms, now_ms, content))

    def update(self, name: str, content: bytes, etag: str, now_ms: int) -> SavedSearch:
        check_saved_search(name, content)
        before = self._expected(name, etag)
        version = before.version + 1
        self._execute("UPDATE saved_searches SET version = ? WHERE name = ?", (version, name))
        made = self._store(SavedSearch(name, version, secrets.token_hex(8), before.created_ms, now_ms, content))
        self._drop(name, version - MAX_SAVED_VERSIONS)
        return made

    def delete(self, name: str, etag: str) -> int:
        before = self._expected(name, etag)
        count = self._drop(name, before.version)
        self._execute("UPDATE saved_searches SET deleted = 1 WHERE name = ?", (name,))
        self._execute(
            "DELETE FROM saved_searches WHERE deleted AND name NOT IN"
            " (SELECT name FROM saved_searches WHERE deleted ORDER BY created_ms DESC LIMIT ?)",
            (_FREE_NAMES,),
        )
        return count

    def _store(self, made: SavedSearch) -> SavedSearch:
        self._transaction.grow(Usage(0, len(made.name) + len(made.content)))
        self._execute(
            "INSERT INTO saved_search_versions VALUES (?, ?, ?, ?, ?)",
            (made.name, made.version, made.etag, made.saved_ms, made.content),
        )
        return made

    def _drop(self, name: str, up_to: int) -> int:
        """Drops versions up to a number. Returns how many."""
        where = "FROM saved_search_versions WHERE name = ? AND version <= ?"
        count, size = self._execute(
            f"SELECT count(*), coalesce(sum(length(content)), 0) {where}", (name, up_to)
        ).fetchone()
        self._execute(f"DELETE {where}", (name, up_to))
        self._transaction.growth = self._transaction.growth.plus(Usage(0, -(size + count * len(name))))
        return int(count)

    def _expected(self, name: str, etag: str) -> SavedSearch:
        found = _one(self._transaction.connection, name, 0)
        if etag and etag != found.etag:
            raise SavedSearchMoved(f"saved search {name!r} has been changed; it is at version {found.version}")
        return found


def _one(connection: Connection, name: str, version: int) -> SavedSearch:
    chosen = "v.version = ?" if version else "v.version = s.version"
    row = connection.execute(
        f"{_COLUMNS} WHERE name = ? AND {chosen}", (name, *([version] if version else ()))
    ).fetchone()
    if row is None:
        raise _missing(name, version)
    return SavedSearch(*row)


def _missing(name: str, version: int = 0) -> SavedSearchNotFound:
    return SavedSearchNotFound(f"no saved search {name[:80]!r}{f' with version {version}' if version else ''}")
