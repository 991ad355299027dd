"""A further extension is one class: the store, its backups and copies take it along without knowing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from index import Collection, CollectionCache, LocalVectorIndexes, Outcome, RecordPatch, RecordWrite
from index.contract import Companion
from index.records.extensions.hook import Before, Extension, Extensions, Reader, Store
from index.records.extensions.registered import EXTENSIONS
from index.records.row_changes import RowChanges
from index.records.sqlite_stores import SqliteRecordStores
from index.records.transaction import Transaction
from index.storage.layout import DataDirectory
from index.storage.sqlite import Connection, connect
from index.tenant.directory import TenantDirectory
from index.types.collection import CollectionSpec
from index.types.errors import InvalidInput
from index.types.record import WriteResult
from tests.support.data.collections import KEY, SPEC, loaded, record

NEXT_FORMAT = 1 + sum(len(e.migrations) for e in EXTENSIONS) + 2  # two are of the records themselves


class Notes:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def texts(self) -> list[str]:
        query = "SELECT text FROM notes ORDER BY row_id"
        return [r[0] for r in self._reader.read(lambda c: c.execute(query).fetchall())]

    def lengths(self) -> list[int]:
        query = "SELECT name_length FROM records ORDER BY row_id"
        return [r[0] for r in self._reader.read(lambda c: c.execute(query).fetchall())]


NOTES: Companion[Notes, None] = Companion("notes")


class Noting(Extension):
    """Keeps the product id of each record in a table of its own, and the length of its id in a column."""

    companion = NOTES
    migrations: ClassVar[Mapping[int, str]] = {
        NEXT_FORMAT: "CREATE TABLE notes (row_id INTEGER PRIMARY KEY, text TEXT);"
        " ALTER TABLE records ADD COLUMN name_length INTEGER"
    }
    columns = ("name_length",)
    lost = ("notes",)

    def reads(self, reader: Reader) -> Notes:
        return Notes(reader)

    def writes(self, transaction: Transaction) -> None:
        return None

    def values(self, write: RecordWrite) -> tuple[object, ...]:
        return (len(write.record_id),)

    def is_plain(self, write: RecordWrite) -> bool:
        return not write.product_id

    def storing(self, transaction: Transaction, write: RecordWrite, before: Before, store: Store) -> WriteResult:
        if write.product_id == "refused":
            return WriteResult(write.record_id, Outcome.FAILED, error=InvalidInput("product_id", "refused"))
        execute = transaction.connection.execute
        found = execute("SELECT row_id FROM records WHERE record_id = ?", (write.record_id,)).fetchone()
        assert before.row_id == (found[0] if found else 0)
        done = store()
        (row_id,) = execute("SELECT row_id FROM records WHERE record_id = ?", (write.record_id,)).fetchone()
        execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (row_id, write.product_id))
        return done

    def patched(self, transaction: Transaction, row_id: int) -> None:
        transaction.connection.execute("UPDATE notes SET text = 'patched' WHERE row_id = ?", (row_id,))

    def row_gone(self, transaction: RowChanges, row_id: int) -> None:
        transaction.connection.execute("DELETE FROM notes WHERE row_id = ?", (row_id,))

    def rows_erased(self, connection: Connection, row_ids: Sequence[int]) -> None:
        connection.executemany("DELETE FROM notes WHERE row_id = ?", [(row_id,) for row_id in row_ids])

    def has_excess(self, connection: Connection) -> bool:
        return True

    def narrow(self, connection: Connection, spec: CollectionSpec) -> None:
        connection.execute("DELETE FROM notes WHERE text <> ?", (spec.description,))

    def unkeyed(self, connection: Connection) -> None:
        connection.execute("UPDATE records SET name_length = 0")


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[TenantDirectory]:
    stores = SqliteRecordStores(Extensions(*EXTENSIONS, Noting()))
    cache = CollectionCache(LocalVectorIndexes(), stores=stores)
    made = TenantDirectory(DataDirectory(tmp_path).tenant("a" * 32), KEY, cache)
    yield made
    made.close()


@pytest.fixture
def noted(tenant: TenantDirectory) -> Collection:
    made = tenant.create(SPEC)
    made.upsert([record(1, "p1"), record(22, "p2"), record(333), record(4, "refused")])
    return made


def notes(collection: Collection) -> Notes:
    return loaded(collection).store.companion(NOTES)


def test_its_tables_and_columns_are_filled_with_each_record_and_it_may_refuse_one(noted: Collection) -> None:
    assert notes(noted).texts() == ["p1", "p2"]
    assert notes(noted).lengths() == [1, 2, 3]
    assert sorted(r.record_id for r in noted.list(0, 9)) == ["1", "22", "333"]
    noted.upsert([record(1, "p9")])
    noted.patch([RecordPatch("22", set_attributes={"color": "red"})])
    assert notes(noted).texts() == ["p9", "patched"]


def test_it_hears_of_rows_that_are_gone_in_the_collection_and_in_its_backups(noted: Collection) -> None:
    noted.keep_snapshot()
    noted.delete(["1"])
    noted.clear_kept()
    assert notes(noted).texts() == ["p2"]
    assert texts_of_backup(noted) == ["p2"]


def test_it_drops_from_backups_what_the_collection_may_no_longer_keep(noted: Collection) -> None:
    noted.keep_snapshot()
    noted.handle.narrow_backups()
    assert texts_of_backup(noted) == []
    assert notes(noted).texts() == ["p1", "p2"]


def test_it_drops_from_a_copy_for_another_tenant_what_only_the_first_explains(
    noted: Collection, tmp_path: Path
) -> None:
    noted.keep_snapshot()
    folder = next((tmp_path / "tenants").rglob("kept-*"))
    cache = CollectionCache(LocalVectorIndexes(), stores=SqliteRecordStores(Extensions(*EXTENSIONS, Noting())))
    other = TenantDirectory(DataDirectory(tmp_path).tenant("b" * 32), bytes(32), cache)
    adopted = other.adopt_snapshot(folder, KEY, "adopted")
    assert notes(adopted).lengths() == [0, 0, 0]
    assert notes(adopted).texts() == []  # tables of extensions stay where they are
    other.close()


class Plain(Extension):
    companion = Companion("plain")

    def reads(self, reader: Reader) -> None:
        return None

    def writes(self, transaction: Transaction) -> None:
        return None


def losing(*names: str) -> Extension:
    made = Plain()
    made.lost = names
    return made


@pytest.mark.parametrize(
    ("each", "lost"),
    [
        ((), ""),
        ((losing("notes"),), "notes"),
        ((losing("notes"), losing()), "notes"),
        ((losing("notes", "marks"),), "notes and marks"),
        ((losing("digests", "marks"), losing("notes")), "digests, marks and notes"),
        ((losing("digests"), losing("marks"), losing("notes")), "digests, marks and notes"),
    ],
)
def test_operators_read_what_is_lost_as_an_enumeration(each: tuple[Extension, ...], lost: str) -> None:
    assert Extensions(*each).lost == lost


def test_no_extensions_and_plain_ones_add_nothing_to_a_record() -> None:
    for extensions in (Extensions(), Extensions(Plain()), Extensions(Plain(), Plain(), Plain())):
        assert (extensions.columns, extensions.returning) == ((), ())
        assert extensions.values(record(1)) == ()
        assert extensions.is_plain(record(1)) is True


@pytest.mark.parametrize("left_out", ["reads", "writes"])
def test_an_extension_without_reads_or_writes_cannot_be_made(left_out: str) -> None:
    methods = {name: lambda self, given: None for name in ("reads", "writes") if name != left_out}
    with pytest.raises(TypeError, match=left_out):
        type("Unfinished", (Extension,), methods)()


def test_one_that_is_not_registered_is_not_known(noted: Collection) -> None:
    with pytest.raises(LookupError):
        loaded(noted).store.companion(Companion("unknown"))


def texts_of_backup(collection: Collection) -> list[str]:
    (path,) = collection.kept.files()
    place = collection.handle.place
    with closing(connect(path, place.store_key, create=False)) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM notes ORDER BY row_id")]
