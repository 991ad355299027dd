import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from index import Collection, Outcome, SearchQuery, StoreUnavailable
from index.store import Normalised
from tests.support.collections import SPEC, directory, ids, loaded, record, vector


def test_concurrent_writers_all_get_their_own_result_and_numbers(collection: Collection) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: collection.upsert([record(n)])[0], range(300)))
    assert [r.record_id for r in results] == [str(n) for n in range(300)]
    assert sorted(r.sequence for r in results) == list(range(1, 301))
    assert collection.stats().records == 300


def test_writers_that_wait_share_one_commit(collection: Collection) -> None:
    commits: list[int] = []
    commit = loaded(collection).commit
    publish = commit._publish
    commit._publish = lambda changes, sequence: (commits.append(len(changes)), publish(changes, sequence))
    with ThreadPoolExecutor(16) as pool:
        with commit.lock:  # the disk is busy; meanwhile writers line up
            waiting = [pool.submit(collection.upsert, [record(n)]) for n in range(12)]
            while len(commit._waiting) < 12:
                threading.Event().wait(0.001)
        assert all(w.result()[0].outcome is Outcome.CREATED for w in waiting)
    assert commits == [12]


def test_a_write_that_raises_takes_nothing_of_its_group_with_it(collection: Collection) -> None:
    def fails_late(transaction: object) -> None:
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
            odd = hits["7"].record.attributes["generation"] % 2 == 1
            assert (hits["7"].distance > 0.05) == odd  # the distance belongs to the attributes shown
        done.result()


def test_a_full_disk_refuses_the_write_and_the_next_one_may_succeed(collection: Collection) -> None:
    collection.upsert([record(1)])
    pages = loaded(collection).connection.execute("PRAGMA page_count").fetchone()[0]
    loaded(collection).connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        collection.upsert([record(n) for n in range(2, 400)])
    assert ids(collection, SearchQuery(vector(1), k=10)) == ["1"]
    loaded(collection).connection.execute("PRAGMA max_page_count = 1000000")
    assert collection.upsert([record(2)])[0].outcome is Outcome.CREATED


def test_a_closed_collection_refuses_instead_of_losing(tmp_path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    tenant.close()
    with pytest.raises(StoreUnavailable):
        collection.upsert([record(1)])
    with pytest.raises(StoreUnavailable):
        collection.search(SearchQuery(vector(1), k=1))
