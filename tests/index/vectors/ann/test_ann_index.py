"""Searches with an ANN index: the graph, the clusters, and newer rows."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import Collection, RecordWrite, SearchQuery
from index import ScanStrategy as Way
from index.vectors.ann.ann_build_job import AnnIndexNotBuilt
from tests.support.data.collections import SPEC, directory, ids, loaded, record, vector
from tests.support.data.files import flip_byte

ROWS, FEW = 4000, 2000  # of what the tests share, and of what a test builds for itself


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """ROWS records with an ANN index; no test changes them."""
    tenant = directory(tmp_path_factory.mktemp("based"))
    collection = filled(tenant.create(SPEC), ROWS)
    assert collection.build_ann_index()
    yield collection
    tenant.close()


def filled(collection: Collection, count: int = FEW) -> Collection:
    rows = [record(n, f"p{n // 5}", price=n, kind=f"k{n % 7}", left=bool(vector(n)[0] < 0)) for n in range(count)]
    for start in range(0, count, 500):
        collection.upsert(rows[start : start + 500])
    return collection


def recall(collection: Collection, queries: range, filter_text: str = "", k: int = 10) -> tuple[float, set[Way]]:
    """The share of the exact results that is found, and the strategies used."""
    shares, ways = [], set()
    for n in queries:
        query = vector(100_000 + n)
        answer = collection.search(SearchQuery(query, k, filter=filter_text))
        found = {h.record.record_id for g in answer.groups for h in g}
        exact = set(ids(collection, SearchQuery(query, k, filter=filter_text, exact=True)))
        assert len(found) == len(exact)
        shares.append(len(found & exact) / max(1, len(exact)))
        ways.add(answer.path)
    return float(np.mean(shares)), ways


@pytest.fixture
def _prefers_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are compared exactly because that is faster. Here the ANN index must answer."""
    monkeypatch.setattr("index.vectors.query.plan._GRAPH", 0.01)
    monkeypatch.setattr("index.vectors.query.plan._WORTH", 0.0)


@pytest.mark.usefixtures("_prefers_the_base")
def test_the_graph_finds_what_an_exact_search_finds(based: Collection) -> None:
    found, ways = recall(based, range(200))
    assert Way.GRAPH in ways
    assert ways <= {Way.GRAPH, Way.SKETCHES, Way.EXACT}  # those of queries that are unlike the rows
    assert found >= 0.98
    assert (based.stats().recall or 0) >= 0.99


@pytest.mark.usefixtures("_prefers_the_base")
@pytest.mark.parametrize("filter_text", ["price < 2000", 'kind = "k1" OR kind = "k2" OR kind = "k3"', "left = true"])
def test_a_filter_that_lets_much_through_goes_along_the_graph_and_keeps_the_recall(
    based: Collection, filter_text: str
) -> None:
    found, ways = recall(based, range(100), filter_text)
    assert Way.GRAPH_FILTERED in ways
    assert found >= 0.98


