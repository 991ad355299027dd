import logging
from pathlib import Path

import pytest

from index import Collection, SearchQuery
from index.checkpoints import Checkpoints
from tests.support.collections import SPEC, directory, ids, loaded, record, vector

MANY = 300  # more than is worth a thread


def test_what_many_records_left_in_the_log_is_moved_beside_the_writer_and_the_log_begins_anew(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    database = next(tmp_path.rglob("records.db"))
    log, sizes = database.with_name("records.db-wal"), []
    for batch in range(12):
        before = database.stat().st_size
        collection.upsert([record(batch * MANY + n) for n in range(MANY)])
        _checkpoints(collection)._running.join()
        assert database.stat().st_size > before
        sizes.append(log.stat().st_size)
    assert max(sizes[2:]) < 2 * sizes[1]
    assert collection.stats().records == 12 * MANY


def test_lone_writes_are_moved_once_there_are_enough_of_them(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    database = next(tmp_path.rglob("records.db"))
    before = database.stat().st_size
    for n in range(127):
        collection.upsert([record(n)])
    assert _checkpoints(collection)._running is None
    assert database.stat().st_size == before
    collection.upsert([record(127)])
    _checkpoints(collection)._running.join()
    assert database.stat().st_size > before


def test_an_empty_log_is_empty_whatever_was_being_moved(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    log = next(tmp_path.rglob("records.db-wal"))
    for batch in range(20):
        collection.upsert([record(batch * MANY + n) for n in range(MANY)])
        assert log.stat().st_size > 0
        with loaded(collection).commit.lock:
            _checkpoints(collection).truncate()
        assert log.stat().st_size == 0


def test_a_log_that_cannot_be_moved_is_kept_and_moved_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    checkpoints = _checkpoints(collection)
    database, checkpoints._path = checkpoints._path, tmp_path / "nowhere" / "records.db"
    size = database.stat().st_size
    with caplog.at_level(logging.WARNING):
        collection.upsert([record(n) for n in range(MANY)])
        checkpoints._running.join()
    assert "could not be moved" in caplog.text
    assert database.stat().st_size == size
    assert ids(collection, SearchQuery(vector(7), k=1)) == ["7"]
    checkpoints._path = database
    collection.upsert([record(MANY + n) for n in range(MANY)])
    checkpoints._running.join()
    assert database.stat().st_size > size
    tenant.close()
    assert directory(tmp_path).collection("things").stats().records == 2 * MANY


def test_without_a_thread_to_be_had_the_log_grows_and_nothing_fails(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    checkpoints = _checkpoints(collection)
    for n in range(0, 120, 40):  # fewer than have a thread that commits them
        collection.upsert([record(n + i) for i in range(40)])
    with monkeypatch.context() as patched:
        patched.setattr("threading.Thread.start", start)
        collection.upsert([record(120 + i) for i in range(40)])
        assert checkpoints._running is None
    collection.upsert([record(200)])
    checkpoints._running.join()
    assert collection.stats().records == 161


def _checkpoints(collection: Collection) -> Checkpoints:
    return loaded(collection)._checkpoints
