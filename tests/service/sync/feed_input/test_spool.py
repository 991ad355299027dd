"""The spool: content is returned unchanged, and never readable on disk."""

import hashlib
import os
from pathlib import Path

import pytest

from service.sync.feed_input.spool import Spool


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000])
def test_what_goes_in_comes_out(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    spool = Spool(tmp_path)
    for start in range(0, size, 70_000):
        spool.take(content[start : start + 70_000])
    assert spool.finish() == hashlib.sha256(content).hexdigest()
    assert spool.size == size
    assert spool.reader().read() == content
    spool.close()


def test_it_can_be_read_from_anywhere(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    spool = Spool(tmp_path)
    spool.take(content)
    spool.finish()
    reader = spool.reader()
    for offset in (2_400_000, 5, 1 << 20, (1 << 20) - 3):
        reader.seek(offset)
        assert reader.read(6) == content[offset : offset + 6]
    reader.seek(-4, os.SEEK_END)
    assert reader.read(10) == content[-4:]
    spool.close()


def test_nothing_of_it_can_be_found_on_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.take(b"a picture's secret address" * 100_000)
    spool.finish()
    assert list(tmp_path.iterdir()) == []  # the file has no name
    with open(f"/proc/self/fd/{spool._file.fileno()}", "rb") as raw:
        assert b"secret" not in raw.read()
    spool.close()


def test_it_knows_whether_the_last_line_has_an_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.take(b"a\n")
    assert spool.ends_in_newline
    spool.take(b"")
    assert spool.ends_in_newline
    spool.take(b"b")
    assert not spool.ends_in_newline
    spool.close()