def test_a_filter_against_the_query_is_answered_from_the_clusters_or_exactly(
    based: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.vectors.query.plan._WORTH", 0.0)
    monkeypatch.setattr("index.vectors.query.plan._GATHER", 50.0)
    monkeypatch.setattr("index.vectors.query.plan._TOGETHER", 50.0)
    monkeypatch.setattr("index.vectors.query.plan._SCAN", 50.0)
    monkeypatch.setattr("index.vectors.query.plan._SKETCH_NS", 900.0)
    monkeypatch.setattr("index.vectors.query.plan._LEAST_LOCAL", 2.0)  # the graph is no way
    found, ways = recall(based, range(60), "price < 3990")
    assert Way.CLUSTERS_FILTERED in ways
    assert found >= 0.97


@pytest.fixture
def _prefers_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.query.plan._PROMISING_NS", 0.0)
    monkeypatch.setattr("index.vectors.query.plan._SKETCH_NS", 0.01)
    monkeypatch.setattr("index.vectors.query.plan._SKETCH_GATHER_NS", 0.01)


@pytest.mark.usefixtures("_prefers_sketches")
@pytest.mark.parametrize("filter_text", ["price < 3000", 'kind != "k1"', "left = true", "left = false"])
def test_a_filter_is_answered_by_sketches_and_keeps_the_recall(based: Collection, filter_text: str) -> None:
    for _ in range(2):  # the second time what is copied together is kept
        found, ways = recall(based, range(100), filter_text)
        assert ways == {Way.SKETCHES_FILTERED}
        assert found >= 0.98


@pytest.mark.usefixtures("_prefers_sketches")
def test_sketches_know_what_is_newer_than_the_base_outlast_a_restart_and_forget_what_is_deleted(
    tmp_path: Path,
) -> None:
    tenant = directory(tmp_path)
    collection = filled(tenant.create(SPEC))
    collection.build_ann_index()
    for start in range(FEW, 2 * FEW + 40, 500):
        collection.upsert([record(n, price=n) for n in range(start, min(start + 500, 2 * FEW + 40))])
    view = loaded(collection).index.view
    assert view.count > len(view.signatures) > FEW
    share, ways = recall(collection, range(60), "price >= 100")
    assert (share >= 0.98, ways) == (True, {Way.SKETCHES_FILTERED})
    for n in (100, FEW + 5, 2 * FEW + 39):  # of the base, newer with a sketch, without one
        assert ids(collection, SearchQuery(vector(n), 1, filter="price >= 100")) == [str(n)]
    collection.delete(["100", str(FEW + 5)])
    collection.erase([])
    view = loaded(collection).index.view
    assert not view.signatures[[100, FEW + 5]].any()
    assert view.signatures[101].any()
    before = [ids(collection, SearchQuery(vector(70_000 + n), 10, filter="price >= 100")) for n in range(30)]
    query = vector(3) / np.linalg.norm(vector(3))
    assert view.ann_index is not None
    signatures, within = view.signatures[:FEW].copy(), view.ann_index.signature_encoder.within(query, 0.6)
    tenant.close()
    again = directory(tmp_path).collection("things")
    restored = loaded(again).index.view.ann_index
    assert restored is not None
    assert restored.signature_encoder.within(query, 0.6) == within
    assert np.array_equal(loaded(again).index.view.signatures[:FEW], signatures)
    assert [ids(again, SearchQuery(vector(70_000 + n), 10, filter="price >= 100")) for n in range(30)] == before
    assert again.damaged_snapshots == []


@pytest.mark.usefixtures("_prefers_sketches")
def test_a_base_that_is_extended_or_built_anew_has_the_sketches_of_all_its_rows(tmp_path: Path) -> None:
    collection = filled(directory(tmp_path).create(SPEC))
    collection.build_ann_index()
    collection.delete(["7"])
    collection.upsert([record(n, price=n) for n in range(FEW, FEW + 1600)])
    loaded(collection).index.state.rows.sign_newer_rows()
    for anew in (False, True, True):
        assert collection.build_ann_index(anew=anew)
        view = loaded(collection).index.view
        assert (view.ann_rows, len(view.signatures)) == (FEW + 1600, FEW + 1600)
        assert view.ann_index is not None
        expected = view.ann_index.signature_encoder.rows(view.float16)
        expected[7] = 0
        assert np.array_equal(view.signatures, expected)


def test_few_allowed_rows_are_compared_exactly(based: Collection) -> None:
    assert recall(based, range(30), "price < 40") == (1.0, {Way.EXACT_FILTERED})
    assert recall(based, range(3), "price < 0") == (0.0, {Way.EMPTY})


@pytest.mark.usefixtures("_prefers_the_base")
def test_what_is_newer_than_the_base_is_found_and_what_is_deleted_is_not(tmp_path: Path) -> None:
    collection = filled(directory(tmp_path).create(SPEC))
    collection.build_ann_index()
    collection.upsert([record(FEW + n) for n in range(50)])
    collection.delete([str(n) for n in range(200)])
    collection.upsert([record(300 + n).__class__(str(300 + n), vector(9000 + n)) for n in range(20)])
    assert collection.search(SearchQuery(vector(1), 1)).path is Way.GRAPH
    for n in range(50):
        assert ids(collection, SearchQuery(vector(FEW + n), 1)) == [str(FEW + n)]
    assert not {str(n) for n in range(200)} & {
        i for n in range(40) for i in ids(collection, SearchQuery(vector(n), 10))
    }
    assert ids(collection, SearchQuery(vector(9003), 1)) == ["303"]
    assert loaded(collection).index.view.ann_rows == FEW
    assert collection.build_ann_index()
    assert loaded(collection).index.view.ann_rows == (FEW + 70) // 8 * 8
    assert recall(collection, range(50))[0] >= 0.98


def test_the_base_waits_while_many_rows_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_SMALLEST_DELTA", 8), ("_DELTA_SHARE", 10_000), ("_MANY", 50), ("_DELTA_IN_FLOW", 200)):
        monkeypatch.setattr(f"index.vectors.local.rebuilding.{name}", value)
    collection = filled(directory(tmp_path).create(SPEC))
    assert collection.build_ann_index()
    collection.snapshot()

    def extended_by(rows: int) -> int:
        before, end = loaded(collection).index.view.ann_rows, loaded(collection).index.view.count
        collection.upsert([record(n) for n in range(end, end + rows)])
        collection.maintain()
        loaded(collection).index.rebuilding.join()
        return loaded(collection).index.view.ann_rows - before

    assert [extended_by(rows) for rows in (96, 96, 48, 96, 112)] == [0, 0, 240, 0, 208]


@pytest.mark.usefixtures("_prefers_the_base")
def test_many_rows_that_are_newer_than_the_base_are_found_by_their_sketches(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = filled(tenant.create(SPEC))
    assert collection.build_ann_index()
    newer = [record(n, price=n, kind=f"k{n % 7}") for n in range(FEW, 3 * FEW)]
    for start in range(0, len(newer), 500):
        collection.upsert(newer[start : start + 500])
    view = loaded(collection).index.view
    assert (view.ann_rows, len(view.signatures) > 3 * FEW - 520, len(view.signatures) % 8) == (FEW, True, 0)
    for filter_text in ("", 'kind = "k3"', f"price > {FEW}"):
        share, ways = recall(collection, range(60), filter_text)
        assert share >= 0.99
        assert ways <= {Way.GRAPH, Way.GRAPH_FILTERED, Way.CLUSTERS_FILTERED, Way.EXACT_FILTERED}
    for n in (FEW, 2 * FEW + 1, 3 * FEW - 1):
        assert ids(collection, SearchQuery(vector(n), 1)) == [str(n)]
    collection.delete([str(2 * FEW)])
    assert ids(collection, SearchQuery(vector(2 * FEW), 1)) != [str(2 * FEW)]
    assert collection.build_ann_index()  # over all rows
    view = loaded(collection).index.view
    assert (len(view.signatures), view.ann_rows) == (3 * FEW, 3 * FEW)
    assert recall(collection, range(60))[0] >= 0.98
    tenant.close()
    collection = directory(tmp_path).collection("things")
    assert ids(collection, SearchQuery(vector(FEW), 1)) == [str(FEW)]


def test_groups_and_pages_through_a_base_fit_together(based: Collection) -> None:
    query = vector(77_777)
    paged = [i for o in range(0, 60, 10) for i in ids(based, SearchQuery(query, 10, offset=o))]
    assert len(set(paged)) == 60
    assert set(paged) == set(ids(based, SearchQuery(query, 60)))
    groups = based.search(SearchQuery(query, 20, group_by_product=True, group_size=2, exact=True)).groups
    through = based.search(SearchQuery(query, 20, group_by_product=True, group_size=2)).groups
    first = [[g[0].record.product_id for g in found] for found in (groups, through)]
    assert len(set(first[1])) == 20
    assert len(set(first[0]) & set(first[1])) >= 19


@pytest.mark.usefixtures("_prefers_the_base")
def test_pages_fit_together_although_the_graph_misses_the_nearest_rows(
    based: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann_index = loaded(based).index.view.ann_index
    assert ann_index is not None
    graph = type(ann_index.graph)
    search = graph.search

    def short_sighted(self: Any, query: Any, k: int, effort: int, allowed: Any = None) -> tuple[Any, Any]:
        scores, rows = search(self, query, k + 3, max(effort, k + 3), allowed)
        return scores[3:], rows[3:]

    monkeypatch.setattr(graph, "search", short_sighted)
    ways = set()
    for n in range(20):
        query = SearchQuery(vector(200_000 + n), 10)
        ways.add(based.search(query).path)
        paged = [i for o in range(0, 60, 10) for i in ids(based, query._replace(offset=o))]
        assert len(set(paged)) == 60
        assert set(paged) >= set(ids(based, query._replace(k=50, exact=True)))
        without = query._replace(exclude_record_ids=frozenset(paged[:8]))
        near = [h.distance for g in based.search(without).groups for h in g]
        assert (len(near), near) == (10, sorted(near))
        grouped = query._replace(k=4, group_by_product=True)
        products = [
            g[0].record.product_id for o in range(0, 40, 4) for g in based.search(grouped._replace(offset=o)).groups
        ]
        assert len(set(products)) == 40
    assert Way.GRAPH in ways


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """5,000 records in 50 clusters with 48 dimensions and an ANN index; no test changes them."""
    chance = np.random.default_rng(1)
    rows = (
        chance.standard_normal((50, 48))[chance.integers(0, 50, 5000)] + 0.3 * chance.standard_normal((5000, 48)) + 0.3
    )
    tenant = directory(tmp_path_factory.mktemp("crowded"))
    collection = tenant.create(replace(SPEC, dimension=48))
    for start in range(0, 5000, 500):
        block = rows[start : start + 500].astype(np.float32)
        collection.upsert([RecordWrite(str(start + n), v, attributes={"n": float(n)}) for n, v in enumerate(block)])
    assert collection.build_ann_index()
    yield collection
    tenant.close()


@pytest.mark.usefixtures("_prefers_the_base")
@pytest.mark.parametrize("kind", ["far", "sum", "difference", "one block", "deep"])
@pytest.mark.parametrize("filter_text", ["", "n < 300"])
def test_queries_that_are_unlike_the_rows_find_what_an_exact_search_finds(
    crowded: Collection, kind: str, filter_text: str
) -> None:
    rows = loaded(crowded).index.view.float16.astype(np.float32)
    chance = np.random.default_rng(7)
    shares = []
    for _ in range(40):
        one, other = rows[chance.integers(0, 5000, 2)]
        made = {"far": chance.standard_normal(48), "sum": one + other, "difference": one - 0.9 * other,
                "one block": np.concatenate([one[:8], np.zeros(40)]), "deep": one}[kind]  # fmt: skip
        depth: dict[str, Any] = {"k": 10, "offset": 60} if kind == "deep" else {"k": 10}
        composed = kind in ("sum", "difference", "one block")
        query = SearchQuery(made.astype(np.float32), filter=filter_text, composed=composed, **depth)
        found, exact = set(ids(crowded, query)), set(ids(crowded, query._replace(exact=True)))
        assert len(found) == len(exact) == 10
        shares.append(len(found & exact) / 10)
    assert np.mean(shares) >= 0.99


def test_recall_after_a_restart_is_as_before_and_the_base_is_not_built_again(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = filled(tenant.create(SPEC))
    collection.build_ann_index()
    queries = [SearchQuery(vector(50_000 + n), 10) for n in range(50)]
    before = [ids(collection, q) for q in queries]
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert [ids(again, q) for q in queries] == before
    assert loaded(again).index.view.ann_rows == FEW
    assert again.damaged_snapshots == []


@pytest.mark.parametrize("name", ["base.enc", "sketches-00000.enc"])
def test_a_damaged_base_is_done_without_and_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tenant = directory(tmp_path)
    filled(tenant.create(SPEC)).build_ann_index()
    tenant.close()
    flip_byte(next(tmp_path.rglob(name)), 5000)
    collection = directory(tmp_path).collection("things")
    assert ids(collection, SearchQuery(vector(5), 1)) == ["5"]
    assert "ANN index of a snapshot is unusable" in caplog.text
    assert loaded(collection).index.view.ann_rows == 0
    assert collection.build_ann_index()


def test_a_builder_that_dies_leaves_the_collection_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = filled(directory(tmp_path).create(SPEC))
    builders = loaded(collection).index.rebuilding._builders
    started = threading.Event()
    run = builders._run

    def killed(*arguments: Any) -> dict[str, int]:
        started.set()
        return run(*arguments)

    monkeypatch.setattr(builders, "_run", killed)
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(collection.build_ann_index)
        started.wait()
        while not building.done():
            for process in list(builders._running):
                os.kill(process.pid, signal.SIGKILL)
            threading.Event().wait(0.001)
        with pytest.raises(AnnIndexNotBuilt, match="-9"):
            building.result()
    assert ids(collection, SearchQuery(vector(5), 1)) == ["5"]
    monkeypatch.undo()
    assert collection.build_ann_index()


def test_searches_and_writes_go_on_while_a_base_is_built_and_rows_are_compacted(tmp_path: Path) -> None:
    collection = filled(directory(tmp_path).create(SPEC))
    collection.delete([str(n) for n in range(0, FEW, 4)])
    done = threading.Event()

    def read(seed: int) -> int:
        count, n = 0, seed
        while not done.is_set():
            n = (n + 997) % FEW
            answer = collection.search(SearchQuery(vector(n), 5, filter="" if n % 2 else "price < 1500"))
            hits = [h for g in answer.groups for h in g]
            assert all(int(h.record.record_id) % 4 for h in hits if int(h.record.record_id) < FEW)
            assert [h.distance for h in hits] == sorted(h.distance for h in hits)
            count += 1
            done.wait(0.001)  # the builder needs the processor, too
        return count

    def write() -> None:
        for n in range(50):
            collection.upsert([record(FEW + n, price=1.0)])

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, seed) for seed in (1, 2)]
        writer = pool.submit(write)
        assert collection.build_ann_index()
        collection.compact()
        writer.result()
        done.set()
        assert all(r.result() > 0 for r in readers)
    assert collection.count() == FEW * 3 // 4 + 50
    assert collection.stats().tombstones == 0
    assert list(collection.problems()) == []
