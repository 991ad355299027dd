import ctypes
from pathlib import Path

import numpy as np
import pytest

from index.speed.malloc_trim import trim_heap

BLOCKS, NUMBERS = 2000, 8000  # of 64,000 bytes: too small to be mapped on their own, and so to go back by themselves


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_was_freed_below_something_that_stays_goes_back_to_the_system() -> None:
    blocks = [np.ones(NUMBERS) for _ in range(BLOCKS)]
    stays = np.ones(NUMBERS)
    del blocks
    before = _resident_bytes()
    trim_heap()
    assert before - _resident_bytes() > BLOCKS * NUMBERS * 8 // 2
    assert stays.sum() == NUMBERS


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
