"""Files and directories that are on disk when the call returns, or were never there; and reading them in place."""

from __future__ import annotations

import mmap
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from index.storage.layout import TEMPORARY_PREFIX
from index.storage.regular_files import open_regular
from index.storage.steps import step


@contextmanager
def replace_directory(final: Path) -> Iterator[Path]:
    """A new directory to fill, which becomes `final` at the end, in the place of what is there. What fails leaves
    nothing of it. Raises OSError."""
    temporary = final.with_name(TEMPORARY_PREFIX + final.name)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(mode=0o700)
        yield temporary
        sync_directory(temporary)
        if final.exists():
            remove_tree(final)
        rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def make_directory(path: Path) -> None:
    """Makes a directory that nobody else may read, and those above it, where they are missing; they are on disk when it
    returns. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def remove_directory(path: Path) -> None:
    """Removes a directory and what is in it; whatever happens, it is there whole or not at all. Raises OSError."""
    going = path.with_name(TEMPORARY_PREFIX + path.name)
    path.rename(going)
    sync_directory(path.parent)
    shutil.rmtree(going)


def rename(path: Path, target: Path) -> None:
    """Gives a file or directory another name, in the place of a file of that name. Raises OSError."""
    step(f"before {target.name} takes its name")
    path.rename(target)
    sync_directory(target.parent)
    if path.parent != target.parent:
        sync_directory(path.parent)
    step(f"{target.name} has its name")


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file under another name, and puts it in the place of what is there. Raises OSError."""
    temporary = path.with_name(TEMPORARY_PREFIX + path.name)
    write_synced(temporary, content)
    rename(temporary, path)


def remove_tree(path: Path) -> None:
    """Removes a directory and all in it; one that a crash left half removed, too. Raises OSError."""
    step(f"before {path.name} is removed")
    if path.exists():
        shutil.rmtree(path)
        sync_directory(path.parent)
    step(f"{path.name} is removed")


def set_aside(path: Path, folder: Path) -> Path:
    """Moves a file or directory into `folder`, where nobody looks, under its name and the time; returns where it is
    now. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    target, number = folder / f"{stamp}-{path.name}", 1
    while target.exists():
        target, number = folder / f"{stamp}-{number}-{path.name}", number + 1
    rename(path, target)
    return target


def mapped_file(path: Path) -> memoryview:
    """The content of a file, without a copy. Raises OSError, or ValueError where it is empty."""
    with open_regular(path) as file:
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


@contextmanager
def synced_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which is on disk at the end. Raises OSError."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits for the disk. Raises OSError."""
    with synced_file(path) as file:
        file.write(content)


def sync_directory(path: Path) -> None:
    """Waits until the directory's names are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
