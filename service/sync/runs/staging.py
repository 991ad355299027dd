"""The records that a feed asks for, ordered by id, in an encrypted database of one run.

The first picture of an item becomes the record with the item's id. Its second picture becomes `<id>#2`, and so on. All
have the item's product id and attributes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from index import MAX_ID_BYTES, StoreUnavailable, WrongKey, attributes_to_json
from index.storage import Connection, DatabaseError, connect, derive_key, statements
from service.sync.feeds.model import Item, Problem
from service.sync.model import Sample
from service.sync.source_model import SourceState

_AT_ONCE = 2000
_PROBLEMS_KEPT = 100
_DIGEST_BYTES = 16
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS records (
      record_id TEXT PRIMARY KEY, line INTEGER NOT NULL, item_digest BLOB NOT NULL, url_digest BLOB NOT NULL,
      product_id TEXT NOT NULL, attributes TEXT NOT NULL, url TEXT NOT NULL, deleted INTEGER NOT NULL,
      item_id TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""


class Staged(NamedTuple):
    """A record that the feed asks for. If `deleted` is set, only the id is used. `item_id`: of its item."""

    record_id: str
    line: int
    item_digest: bytes
    url_digest: bytes
    product_id: str
    attributes: str
    url: str
    deleted: int
    item_id: str = ""  # not in databases that earlier versions left


@dataclass(frozen=True)
class FeedSummary:
    """A summary of a feed.

    - `after`: the state of the source once the feed is applied.
    - `problems`: unusable items.
    - `duplicates`: records that a later item repeats.
    - `left_out`: attributes that did not fit their type.
    """

    after: SourceState
    problems: int = 0
    duplicates: int = 0
    left_out: int = 0
    problem_lines: tuple[Sample, ...] = ()


SUMMARY = TypeAdapter(FeedSummary)


class Staging:
    """The staging database of one run. Not for concurrent use."""

    def __init__(self, path: Path, data_key: bytes) -> None:
        """Opens the database that an interrupted run left, or creates an empty one.

        Raises WrongKey or StoreUnavailable.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self._item_key = path, item_key(data_key)
        found = _opened_if_complete(path, data_key) if path.exists() else None
        if found is None:  # the process was killed while filling it
            remove(path)
        self._database = found or _opened(path, data_key)

    def summary(self) -> FeedSummary | None:
        """The summary of the feed; None if the feed was not read to its end."""
        return _summary(self._database)

    def fill(
        self, items: Iterable[Item | Problem], after: SourceState, digest_url: Callable[[str], bytes],
        report_items: Callable[[int], None],
    ) -> FeedSummary:  # fmt: skip
        """Stores all items. If a record occurs twice, the last one counts.

        `report_items` is called now and then with the number of items so far. Raises whatever the items raise.
        """
        self._database.execute("DELETE FROM records")
        seen = _Seen()
        self._database.execute("BEGIN")
        records = (r for i in seen.usable(items) for r in records_of(i, self._item_key, digest_url))
        written = 0
        while block := list(islice(records, _AT_ONCE)):
            self._database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", block)
            written += len(block)
            report_items(seen.items)
        (kept,) = self._database.execute("SELECT count(*) FROM records").fetchone()
        summary = FeedSummary(
            replace(after, items=seen.items), seen.problems, written - kept, seen.left_out, tuple(seen.lines)
        )
        self._database.execute("INSERT OR REPLACE INTO told VALUES ('feed', ?)", (SUMMARY.dump_json(summary).decode(),))
        self._database.execute("COMMIT")
        return summary

    def records(self) -> Iterator[Staged]:
        """All records, ordered by the bytes of their ids."""
        after = ""
        query = "SELECT * FROM records WHERE record_id > ? ORDER BY record_id LIMIT ?"
        while page := self._database.execute(query, (after, _AT_ONCE)).fetchall():
            yield from (Staged(*row) for row in page)
            after = page[-1][0]

    def close(self) -> None:
        """Closes the database. `remove` deletes it."""
        self._database.close()


def item_key(data_key: bytes) -> bytes:
    """The key of the digests of items."""
    return derive_key(data_key, "item digest")


def records_of(item: Item, key: bytes, digest_url: Callable[[str], bytes]) -> Iterator[Staged]:
    """The records of an item. `key`: of the digests of items."""
    attributes, item_id = attributes_to_json(item.attributes), item.item_id
    content = f"{item.product_id}\0{attributes}".encode()
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=key).digest()
    if item.deleted:
        yield Staged(item_id, item.line, digest, b"", item.product_id, attributes, "", 1, item_id)
    for number, url in enumerate(item.pictures, 1):
        record_id = item_id if number == 1 else f"{item_id}#{number}"
        if len(record_id.encode()) <= MAX_ID_BYTES:
            yield Staged(record_id, item.line, digest, digest_url(url), item.product_id, attributes, url, 0, item_id)


def remove(path: Path) -> None:
    """Deletes a staging database and SQLite's files beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class _Seen:
    def __init__(self) -> None:
        self.items = self.problems = self.left_out = 0
        self.lines: list[Sample] = []

    def usable(self, items: Iterable[Item | Problem]) -> Iterator[Item]:
        for item in items:
            if isinstance(item, Item):
                self.items += 1
                self.left_out += len(item.left_out)
                yield item
            else:
                self.problems += 1
                if len(self.lines) < _PROBLEMS_KEPT:
                    self.lines.append(Sample(item.message, item.item_id, item.line))


def _opened(path: Path, data_key: bytes) -> Connection:
    database = connect(path, derive_key(data_key, "sync staging"))
    # The database can be rebuilt from the feed, so it needs neither a journal nor fsync.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    for statement in statements(_SCHEMA):
        database.execute(statement)
    return database


def _opened_if_complete(path: Path, data_key: bytes) -> Connection | None:
    """Opens the database if the feed was read to its end; else returns None."""
    try:
        found = _opened(path, data_key)
    except (DatabaseError, WrongKey, StoreUnavailable):
        return None
    try:
        if _summary(found) is not None:
            return found
    except DatabaseError:
        pass
    found.close()
    return None


def _summary(database: Connection) -> FeedSummary | None:
    row = database.execute("SELECT value FROM told WHERE name = 'feed'").fetchone()
    return None if row is None else SUMMARY.validate_json(row[0])
