import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from index import Collection, Outcome, SearchQuery, StoreUnavailable
from index.types.changes import Normalised
from tests.support.data.collections import SPEC, directory, ids, loaded, record, vector


def test_concurrent_writers_all_get_their_own_result_and_numbers(collection: Collection) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: collection.upsert([record(n)])[0], range(300)))
    assert [r.record_id for r in results] == [str(n) for n in range(300)]
    assert sorted(r.sequence for r in results) == list(range(1, 301))
    assert collection.stats().records == 300


def test_writers_that_wait_share_one_commit(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    commit, rows = loaded(collection).commit, loaded(collection).index.state.rows
    stage = rows.stage

    def counted(changes: Any) -> Any:
        commits.append(len(changes))
        return stage(changes)

    monkeypatch.setattr(rows, "stage", counted)
    with ThreadPoolExecutor(16) as pool:
        with commit.lock:  # the disk is busy; meanwhile writers line up
            waiting = [pool.submit(collection.upsert, [record(n)]) for n in range(12)]
            while len(commit._waiting) < 12:
                threading.Event().wait(0.001)
        assert all(w.result()[0].outcome is Outcome.CREATED for w in waiting)
    assert commits == [12]


def test_a_write_that_raises_takes_nothing_of_its_group_with_it(collection: Collection) -> None:
    def fails_late(transaction: Any) -> None:
        transaction.upsert([Normalised(record(1), vector(1))], insert_only=False)
        raise RuntimeError("on purpose")

    with ThreadPoolExecutor(4) as pool, loaded(collection).commit.lock:
        bad = pool.submit(loaded(collection).commit.run, fails_late)
        good = pool.submit(collection.upsert, [record(2)])
        while len(loaded(collection).commit._waiting) < 2:
            threading.Event().wait(0.001)
        loaded(collection).commit._lead()
    with pytest.raises(RuntimeError, match="on purpose"):
        bad.result()
    assert good.result()[0].outcome is Outcome.CREATED
    assert [r.record_id for r in collection.list(0, 10)] == ["2"]


def test_a_search_during_writes_never_shows_half_a_record(collection: Collection) -> None:
    collection.upsert([record(n, generation=0) for n in range(40)])
    stop = threading.Event()

    def rewrite() -> None:
        for generation in range(1, 60):
            offset = 1000 * (generation % 2)
            collection.upsert([record(n + offset, generation=generation).__class__(
                str(n), vector(n + offset), "", {"generation": float(generation)}) for n in range(40)])  # fmt: skip
        stop.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(rewrite)
        while not stop.is_set():
            answer = collection.search(SearchQuery(vector(7), k=40))
            hits = {h.record.record_id: h for g in answer.groups for h in g}
            odd = float(str(hits["7"].record.attributes["generation"])) % 2 == 1
            assert (hits["7"].distance > 0.05) == odd  # the distance belongs to the attributes shown
        done.result()


def test_a_full_disk_refuses_the_write_and_the_next_one_may_succeed(collection: Collection) -> None:
    collection.upsert([record(1)])
    pages = loaded(collection).store.connection.execute("PRAGMA page_count").fetchone()[0]
    loaded(collection).store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        collection.upsert([record(n) for n in range(2, 400)])
    assert ids(collection, SearchQuery(vector(1), k=10)) == ["1"]
    loaded(collection).store.connection.execute("PRAGMA max_page_count = 1000000")
    assert collection.upsert([record(2)])[0].outcome is Outcome.CREATED


class _Watched:
    """A connection whose COMMIT is begun only once something else has happened."""

    def __init__(self, connection: Any, before_commit: threading.Event) -> None:
        self._connection, self._before = connection, before_commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: object) -> object:
        if statement == "COMMIT":
            assert self._before.wait(10)
        return self._connection.execute(statement, *values)


def test_many_records_are_entered_while_the_disk_is_at_work(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, entered = loaded(collection), threading.Event()
    stage = parts.index.state.rows.stage

    def told(changes: Any) -> Any:
        staged = stage(changes)
        entered.set()
        return staged

    monkeypatch.setattr(parts.index.state.rows, "stage", told)
    parts.commit._connection = _Watched(parts.store.connection, entered)
    collection.upsert([record(n) for n in range(200)])
    assert collection.stats().records == 200


def test_records_that_the_disk_refused_at_the_last_moment_are_never_seen(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(n, kind="old") for n in range(20)])
    parts = loaded(collection)
    log = next(tmp_path.rglob("records.db-wal"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 8192, before[1]))
    try:
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            collection.upsert([record(n, kind="new") for n in range(10, 400)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(parts.index.state.rows.view.live) == 20
    assert collection.count('kind = "new"') == 0
    assert ids(collection, SearchQuery(vector(15), k=1)) == ["15"]
    with pytest.raises(StoreUnavailable, match="an earlier write failed"):  # the file's state is in doubt
        collection.upsert([record(500)])
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert again.upsert([record(500, kind="new")])[0].outcome is Outcome.CREATED
    assert (again.stats().records, again.count('kind = "new"'), again.count('kind = "old"')) == (21, 1, 20)


@pytest.mark.parametrize("records", [1, 200])
def test_where_memory_cannot_follow_the_store_nobody_is_told_of_success(
    tmp_path: Path, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(1)])

    def stage(changes: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(loaded(collection).index.state.rows, "stage", stage)
    with pytest.raises(StoreUnavailable, match="no room"):
        collection.upsert([record(n) for n in range(2, 2 + records)])
    with pytest.raises(StoreUnavailable, match="an earlier write failed"):
        collection.delete(["1"])
    assert ids(collection, SearchQuery(vector(2), k=9)) == ["1"]
    tenant.close()
    again = directory(tmp_path).collection("things")  # of many, the disk was at work already
    stored = 1 + records if records == 200 else 1
    assert (again.loaded_stats().records, len(ids(again, SearchQuery(vector(2), k=999)))) == (stored, stored)


def test_a_closed_collection_refuses_instead_of_losing(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    tenant.close()
    with pytest.raises(StoreUnavailable):
        collection.upsert([record(1)])
    with pytest.raises(StoreUnavailable):
        collection.search(SearchQuery(vector(1), k=1))
