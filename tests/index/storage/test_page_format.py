"""Page formats of databases: new databases use the newest, existing ones keep theirs."""

from dataclasses import replace
from pathlib import Path

import pytest

from index import SearchQuery, TenantDirectory, WrongKey
from index.storage import page_format
from index.storage.crypto import derive_key
from index.storage.page_format import FORMATS, NEWEST_PAGE_FORMAT, PageFormat, format_of
from index.storage.raw_pages import plain_pages
from index.storage.sqlite import backup, checkpoint, connect, integrity_problems
from tests.support.data.collections import KEY, SPEC, directory, ids, record, vector

every_format = pytest.mark.parametrize("pages", FORMATS, ids=lambda f: str(f.size))
OLDEST = FORMATS[-1]


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TenantDirectory:
    """A tenant with a collection in the oldest page format."""
    with monkeypatch.context() as patch:
        patch.setattr(page_format, "NEWEST_PAGE_FORMAT", OLDEST)
        tenant = directory(tmp_path)
        collection = tenant.create(SPEC)
        collection.upsert([record(n) for n in range(40)])
        collection.snapshot()
        tenant.close()
    return directory(tmp_path)


@every_format
def test_the_format_is_read_from_the_file_wherever_its_pages_are(tmp_path: Path, pages: PageFormat) -> None:
    path = tmp_path / "x.db"
    database = connect(path, KEY, pages)
    database.execute("CREATE TABLE t (a TEXT)")
    database.executemany("INSERT INTO t VALUES (?)", [(f"needle-{n} " + "." * 900,) for n in range(50)])
    assert format_of(path, KEY) == pages
    other = connect(path, KEY)  # while the log still has everything
    assert other.execute("SELECT count(*) FROM t").fetchone() == (50,)
    other.close()
    assert any(b"needle-49 " in page for page in plain_pages(path, KEY))
    checkpoint(database)
    database.close()
    assert format_of(path, KEY) == pages
    assert path.stat().st_size % pages.size == 0
    assert any(b"needle-49 " in page for page in plain_pages(path, KEY))
    with pytest.raises(WrongKey):
        connect(path, bytes(32))


def test_a_first_page_that_is_just_being_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(tmp_path / "x.db", KEY, OLDEST).close()
    whole = (tmp_path / "x.db").read_bytes()
    half = bytes(len(whole) // 2) + whole[len(whole) // 2 :]
    readings = iter([half, half, whole])
    monkeypatch.setattr(page_format, "_start", lambda path: next(readings))
    assert format_of(tmp_path / "x.db", KEY) == OLDEST


@every_format
def test_a_copy_has_the_format_of_what_it_is_a_copy_of(tmp_path: Path, pages: PageFormat) -> None:
    database = connect(tmp_path / "x.db", KEY, pages)
    database.execute("CREATE TABLE t (a)")
    database.execute("INSERT INTO t VALUES (zeroblob(20000))")
    copy = backup(database, tmp_path / "y.db", KEY)
    assert copy.execute("SELECT length(a) FROM t").fetchone() == (20000,)
    assert list(integrity_problems(copy)) == []
    copy.close()
    database.close()
    assert format_of(tmp_path / "y.db", KEY) == pages


def test_a_new_database_has_the_newest_format_and_one_cut_short_is_refused(tmp_path: Path) -> None:
    connect(tmp_path / "x.db", KEY).close()
    assert format_of(tmp_path / "x.db", KEY) == NEWEST_PAGE_FORMAT == format_of(tmp_path / "none.db", KEY)
    with (tmp_path / "x.db").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(WrongKey):
        connect(tmp_path / "x.db", KEY)


def test_an_older_collection_is_used_kept_and_restored_as_it_is(older: TenantDirectory, tmp_path: Path) -> None:
    collection = older.collection("things")
    assert ids(collection, SearchQuery(vector(7), 1)) == ["7"]
    snapshot = collection.keep_snapshot()
    collection.upsert([record(1, color="changed"), record(99)])
    collection.delete(["5"])
    older.restore("things", snapshot.snapshot_id, "again")
    older.create(replace(SPEC, name="new"))
    assert older.collection("again").count() == 39
    assert list(collection.kept.problems(snapshot.snapshot_id)) == []
    assert list(collection.problems()) == []
    older.close()
    key = derive_key(KEY, "collection store")
    formats = [format_of(path, key).size for path in tmp_path.rglob("records*.db")]
    assert sorted(formats) == [
        OLDEST.size,
        OLDEST.size,
        OLDEST.size,
        NEWEST_PAGE_FORMAT.size,
    ]  # the copies are as they are
    reopened = directory(tmp_path).collection("things")
    assert reopened.count() == 40
    assert reopened.get(["1"])["1"].attributes == {"color": "changed"}
