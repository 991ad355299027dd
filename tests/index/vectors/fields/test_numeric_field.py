import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from index.vectors.fields.numeric_field import Numbers
from tests.support.data.filters import COMPARE

numbers = st.lists(st.floats(-5, 5, width=16), max_size=300)


@settings(max_examples=40, deadline=None)
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
            assert held.matching(name, literal) == BitMap(s for s, v in enumerate(values) if compare(v, literal))


def test_what_is_moved_or_forgotten_is_found_in_its_new_place_or_not_at_all() -> None:
    held = Numbers()
    held.extend(range(100), [float(slot) for slot in range(100)])
    places = np.full(100, -1)
    places[50:] = np.arange(50)
    assert held.moved(places).matching("<", 60.0) == BitMap(range(10))
    held.keep(BitMap(range(10)))
    assert held.matching(">=", 0.0) == BitMap(range(10))
