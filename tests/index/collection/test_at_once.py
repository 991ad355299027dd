"""What an event loop may ask for without a thread: it gets the answer of `search`, or none at once."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from index import Boost, Collection, InvalidInput, Order, SearchAnswer, SearchQuery
from index.types.record import StoredRecord
from tests.support.data.collections import loaded, record, vector

LONG_S = 1.0


def filled(collection: Collection, count: int = 300) -> None:
    collection.upsert([record(n, odd=bool(n % 2), price=n) for n in range(count)])


def shown(answer: SearchAnswer | None) -> list[tuple[str, float]] | None:
    return None if answer is None else [(h.record.record_id, h.distance) for g in answer.groups for h in g]


def test_an_answer_at_once_is_that_of_a_search(collection: Collection) -> None:
    filled(collection)
    chosen, none_before = np.random.default_rng(5), 0
    for number in range(60):
        filter_text = ("", "odd = true", f"price < {chosen.integers(300)}")[number % 3]
        query = SearchQuery(vector(1000 + number), k=int(chosen.integers(1, 25)), filter=filter_text)
        none_before += collection.search_at_once(query, LONG_S) is None
        plain = collection.search(query)
        at_once = collection.search_at_once(query, LONG_S)
        assert at_once is not None
        assert shown(at_once) == shown(plain)
        assert (at_once.allowed, at_once.sequence, at_once.path) == (plain.allowed, plain.sequence, plain.path)
    assert none_before >= 20  # filters that nobody had asked with


@pytest.mark.parametrize(
    "changes",
    [
        {"exclude_record_ids": frozenset({"1"})}, {"only_record_ids": frozenset({"1"})}, {"include_vectors": True},
        {"group_by_product": True}, {"diversity": 0.5}, {"facets": ("odd",)}, {"max_distance": 0.5}, {"offset": 3},
        {"order": Order("price")}, {"boosts": (Boost(0.1, "odd = true"),)}, {"filter": "price > 5"},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_may_wait_or_take_long_is_left_to_a_thread(collection: Collection, changes: dict[str, Any]) -> None:
    filled(collection)
    query = SearchQuery(vector(1), k=3)
    collection.search(query)
    assert collection.search_at_once(query, LONG_S) is not None
    assert collection.search_at_once(query._replace(**changes), LONG_S) is None


def test_a_search_that_takes_longer_than_was_allowed_is_left_to_a_thread(collection: Collection) -> None:
    filled(collection)
    query = SearchQuery(vector(1), k=3)
    collection.search(query)
    expected_s = loaded(collection).index.expected_s(query)
    assert 0 < expected_s < math.inf
    assert collection.search_at_once(query, expected_s) is not None
    assert collection.search_at_once(query, expected_s * 0.99) is None


def test_larger_collections_are_expected_to_take_longer_until_they_have_a_graph(collection: Collection) -> None:
    expected: list[float] = []
    query = SearchQuery(vector(1), k=3)
    for start in range(0, 3000, 1000):
        collection.upsert([record(n) for n in range(start, start + 1000)])
        collection.search(query)
        expected.append(loaded(collection).index.expected_s(query))
    assert expected == sorted(expected)
    assert expected[-1] == pytest.approx(3 * expected[0])


def test_a_cold_collection_is_not_loaded(collection: Collection) -> None:
    filled(collection)
    collection.search(SearchQuery(vector(1), k=3))
    collection.count("odd = true")
    assert collection.handle.cool()
    assert collection.search_at_once(SearchQuery(vector(1), k=3), LONG_S) is None
    assert collection.matching_at_once("odd = true") is None
    assert collection.handle.loaded is None


def test_nothing_waits_for_who_loads_or_closes_it(collection: Collection) -> None:
    filled(collection)
    collection.search(SearchQuery(vector(1), k=3))
    collection.matching()
    with collection.handle.lock:
        assert collection.search_at_once(SearchQuery(vector(1), k=3), LONG_S) is None
        assert collection.matching_at_once() is None
    assert collection.search_at_once(SearchQuery(vector(1), k=3), LONG_S) is not None
    assert not collection.handle.lock.locked()


def test_a_vector_that_is_none_is_refused_as_by_a_search(collection: Collection) -> None:
    filled(collection)
    collection.search(SearchQuery(vector(1), k=3))
    with pytest.raises(InvalidInput):
        collection.search_at_once(SearchQuery(np.full_like(vector(1), np.nan), k=3), LONG_S)
    assert not collection.handle.lock.locked()


def test_counts_at_once_are_those_of_a_look_at_the_filter_since_the_last_write(collection: Collection) -> None:
    filled(collection)
    assert collection.matching_at_once("odd = true") is None
    assert collection.matching("odd = true").records == 150
    found = collection.matching_at_once("odd = true")
    assert found is not None
    assert (found.records, found.hints) == (150, collection.filter_hints("odd = true"))
    collection.delete(["1"])
    assert collection.matching_at_once("odd = true") is None
    assert collection.matching("odd = true").records == 149
    assert collection.matching("colour = 1").hints.unknown_attributes == ("colour",)


def test_a_search_at_once_is_counted_if_that_is_asked_for(collection: Collection) -> None:
    filled(collection)
    query = SearchQuery(vector(1), k=3)
    collection.search(query)
    for bin_of in (None, lambda answer: (7, None), lambda answer: (7, 3)):
        assert collection.search_at_once(query, LONG_S, bin_of) is not None
    assert collection.search_at_once(query, 0.0, lambda answer: (7, 3)) is None
    (day,) = collection.search_tally().days
    assert (day.day, day.without_hit, sum(day.best), day.best[3]) == (7, 1, 1, 1)


def told(record: StoredRecord) -> bytes:
    return f"{record.record_id} {record.sequence}".encode()


def test_records_are_shown_at_once_until_they_are_written_or_deleted(collection: Collection) -> None:
    filled(collection)
    assert collection.shown_at_once(["3", "4"], told) is None
    shown = collection.show(["3", "4"], told)
    assert collection.shown_at_once(["4", "3", "4"], told) == [shown["4"], shown["3"], shown["4"]]
    assert collection.shown_at_once(["3", "missing"], told) is None
    collection.upsert([record(3, odd=False)])
    assert collection.shown_at_once(["3"], told) is None
    assert collection.show(["3"], told) != {"3": shown["3"]}
    collection.delete(["4"])
    assert collection.shown_at_once(["4"], told) is None
    assert collection.show(["4"], told) == {}
    with collection.handle.lock:
        assert collection.shown_at_once(["3"], told) is None


def test_nothing_that_was_shown_of_an_erased_record_is_kept(collection: Collection) -> None:
    filled(collection)
    query = SearchQuery(vector(7), k=300, show=told)
    collection.search(query)
    collection.show(["7", "8"], told)
    shown = loaded(collection).index.view.payloads.shown
    assert any(b"7 " in content for _, content in shown._kept.values())
    collection.erase(["7"])
    left = [content.split()[0] for _, content in loaded(collection).index.view.payloads.shown._kept.values()]
    assert b"7" not in left
    assert b"8" in left


def test_an_erased_record_is_in_no_answer_at_once(collection: Collection) -> None:
    filled(collection)
    query = SearchQuery(vector(7), k=1)
    assert shown(collection.search(query)) == shown(collection.search_at_once(query, LONG_S))
    collection.delete(["7"])
    for _ in range(2):
        found = shown(collection.search_at_once(query, LONG_S))
        assert found is None or found[0][0] != "7"
        collection.search(query)


def test_threads_and_a_loop_may_search_while_others_write(collection: Collection) -> None:
    filled(collection)
    ended = threading.Event()

    def write() -> None:
        for n in range(300, 500):
            collection.upsert([record(n)])
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    query, answered = SearchQuery(vector(3), k=5), 0
    while not ended.is_set():
        answer = collection.search_at_once(query, LONG_S)
        answered += answer is not None
        if answer is None:
            answer = collection.search(query)
        assert answer.groups[0][0].record.record_id == "3"
    writer.join()
    assert collection.handle.users == 0
