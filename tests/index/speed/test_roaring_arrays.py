import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from index.speed.roaring_arrays import bitmap_bits, members

ranges = st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 70_000)), max_size=6)


@settings(max_examples=60)
@given(ranges, st.lists(st.integers(0, 300_000), max_size=200), st.integers(1, 310_000), st.booleans())
def test_the_bits_of_a_set_are_those_that_are_in_it(
    runs: list[tuple[int, int]], alone: list[int], count: int, packed: bool
) -> None:
    bitmap = BitMap(alone)
    for start, length in runs:
        bitmap.add_range(start, start + length)
    if packed:
        bitmap.run_optimize()
    assert members(bitmap).tolist() == list(bitmap)
    expected = np.zeros((count + 7) // 8 * 8, bool)
    expected[[m for m in bitmap if m < len(expected)]] = True
    found = np.unpackbits(bitmap_bits(bitmap, count), bitorder="little").astype(bool)
    assert np.array_equal(found, expected)
