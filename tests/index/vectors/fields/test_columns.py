"""Attributes by value, against a plain table of rows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from index.types.facets import NumberRange
from index.vectors.fields.columns import Columns
from index.vectors.fields.numeric_field import Numbers
from index.vectors.fields.operators import OPERATORS
from tests.support.data.filters import COMPARE

TEXTS = ("a", "ab", "b")
lists = st.lists(st.sampled_from(TEXTS), max_size=2).map(tuple)
values = st.one_of(st.integers(-2, 2).map(float), st.sampled_from(TEXTS), st.booleans(), lists)
tables = st.lists(st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2), max_size=10)


def filled(table: list[dict[str, Any]]) -> Columns:
    """Columns filled in two steps."""
    columns, half = Columns(), len(table) // 2
    columns.extend(0, table[:half])
    columns.extend(half, table[half:])
    return columns


def _within(value: float, wanted: NumberRange) -> bool:
    return (wanted.low is None or value >= wanted.low) and (wanted.high is None or value < wanted.high)


def check(columns: Columns, table: dict[int, dict[str, Any]]) -> None:
    """Whether the columns of live slots equal the table."""
    live = BitMap(table)

    def where(matches: Any) -> list[int]:
        return [slot for slot, row in sorted(table.items()) if name in row and matches(row[name])]

    assert columns.names(live) == {name for row in table.values() for name in row}
    for name in ("x", "y", "z"):
        assert list(columns.present(name) & live) == where(lambda v: True)
        for truth in (True, False):
            assert list(columns.boolean(name, truth) & live) == where(lambda v, t=truth: v is t)
        for text in TEXTS:
            assert list(columns.string(name, text) & live) == where(lambda v, t=text: v == t)
            assert list(columns.member(name, text) & live) == where(lambda v, t=text: isinstance(v, tuple) and t in v)
        assert list(columns.strings(name, lambda s: s > "a") & live) == where(lambda v: isinstance(v, str) and v > "a")
        many = where(lambda v: isinstance(v, tuple) and any(m > "a" for m in v))
        assert list(columns.members(name, lambda s: s > "a") & live) == many
        for sign, compare in COMPARE.items():
            for number in (-2.0, 0.0, 0.5, 2.0):
                wanted = where(lambda v, c=compare, n=number: isinstance(v, float) and c(v, n))
                assert list(columns.numbers(name, OPERATORS[sign], number) & live) == wanted
        counted: Counter[Any] = Counter()
        for row in table.values():
            if isinstance(value := row.get(name), tuple):
                counted.update(set(value))
            elif isinstance(value, (str, bool)):
                counted[value] += 1
        assert dict(columns.facet(name, live)) == dict(counted)
        edges = [None, -1.0, 0.0, 0.5, 2.0, None]
        ranges = [NumberRange(low, high) for low, high in pairwise(edges)]
        assert columns.range_counts(name, ranges, live) == [
            len(where(lambda v, r=r: isinstance(v, float) and _within(v, r))) for r in ranges
        ]
        assert len(columns.facet(name, live)) == len(counted)


@settings(max_examples=40)
@given(tables, st.data())
def test_columns_say_what_a_table_of_rows_says_also_after_rows_die_move_or_are_stored(
    table: list[dict[str, Any]], data: st.DataObject
) -> None:
    columns, every = filled(table), dict(enumerate(table))
    check(columns, every)
    live = {slot: row for slot, row in every.items() if data.draw(st.booleans())}
    check(columns, live)
    check(Columns.from_bytes(columns.to_bytes(BitMap(live))), live)
    places = np.full(len(table), -1)
    places[sorted(live)] = np.arange(len(live))
    check(columns.moved(places), {int(places[slot]): row for slot, row in live.items()})
    columns.keep(BitMap(live), np.zeros(len(table), np.int32))
    check(columns, live)
    for name in ("x", "y"):
        assert columns.present(name) <= BitMap(live)


def test_the_types_of_an_attribute_are_those_of_its_values() -> None:
    first = {"t": "a", "n": 1.0, "b": True, "l": ("a",), "e": (), "m": 1.0}
    rows: list[dict[str, Any]] = [first, {"b": False, "m": "a"}, {"f": False}, {}]
    columns, live = filled(rows), BitMap(range(4))
    kinds = {name: sorted(columns.kinds(name, live)) for name in ("t", "n", "b", "l", "e", "m", "f", "nothing")}
    assert kinds == {
        "t": ["text"], "n": ["number"], "b": ["truth"], "l": ["list"], "e": ["list"], "m": ["number", "text"],
        "f": ["truth"], "nothing": [],
    }  # fmt: skip
    assert columns.kinds("t", BitMap([1, 2])) == frozenset()


def test_products_are_kept_stored_and_forgotten_with_their_rows() -> None:
    columns = filled([{}, {}])
    codes = np.array([columns.products.code(p) for p in ("p", "q")], np.int32)
    again = Columns.from_bytes(columns.to_bytes(BitMap([0, 1])))
    assert list(again.products.matching(lambda p: p == "q")) == [codes[1]]
    columns.keep(BitMap([0]), codes)
    assert list(columns.products.matching(lambda p: True)) == [codes[0]]


def test_numbers_are_sorted_once_they_are_many_and_a_quarter_more_came() -> None:
    held = Numbers()
    assert not held.any()
    held.extend(range(4096), [float(n % 100) for n in range(4096)])
    assert held.any()
    assert held._parts[1].length == 4096
    held.extend([4096], [7.0])
    assert (len(held._parts[0].slots), held._parts[1].length) == (4096, 1)
    assert held.any()
    values = [float(n % 100) for n in range(4096)] + [7.0]
    for number in (-1.0, 0.0, 7.0, 7.5, 63.0, 99.0, 100.0):
        for sign, compare in COMPARE.items():
            assert held.matching(OPERATORS[sign], number) == BitMap(
                s for s, v in enumerate(values) if compare(v, number)
            )
    assert sorted(held.entries()[0].tolist()) == list(range(4097))


def test_more_numbers_than_a_quarter_of_the_sorted_ones_are_sorted_too() -> None:
    sorted_ones = 20_000
    held = Numbers(np.arange(sorted_ones, dtype=np.uint32), np.zeros(sorted_ones))
    held.extend(range(sorted_ones, sorted_ones + 4999), [1.0] * 4999)
    held.extend([30_000], [1.0])
    assert (len(held._parts[0].slots), held._parts[1].length) == (sorted_ones, 5000)
    held.extend([30_001], [1.0])
    assert (len(held._parts[0].slots), held._parts[1].length) == (sorted_ones + 5000, 1)
    assert len(held.matching(OPERATORS["="], 1.0)) == 5001
