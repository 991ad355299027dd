"""What is kept of records' pictures, where a collection's policy keeps anything: URLs, and the names of encrypted
copies in object storage, which others put there and delete.

A copy's name is in `loose_pictures` before the copy is put, and moves to `pictures` with the record that it belongs to,
in one transaction; when the record is deleted or gets another picture it moves back. So at any moment, a crash
included, every copy either belongs to a record or is known to be nobody's. The policy is in the same database: a write
that began under another one is stored as the present one says.
"""

from __future__ import annotations

from collections.abc import Sequence

from index.records.queries import has_table, note_meta
from index.storage.sqlite import Connection
from index.types.companions import Copies, Dropped, KeptPicture, PicturePolicy

_BLOCK = 500
_NOTHING = KeptPicture()


def knows_pictures(connection: Connection) -> bool:
    """Whether the database is of a format that knows of pictures."""
    return has_table(connection, "pictures")


def read_policy(connection: Connection) -> PicturePolicy:
    """What writes may keep."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'picture_policy'").fetchone()
    return PicturePolicy(row[0]) if row else PicturePolicy.DISCARD


def write_policy(connection: Connection, policy: PicturePolicy) -> Dropped:
    """Sets what writes may keep, and drops what may be kept no longer."""
    note_meta(connection, "picture_policy", policy.value)
    dropped = Dropped()
    if not policy.keeps_copies:
        count, size = connection.execute(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM pictures WHERE object_id <> ''"
        ).fetchone()
        dropped = Dropped(count, size)
        connection.execute(
            "INSERT OR REPLACE INTO loose_pictures SELECT object_id, 0 FROM pictures WHERE object_id <> ''"
        )
        connection.execute("DELETE FROM pictures WHERE object_id <> ''")
    if not policy.keeps_urls:
        urls = connection.execute("DELETE FROM pictures WHERE url <> ''").rowcount
        dropped = Dropped(dropped.copies, dropped.bytes, urls)
    return dropped


def read_kept(connection: Connection, record_ids: Sequence[str]) -> dict[str, KeptPicture]:
    """What is kept of the pictures of records, by id; those of which nothing is kept are left out."""
    found = {}
    for start in range(0, len(record_ids), _BLOCK):
        block = record_ids[start : start + _BLOCK]
        query = (
            "SELECT record_id, object_id, bytes, url FROM records JOIN pictures USING (row_id)"  # noqa: S608
            f" WHERE record_id IN ({','.join('?' * len(block))})"
        )
        found.update({r[0]: KeptPicture(*r[1:]) for r in connection.execute(query, block)})
    return found


def kept_of_row(connection: Connection, row_id: int) -> KeptPicture:
    """What is kept of one row's picture."""
    query = "SELECT object_id, bytes, url FROM pictures WHERE row_id = ?"
    row = connection.execute(query, (row_id,)).fetchone()
    return KeptPicture(*row) if row else _NOTHING


def allowed(connection: Connection, wanted: KeptPicture) -> KeptPicture:
    """As much of what is to be kept as the policy allows."""
    policy = read_policy(connection)
    if policy.keeps_copies and wanted.object_id:
        return KeptPicture(wanted.object_id, wanted.bytes)
    if policy.keeps_urls and wanted.url:
        return KeptPicture(url=wanted.url)
    return _NOTHING


def keep(connection: Connection, row_id: int, wanted: KeptPicture) -> None:
    """Notes what is kept of a row's picture, instead of what was."""
    drop(connection, row_id)
    forget_loose(connection, [wanted.object_id])
    if wanted != _NOTHING:
        connection.execute(
            "INSERT INTO pictures VALUES (?, ?, ?, ?)", (row_id, wanted.object_id, wanted.bytes, wanted.url)
        )


def drop(connection: Connection, row_id: int) -> int:
    """Makes the copy of a row's picture nobody's, and forgets the URL; returns the copy's bytes."""
    before = kept_of_row(connection, row_id)
    if before == _NOTHING:
        return 0
    connection.execute("DELETE FROM pictures WHERE row_id = ?", (row_id,))
    if before.object_id:
        loosen(connection, [before.object_id])
    return before.bytes


def loosen(connection: Connection, object_ids: Sequence[str], since_ms: int = 0) -> None:
    """Notes copies that belong to no record. since_ms: when they were announced; 0: no record will get them."""
    rows = [(object_id, since_ms) for object_id in object_ids]
    connection.executemany("INSERT OR REPLACE INTO loose_pictures VALUES (?, ?)", rows)


def read_loose(connection: Connection, before_ms: int, limit: int) -> list[str]:
    """Copies that belong to no record, and were announced before a time."""
    query = "SELECT object_id FROM loose_pictures WHERE since_ms <= ? LIMIT ?"
    return [row[0] for row in connection.execute(query, (before_ms, limit))]


def forget_loose(connection: Connection, object_ids: Sequence[str]) -> None:
    """Drops the note of copies that were deleted, or that a record gets."""
    connection.executemany("DELETE FROM loose_pictures WHERE object_id = ?", [(i,) for i in object_ids])


def is_loose(connection: Connection, object_id: str) -> bool:
    """Whether a copy was announced, or is nobody's any more, and is not yet deleted."""
    query = "SELECT 1 FROM loose_pictures WHERE object_id = ?"
    return connection.execute(query, (object_id,)).fetchone() is not None


def is_kept(connection: Connection, object_id: str) -> bool:
    """Whether a copy belongs to a record."""
    query = "SELECT 1 FROM pictures WHERE object_id = ?"
    return connection.execute(query, (object_id,)).fetchone() is not None


def count_kept(connection: Connection) -> Dropped:
    """What is kept, as a change to DISCARD would drop it."""
    query = "SELECT count(nullif(object_id, '')), coalesce(sum(bytes), 0), count(nullif(url, '')) FROM pictures"
    return Dropped(*connection.execute(query).fetchone())


def lost_by(there: Dropped, policy: PicturePolicy) -> Dropped:
    """What a policy would drop of what is kept."""
    keeps_copies, keeps_urls = policy.keeps_copies, policy.keeps_urls
    copies = Dropped() if keeps_copies else Dropped(there.copies, there.bytes)
    return Dropped(copies.copies, copies.bytes, 0 if keeps_urls else there.urls)


def read_copies(connection: Connection) -> Copies:
    """All that is known of a collection's copies. Formats that knew of none are passed over."""
    if not knows_pictures(connection):
        return Copies()
    held = connection.execute("SELECT object_id FROM pictures WHERE object_id <> ''").fetchall()
    loose = connection.execute("SELECT object_id FROM loose_pictures").fetchall()
    return Copies(frozenset(r[0] for r in held), frozenset(r[0] for r in loose))


def settle_copy(copy: Connection, there: Copies) -> int:
    """Makes a database that was copied some time ago agree with the copies that are there now. Returns the bytes of
    those that it knew and that are gone."""
    known, lost = read_copies(copy).held, 0
    for object_id in known - there.held:
        query = "SELECT coalesce(sum(bytes), 0) FROM pictures WHERE object_id = ?"
        lost += copy.execute(query, (object_id,)).fetchone()[0]
        copy.execute("DELETE FROM pictures WHERE object_id = ?", (object_id,))
    copy.execute("DELETE FROM loose_pictures")
    loosen(copy, sorted((there.held - known) | there.loose))
    return lost
