"""Files are read, and what is none is refused at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from index.storage.regular_files import NotRegularFile, open_regular, read_regular


def test_a_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"content"
    with open_regular(tmp_path / "file") as file:
        assert file.read(3) == b"con"


def listening(path: Path) -> None:
    os.chdir(path.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo, os.mkdir, listening, lambda p: p.symlink_to("/dev/zero"), lambda p: p.symlink_to(p.name),
        lambda p: p.symlink_to(p.parent),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # and back
    make(tmp_path / "thing")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(NotRegularFile, match="thing is not a file"):
        read_regular(tmp_path / "thing")
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_regular(tmp_path / "nothing")
    assert not isinstance(caught.value, NotRegularFile)
    assert caught.value.filename == str(tmp_path / "nothing")
