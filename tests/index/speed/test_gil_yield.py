import threading

import pytest

from index.speed import gil_yield
from index.speed.gil_yield import batches_yielding, free_gradually, searches, yield_to_searches


def test_where_no_search_runs_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil_yield, "_LONGEST_S", 3600.0)
    yield_to_searches()
    searches.wait_for_one()
    assert (searches.running, searches._waiting) == (0, [])


def test_a_pause_lasts_until_a_search_that_runs_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil_yield, "_LONGEST_S", 60.0)
    going, paused = threading.Event(), threading.Event()

    def write() -> None:
        going.wait()
        yield_to_searches()
        paused.set()

    writer = threading.Thread(target=write)
    writer.start()
    with searches:
        going.set()
        while not searches._waiting:
            threading.Event().wait(0.001)
        assert not paused.is_set()
    writer.join()
    assert paused.is_set()
    assert searches.running == 0


def test_a_search_that_never_ends_holds_no_write_up_for_ever() -> None:
    with searches:
        yield_to_searches()
        assert (searches.running, len(searches._waiting)) == (1, 1)
    assert searches._waiting == []


def test_items_come_in_order_and_all_of_them_few_at_once_while_a_search_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil_yield, "_LONGEST_S", 0.0)
    assert [list(b) for b in batches_yielding(range(20), 16)] == [list(range(16)), [16, 17, 18, 19]]
    with searches:
        assert [list(b) for b in batches_yielding(range(5), 16)] == [[0, 1], [2, 3], [4]]
        assert [list(b) for b in batches_yielding(range(2), 4)] == [[0], [1]]
    assert list(batches_yielding([], 8)) == []


def test_a_list_that_is_let_go_is_empty() -> None:
    items = [object() for _ in range(200)]
    free_gradually(items)
    assert items == []
