"""What is kept of pictures: the policy of a collection, and the copies and URLs that it allows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from index.contract import PICTURES, PictureReads, PictureWrites
from index.records.extensions import kept_pictures
from index.records.extensions.hook import Before, CollectionAccess, Extension, Reader, Store
from index.records.extensions.picture_book import PictureBook
from index.records.queries import blocks, marks
from index.records.row_changes import RowChanges
from index.records.transaction import Transaction
from index.storage.sqlite import Connection, DatabaseError
from index.types.collection import CollectionSpec
from index.types.companions import Copies, Dropped, KeptPicture, PicturePolicy
from index.types.errors import AfterimageIndexError, DataFault, DigestMoved, StoreDamaged, WrongKey
from index.types.quota import Usage
from index.types.record import Outcome, RecordWrite, WriteResult

_LOG = logging.getLogger(__name__)
_NOTHING = KeptPicture()
_MIGRATIONS = {
    5: """
    CREATE TABLE pictures (
      row_id INTEGER PRIMARY KEY,
      object_id TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      url TEXT NOT NULL
    );
    CREATE INDEX pictures_by_object ON pictures (object_id) WHERE object_id <> '';
    CREATE TABLE loose_pictures (object_id TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID
""",
}


class Pictures(Extension):
    """The extension. Bytes of copies count towards the quota of the tenant."""

    companion = PICTURES
    migrations = _MIGRATIONS
    lost = ("stored pictures",)

    def reads(self, reader: Reader) -> PictureReads:
        return _Reads(reader)

    def writes(self, transaction: Transaction) -> PictureWrites:
        return _Writes(transaction)

    # ---- within a transaction

    def is_plain(self, write: RecordWrite) -> bool:
        return write.kept is None

    def storing(self, transaction: Transaction, write: RecordWrite, before: Before, store: Store) -> WriteResult:
        """Replaces what is kept of the record's picture. A copy that nobody announced is refused with DigestMoved."""
        if write.kept is None and before.same_vector:
            return store()
        connection, growth = transaction.connection, transaction.growth
        wanted = _NOTHING if write.kept is None else kept_pictures.allowed(connection, write.kept)
        held = kept_pictures.kept_of_row(connection, before.row_id) if before.row_id else _NOTHING
        if wanted == held:
            return store()
        new_copy = wanted.object_id not in ("", held.object_id)
        if new_copy and not kept_pictures.is_loose(connection, wanted.object_id):
            return _failed(write, DigestMoved("storing the copy of the picture took too long"))
        larger = Usage(0, wanted.bytes - held.bytes)
        if larger.bytes > 0 and (refused := transaction.refused(growth.plus(larger))) is not None:
            return _failed(write, refused)
        transaction.growth = growth.plus(larger)
        done = store()
        if done.outcome is Outcome.FAILED:
            transaction.growth = growth
            return done
        row = connection.execute("SELECT row_id FROM records WHERE record_id = ?", (write.record_id,)).fetchone()
        kept_pictures.keep(connection, row[0], wanted)
        return done

    def row_gone(self, transaction: RowChanges, row_id: int) -> None:
        dropped = kept_pictures.drop(transaction.connection, row_id)
        transaction.growth = transaction.growth.plus(Usage(0, -dropped))

    def row_returned(self, transaction: RowChanges, former: int, row_id: int) -> None:
        transaction.connection.execute("UPDATE pictures SET row_id = ? WHERE row_id = ?", (row_id, former))

    # ---- on copies of the database

    def rows_erased(self, connection: Connection, row_ids: Sequence[int]) -> None:
        if kept_pictures.knows_pictures(connection):
            for block in blocks(row_ids):
                connection.execute(f"DELETE FROM pictures WHERE row_id IN ({marks(block)})", block)  # noqa: S608

    def stored_bytes(self, connection: Connection) -> int:
        return kept_pictures.count_kept(connection).bytes if kept_pictures.knows_pictures(connection) else 0

    def has_excess(self, connection: Connection) -> bool:
        if not kept_pictures.knows_pictures(connection):
            return False
        query = "SELECT EXISTS (SELECT 1 FROM pictures) OR EXISTS (SELECT 1 FROM loose_pictures)"
        return bool(connection.execute(query).fetchone()[0])

    def narrow(self, connection: Connection, spec: CollectionSpec) -> None:
        kept_pictures.write_policy(connection, spec.picture_policy)
        connection.execute("DELETE FROM loose_pictures")

    def unkeyed(self, connection: Connection) -> None:
        connection.execute("DELETE FROM meta WHERE name = 'picture_policy'")

    # ---- in the life of a collection

    def outlives(self, spec: CollectionSpec) -> bool:
        return spec.may_have_copies

    def restored(self, spec: CollectionSpec, current: CollectionSpec) -> CollectionSpec:
        """The policy is the collection's as it is now, not as it was."""
        return replace(spec, picture_policy=current.picture_policy, policy_version=current.policy_version)

    def entered(self, access: CollectionAccess, *, copied: bool) -> None:
        if copied or access.spec.picture_policy.keeps_anything:
            PictureBook(access).apply_policy()

    def inherits(self, access: CollectionAccess, replaced: CollectionAccess | None) -> None:
        copies = Copies() if replaced is None or not replaced.spec.may_have_copies else _copies_of(replaced)
        access.write(lambda transaction: transaction.companion(PICTURES).settle(copies))

    def resume(self, access: CollectionAccess, details: Mapping[str, Any]) -> bool:
        """Applies a policy that was changed and is not known to be applied."""
        policy = details.get("picture_policy")
        if policy is None or policy == access.spec.picture_policy.value:
            return False
        try:
            PictureBook(access).apply_policy()
        except (OSError, AfterimageIndexError, DatabaseError) as error:
            _LOG.warning("could not complete a change of a picture policy before the next start: %s", error)
            return False
        return True


class _Reads:
    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    def kept(self, record_ids: Sequence[str]) -> dict[str, KeptPicture]:
        return self._read(lambda connection: kept_pictures.read_kept(connection, record_ids))

    def holds(self, object_id: str) -> bool:
        return self._read(lambda connection: kept_pictures.is_kept(connection, object_id))

    def counts(self) -> Dropped:
        return self._read(kept_pictures.count_kept)

    def loose(self, before_ms: int, limit: int) -> list[str]:
        return self._read(lambda connection: kept_pictures.read_loose(connection, before_ms, limit))

    def copies(self) -> Copies:
        return self._read(kept_pictures.read_copies)


class _Writes:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction, self._connection = transaction, transaction.connection

    def announce(self, object_id: str, now_ms: int) -> None:
        kept_pictures.loosen(self._connection, [object_id], now_ms)

    def forget_loose(self, object_ids: Sequence[str]) -> None:
        kept_pictures.forget_loose(self._connection, object_ids)

    def apply_policy(self, policy: PicturePolicy) -> Dropped:
        dropped = kept_pictures.write_policy(self._connection, policy)
        self._shrink(dropped.bytes)
        return dropped

    def settle(self, there: Copies) -> None:
        self._shrink(kept_pictures.settle_copy(self._connection, there))

    def _shrink(self, size: int) -> None:
        self._transaction.growth = self._transaction.growth.plus(Usage(0, -size))


def _copies_of(replaced: CollectionAccess) -> Copies:
    try:
        return replaced.replaced(lambda records: records.companion(PICTURES).copies())
    except (DataFault, StoreDamaged, DatabaseError, WrongKey) as error:
        _LOG.warning("stored pictures of a damaged collection are not adopted: %s", error)
        return Copies()


def _failed(write: RecordWrite, error: Exception) -> WriteResult:
    return WriteResult(write.record_id, Outcome.FAILED, error=error)
