"""What a feed says, as the records that it asks for, ordered by their ids: an encrypted database of one run.

An item's first picture makes the record with the item's id; its second one the record `<id>#2`, and so on, all with the
item's product id and attributes.
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
from service.sync.model import Sample, SourceState

_AT_ONCE = 2000
_PROBLEMS_KEPT = 100
_DIGEST_BYTES = 16
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS records (
      record_id TEXT PRIMARY KEY, line INTEGER NOT NULL, item_digest BLOB NOT NULL, url_digest BLOB NOT NULL,
      product_id TEXT NOT NULL, attributes TEXT NOT NULL, url TEXT NOT NULL, deleted INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""


class Staged(NamedTuple):
    """A record that the feed asks for; of a deleted one only the id counts."""

    record_id: str
    line: int
    item_digest: bytes
    url_digest: bytes
    product_id: str
    attributes: str
    url: str
    deleted: int


@dataclass(frozen=True)
class Told:
    """About a feed as a whole. after: what the source's state is once the feed is applied. problems: items that cannot
    be used; duplicates: records that a later item said again; left_out: attributes that did not fit their type."""

    after: SourceState
    problems: int = 0
    duplicates: int = 0
    left_out: int = 0
    problem_lines: tuple[Sample, ...] = ()


TOLD = TypeAdapter(Told)


class Staging:
    """Used by one run at a time."""

    def __init__(self, path: Path, data_key: bytes) -> None:
        """Opens what an interrupted run left, or makes an empty one. Raises WrongKey or StoreUnavailable."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self._item_key = path, derive_key(data_key, "item digest")
        found = _whole(path, data_key) if path.exists() else None
        if found is None:  # a kill while it was filled
            remove(path)
        self._database = found or _opened(path, data_key)

    def told(self) -> Told | None:
        """What was said of the feed; None where it was not read to its end."""
        return _told(self._database)

    def fill(
        self, items: Iterable[Item | Problem], after: SourceState, digest_url: Callable[[str], bytes],
        heard: Callable[[int], None],
    ) -> Told:  # fmt: skip
        """Takes all items; of records that are said twice the last counts. `heard` is told how many items there were,
        now and then. Raises what the items raise."""
        self._database.execute("DELETE FROM records")
        seen = _Seen()
        self._database.execute("BEGIN")
        records = (r for i in seen.usable(items) for r in self._records_of(i, digest_url))
        written = 0
        while block := list(islice(records, _AT_ONCE)):
            self._database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", block)
            written += len(block)
            heard(seen.items)
        (kept,) = self._database.execute("SELECT count(*) FROM records").fetchone()
        told = Told(replace(after, items=seen.items), seen.problems, written - kept, seen.left_out, tuple(seen.lines))
        self._database.execute("INSERT OR REPLACE INTO told VALUES ('feed', ?)", (TOLD.dump_json(told).decode(),))
        self._database.execute("COMMIT")
        return told

    def records(self) -> Iterator[Staged]:
        """All records, in order of their ids' bytes."""
        after = ""
        query = "SELECT * FROM records WHERE record_id > ? ORDER BY record_id LIMIT ?"
        while page := self._database.execute(query, (after, _AT_ONCE)).fetchall():
            yield from map(Staged._make, page)
            after = page[-1][0]

    def close(self) -> None:
        """Closes the database; `remove` deletes it."""
        self._database.close()

    def _records_of(self, item: Item, digest_url: Callable[[str], bytes]) -> Iterator[tuple[object, ...]]:
        attributes = attributes_to_json(item.attributes)
        content = f"{item.product_id}\0{attributes}".encode()
        digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=self._item_key).digest()
        if item.deleted:
            yield item.item_id, item.line, digest, b"", item.product_id, attributes, "", 1
        for number, url in enumerate(item.pictures, 1):
            record_id = item.item_id if number == 1 else f"{item.item_id}#{number}"
            if len(record_id.encode()) <= MAX_ID_BYTES:
                yield record_id, item.line, digest, digest_url(url), item.product_id, attributes, url, 0


def remove(path: Path) -> None:
    """Deletes a staging database and what SQLite keeps beside it."""
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
    # It can be made again from the feed: neither a journal nor waiting for the disk.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    for statement in statements(_SCHEMA):
        database.execute(statement)
    return database


def _whole(path: Path, data_key: bytes) -> Connection | None:
    """The database, if the feed was read to its end."""
    try:
        found = _opened(path, data_key)
    except (DatabaseError, WrongKey, StoreUnavailable):
        return None
    try:
        if _told(found) is not None:
            return found
    except DatabaseError:
        pass
    found.close()
    return None


def _told(database: Connection) -> Told | None:
    row = database.execute("SELECT value FROM told WHERE name = 'feed'").fetchone()
    return None if row is None else TOLD.validate_json(row[0])
