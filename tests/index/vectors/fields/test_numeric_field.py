import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from index.vectors.fields import numeric_field
from index.vectors.fields.numeric_field import Numbers
from index.vectors.fields.operators import OPERATORS
from tests.support.data.filters import COMPARE

numbers = st.lists(st.floats(-5, 5, width=16), max_size=300)


@settings(max_examples=40)
@given(numbers, st.floats(-5, 5, width=16), st.integers(1, 50))
def test_a_range_holds_what_compares_so_however_much_is_sorted(
    values: list[float], literal: float, unsorted: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index.vectors.fields.numeric_field._UNSORTED", unsorted)
        held = Numbers()
        for start in range(0, len(values), 3):
            some = values[start : start + 3]
            held.extend(range(start, start + len(some)), some)
        for name, compare in COMPARE.items():
            assert held.matching(OPERATORS[name], literal) == BitMap(
                s for s, v in enumerate(values) if compare(v, literal)
            )


def test_what_is_moved_or_forgotten_is_found_in_its_new_place_or_not_at_all() -> None:
    held = Numbers()
    held.extend(range(100), [float(slot) for slot in range(100)])
    places = np.full(100, -1)
    places[50:] = np.arange(50)
    assert held.moved(places).matching(OPERATORS["<"], 60.0) == BitMap(range(10))
    held.keep(BitMap(range(10)))
    assert held.matching(OPERATORS[">="], 0.0) == BitMap(range(10))


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 127, 128, 129, 1000])
def test_the_sorted_part_is_divided_into_at_most_64_buckets_of_one_size(count: int) -> None:
    ordered = numeric_field._Sorted(np.arange(count, dtype=np.uint32)[::-1], np.arange(count, dtype=np.float64)[::-1])
    size = max(1, math.ceil(count / 64))
    assert [len(bucket) for bucket in ordered._buckets] == [min(size, count - n) for n in range(0, count, size)]
    assert BitMap.union(BitMap(), *ordered._buckets) == BitMap(range(count))


def test_a_range_is_made_of_whole_buckets_and_of_what_lies_beside_them() -> None:
    count, size = 640, 10
    ordered = numeric_field._Sorted(np.arange(count, dtype=np.uint32), np.arange(count, dtype=np.float64))
    marked = [BitMap([1000 + n]) for n in range(64)]
    ordered.__dict__["_buckets"] = marked  # each bucket is told by its mark
    for start in (0, 1, 9, 10, 11, 15, 20, 630, 639, 640):
        for stop in (start, start + 1, start + 9, start + 10, start + 11, start + 25, 630, 631, 639, 640):
            if not start <= stop <= count:
                continue
            whole = [n for n in range(64) if start <= n * size and (n + 1) * size <= stop]
            inside = {slot for n in whole for slot in range(n * size, (n + 1) * size)}
            wanted = BitMap([1000 + n for n in whole] + [s for s in range(start, stop) if s not in inside])
            assert ordered._between(start, stop) == wanted, (start, stop)


def test_any_tells_of_sorted_and_of_new_numbers() -> None:
    held = Numbers()
    assert held.any() is False
    held.extend([3], [1.0])
    assert held.any() is True
    assert Numbers(np.array([1], np.uint32), np.array([2.0])).any() is True
    held.keep(BitMap())
    assert held.any() is False
