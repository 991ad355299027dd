"""Nothing of a picture remains in files or memory, whatever its path and outcome."""

import base64
import os
from pathlib import Path

import pytest

from tests.e2e.privacy.canary import MARK, MARKS_PER_PICTURE, SHRED, SWAPPED, UNPROTECTED, count_marks, marked, run
from tests.support.data.files import all_bytes
from tests.support.needs import missing


def test_nothing_of_two_hundred_pictures_remains(tmp_path: Path) -> None:
    left = run(tmp_path, {}, search_memory=os.geteuid() == 0)
    assert left.sent >= 200
    assert (left.in_files, left.in_metrics, left.in_helpers, left.in_spans) == (0, 0, 0, 0)
    assert left.spans > 100
    assert left.in_server < SHRED


def test_without_the_protections_the_search_finds_them(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("the right to read another process's memory", "run the tests as root")
    left = run(tmp_path, UNPROTECTED, search_memory=True, patience_s=0, few=True)
    assert left.in_server > 20 * MARKS_PER_PICTURE


def test_the_search_for_the_mark_in_files_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"x" * 1000 + marked(1)[200:900])
    assert count_marks(all_bytes(tmp_path)) > 0


@pytest.mark.parametrize("shift", range(3))
def test_the_search_for_the_mark_finds_it_in_base64(shift: int) -> None:
    assert count_marks(base64.b64encode(b"x" * shift + MARK)) > 0


@pytest.mark.parametrize("mark", [MARK, SWAPPED])
def test_the_mark_is_long_enough_not_to_occur_by_chance(mark: bytes) -> None:
    assert len(set(mark[:12])) > 6
