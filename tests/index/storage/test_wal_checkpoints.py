import logging
import threading
from pathlib import Path

import pytest

from index import Collection, SearchQuery
from index.storage.page_format import NEWEST_PAGE_FORMAT
from index.storage.wal_checkpoints import Checkpoints
from tests.support.data.collections import SPEC, directory, ids, loaded, record, vector

MANY = 300  # more than is worth a thread


def _ended(checkpoints: Checkpoints) -> None:
    """Waits for the thread of the checkpoint."""
    assert checkpoints._running is not None
    checkpoints._running.join()


def test_what_many_records_left_in_the_log_is_moved_beside_the_writer_and_the_log_begins_anew(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    database = next(tmp_path.rglob("records.db"))
    log, sizes = database.with_name("records.db-wal"), []
    for batch in range(12):
        before = database.stat().st_size
        collection.upsert([record(batch * MANY + n) for n in range(MANY)])
        _ended(_checkpoints(collection))
        assert database.stat().st_size > before
        sizes.append(log.stat().st_size)
    assert max(sizes[2:]) < 2 * sizes[1]
    assert collection.stats().records == 12 * MANY


def test_after_small_commits_the_log_is_moved_within_one_of_them_and_begins_anew(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    collection.upsert([record(n) for n in range(MANY)])
    database = next(tmp_path.rglob("records.db"))
    _ended(_checkpoints(collection))
    before = database.stat().st_size
    for n in range(400):
        collection.upsert([record(1000 + n)])
    assert database.stat().st_size > before
    running = _checkpoints(collection)._running
    assert running is not None
    assert not running.is_alive()
    assert database.with_name("records.db-wal").stat().st_size < 1100 * (NEWEST_PAGE_FORMAT.size + 24)


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
    database, checkpoints.path = checkpoints.path, tmp_path / "nowhere" / "records.db"
    size = database.stat().st_size
    with caplog.at_level(logging.WARNING):
        collection.upsert([record(n) for n in range(MANY)])
        _ended(checkpoints)
    assert "could not checkpoint" in caplog.text
    assert database.stat().st_size == size
    assert ids(collection, SearchQuery(vector(7), k=1)) == ["7"]
    checkpoints.path = database
    collection.upsert([record(MANY + n) for n in range(MANY)])
    _ended(checkpoints)
    assert database.stat().st_size > size
    tenant.close()
    assert directory(tmp_path).collection("things").stats().records == 2 * MANY


def test_without_a_thread_to_be_had_the_log_grows_and_nothing_fails(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    checkpoints = _checkpoints(collection)
    collection.upsert([record(n) for n in range(MANY)])
    _ended(checkpoints)
    checkpoints._running = None
    with monkeypatch.context() as patched:
        patched.setattr("threading.Thread.start", start)
        with pytest.raises(RuntimeError):
            threading.Thread(target=print).start()
        checkpoints.after()
        assert checkpoints._running is None
    checkpoints.after()
    _ended(checkpoints)
    assert collection.stats().records == MANY


def _checkpoints(collection: Collection) -> Checkpoints:
    return loaded(collection).store.checkpoints
