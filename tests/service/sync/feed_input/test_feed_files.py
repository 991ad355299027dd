"""Only regular files are read from the operator's folder, and other files never block."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import Reason, ServiceError
from service.sync.feed_input.feed_files import FeedFiles
from service.sync.feeds.model import Item, Problem


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "acme"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "feed.csv").write_bytes(b"id")
    (tmp_path / "secret.csv").write_bytes(b"secret")
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to(root / "loop")
    (root / "one").symlink_to(root / "two")
    (root / "two").symlink_to(root / "one")
    (root / "deep" / "up").symlink_to(root / "deep")
    (root / "device").symlink_to("/dev/zero")
    (root / "out").symlink_to(tmp_path / "secret.csv")
    (root / "good").symlink_to(root / "deep" / "er" / "feed.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(root)  # such names have at most 108 bytes
        bound.bind("socket")
        os.chdir(here)
        yield root


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fifo", Reason.URL_FORBIDDEN), ("socket", Reason.URL_FORBIDDEN), ("device", Reason.URL_FORBIDDEN),
        ("out", Reason.URL_FORBIDDEN), ("deep", Reason.URL_FORBIDDEN), ("", Reason.URL_FORBIDDEN),
        ("loop", Reason.URL_NOT_FOUND), ("one", Reason.URL_NOT_FOUND), ("none", Reason.URL_NOT_FOUND),
        ("a" * 300, Reason.URL_NOT_FOUND), ("a\0b", Reason.URL_NOT_FOUND), ("deep/er/feed.csv/x", Reason.URL_NOT_FOUND),
        ("../secret.csv", Reason.URL_FORBIDDEN), ("/etc/passwd", Reason.URL_NOT_FOUND),
    ],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_what_is_no_regular_file_of_the_tenant_is_refused(folder: Path, name: str, reason: Reason) -> None:
    files = FeedFiles(folder, 100)
    for read in (files.open, files.picture):
        with pytest.raises(ServiceError) as caught:
            read(f"file:{name}")
        assert caught.value.reason is reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
def test_a_device_in_the_folder_is_refused(folder: Path) -> None:
    try:
        os.mknod(folder / "zero", 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this machine lets nobody make devices")
    with pytest.raises(ServiceError) as caught:
        FeedFiles(folder, 100).picture("file:zero")
    assert caught.value.reason is Reason.URL_FORBIDDEN


def test_regular_files_are_read_through_links_within_the_folder_too(folder: Path) -> None:
    files = FeedFiles(folder, 2)
    for name in ("deep/er/feed.csv", "good", "deep/up/up/er/feed.csv"):
        assert files.picture(f"file:{name}") == b"id"
    with pytest.raises(ServiceError) as caught:
        FeedFiles(folder, 1).picture("file:good")
    assert caught.value.reason is Reason.IMAGE_TOO_LARGE


def test_a_folder_in_a_circle_of_links_is_listed_once(folder: Path) -> None:
    (folder / "deep" / "a.jpg").write_bytes(b"x")
    (folder / "deep" / "dir.jpg").mkdir()
    assert [i.item_id for i in FeedFiles(folder, 1).items("file:")] == ["deep/a"]


def test_a_picture_whose_name_is_no_text_is_a_problem_and_the_others_are_read(folder: Path) -> None:
    """Such a name can be neither stored nor sent: the run of the whole folder failed with an internal error."""
    for name in (b"a.jpg", b"\xff\xfe.jpg", "ä\n.jpg".encode(), b"in\xff/b.jpg"):
        path = os.fsencode(folder) + b"/pictures/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"x")
    found = list(FeedFiles(folder, 1).items("file:pictures"))
    assert [i.item_id for i in found if isinstance(i, Item)] == ["a", "ä\n"]
    problems = [p.message for p in found if isinstance(p, Problem)]
    assert len(problems) == 2
    assert all("is not UTF-8" in message and message.isascii() for message in problems)
