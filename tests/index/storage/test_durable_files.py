"""Durable files and names: what is synced when, and what is left after failures."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from index.storage import durable_files
from index.storage.durable_files import (
    make_directory,
    mapped_file,
    remove_directory,
    remove_tree,
    rename,
    replace_directory,
    replace_file,
    set_aside,
    sync_directory,
    synced_file,
    write_synced,
)
from index.storage.layout import TEMPORARY_PREFIX
from index.storage.steps import watched

Calls = list[tuple[str, Path, int]]  # which call of the disk, on what, and how many bytes it had then


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Records syncs and renames in order. They are executed too."""
    made: Calls = []
    fsync, rename_ = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        made.append(("sync", path, path.stat().st_size if path.is_file() else 0))
        fsync(descriptor)

    def noted_rename(source: str | Path, target: str | Path) -> None:
        rename_(source, target)
        made.append(("rename", Path(target), 0))

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    return made


def told(calls: Calls) -> list[tuple[str, str]]:
    return [(what, path.name) for what, path, _ in calls]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_synced_after_its_last_byte_and_closed(tmp_path: Path, calls: Calls) -> None:
    before = open_descriptors()
    with synced_file(tmp_path / "a") as file:
        file.write(b"x" * 10)
        assert calls == []
    assert calls == [("sync", tmp_path / "a", 10)]
    assert open_descriptors() == before


def test_a_file_that_is_written_at_once_is_synced_too(tmp_path: Path, calls: Calls) -> None:
    write_synced(tmp_path / "a", b"content")
    assert calls == [("sync", tmp_path / "a", 7)]
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_directory_is_synced_and_closed(tmp_path: Path, calls: Calls) -> None:
    before = open_descriptors()
    sync_directory(tmp_path)
    assert calls == [("sync", tmp_path, 0)]
    assert open_descriptors() == before
    with pytest.raises(OSError):
        sync_directory(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


def test_a_replaced_file_is_synced_before_it_takes_the_name_and_its_folder_after(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "a").write_bytes(b"old")
    replace_file(tmp_path / "a", b"newer")
    temporary = f"{TEMPORARY_PREFIX}a"
    assert told(calls) == [("sync", temporary), ("rename", "a"), ("sync", tmp_path.name)]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"newer"


def test_a_rename_into_another_folder_syncs_both_and_one_within_a_folder_that_one(tmp_path: Path, calls: Calls) -> None:
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    (tmp_path / "from" / "a").touch()
    rename(tmp_path / "from" / "a", tmp_path / "to" / "a")
    assert told(calls) == [("rename", "a"), ("sync", "to"), ("sync", "from")]
    calls.clear()
    rename(tmp_path / "to" / "a", tmp_path / "to" / "b")
    assert told(calls) == [("rename", "b"), ("sync", "to")]


def test_a_directory_takes_its_name_once_all_of_it_is_on_disk(tmp_path: Path, calls: Calls) -> None:
    final, temporary = tmp_path / "a", f"{TEMPORARY_PREFIX}a"
    (tmp_path / temporary).mkdir()
    (tmp_path / temporary / "from a crash").touch()
    for content in (b"first", b"second"):
        calls.clear()
        with replace_directory(final) as folder:
            assert [*folder.iterdir()] == []
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            write_synced(folder / "file", content)
        assert (final / "file").read_bytes() == content
        assert told(calls)[:2] == [("sync", "file"), ("sync", temporary)]
        assert told(calls)[-2:] == [("rename", "a"), ("sync", tmp_path.name)]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_directory_that_cannot_be_filled_leaves_what_was_there(tmp_path: Path) -> None:
    with replace_directory(tmp_path / "a") as folder:
        (folder / "file").write_bytes(b"first")

    def fails_late() -> None:
        with replace_directory(tmp_path / "a") as folder:
            (folder / "file").write_bytes(b"second")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails_late()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "file").read_bytes() == b"first"


def test_directories_are_made_for_their_owner_alone_with_those_above_and_synced_from_the_top(
    tmp_path: Path, calls: Calls
) -> None:
    deep = tmp_path / "a" / "b" / "c"
    make_directory(deep)
    assert told(calls) == [("sync", tmp_path.name), ("sync", "a"), ("sync", "b")]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o700 for p in (deep, deep.parent, deep.parent.parent))
    calls.clear()
    make_directory(deep)
    assert calls == []


def test_a_directory_that_somebody_else_makes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, is_dir = tmp_path / "a", Path.is_dir

    def made_after_the_look(path: Path) -> bool:
        found = is_dir(path)
        if path == made and not found:
            path.mkdir()
        return found

    monkeypatch.setattr(Path, "is_dir", made_after_the_look)
    make_directory(made)
    assert made.stat()


def test_a_removed_directory_loses_its_name_for_good_before_its_files(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    remove_directory(tmp_path / "a")
    assert told(calls) == [("rename", f"{TEMPORARY_PREFIX}a"), ("sync", tmp_path.name)]
    assert [*tmp_path.iterdir()] == []


def test_a_tree_is_removed_and_its_folder_synced_and_none_is_no_error(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    assert told(calls) == [("sync", tmp_path.name)]
    calls.clear()
    remove_tree(tmp_path / "a")
    assert calls == []


def test_what_is_set_aside_keeps_its_content_under_a_name_of_its_own(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    placed = []
    for n in range(3):
        (tmp_path / "a").write_text(str(n))
        placed.append(set_aside(tmp_path / "a", aside))
    assert [p.read_text() for p in placed] == ["0", "1", "2"]
    assert sorted(aside.iterdir()) == sorted(placed)
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    assert all(p.name.endswith("-a") for p in placed)


def test_a_file_is_read_in_place_and_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    content = mapped_file(tmp_path / "a")
    assert bytes(content) == b"content"
    assert content.readonly
    (tmp_path / "b").touch()
    with pytest.raises(ValueError):
        mapped_file(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda p: rename(p / "a", p / "b"), ["before b takes its name", "b has its name"]),
        (lambda p: remove_tree(p / "a"), ["before a is removed", "a is removed"]),
        (lambda p: remove_tree(p / "nothing"), ["before nothing is removed", "nothing is removed"]),
    ],
)
def test_each_change_tells_where_it_may_be_cut(
    tmp_path: Path, change: Callable[[Path], object], steps: list[str]
) -> None:
    (tmp_path / "a").mkdir()
    told: list[str] = []
    with watched(told.append):
        change(tmp_path)
    change_is_told_no_more = len(told)
    sync_directory(tmp_path)
    assert told == steps
    assert len(told) == change_is_told_no_more


def test_what_is_set_aside_in_one_second_has_names_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda *_: "20260101T000000")
    names = []
    for _ in range(3):
        (tmp_path / "x.db").write_bytes(b"1")
        names.append(durable_files.set_aside(tmp_path / "x.db", tmp_path / "aside").name)
    assert names == [f"20260101T000000-{n}x.db" for n in ("", "1-", "2-")]
    assert (tmp_path / "aside").stat().st_mode & 0o777 == 0o700


def test_why_a_directory_was_not_made_is_told_also_where_nothing_of_it_can_be_removed(tmp_path: Path) -> None:
    def fill(temporary: Path) -> None:
        temporary.rmdir()
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"), replace_directory(tmp_path / "d") as temporary:
        fill(temporary)
    assert list(tmp_path.iterdir()) == []
