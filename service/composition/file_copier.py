"""Copies files in a process of its own.

POSIX drops all locks of a process on a file when it closes any descriptor of it, so a process that holds databases must
not open their files itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from index.storage import sync_directory
from service.runtime.child_process import run_command

_FILES_AT_ONCE = 200
# Arguments: the folder to copy to, and the files. Needs no other program, which an image may not have.
_COPIER = """
import os, shutil, sys
for source in sys.argv[2:]:
    copy = os.path.join(sys.argv[1], os.path.basename(source))
    if os.path.islink(source):
        os.symlink(os.readlink(source), copy)
        continue
    try:
        there = open(source, "rb")
    except FileNotFoundError:
        print(source)
        continue
    with there, open(copy, "xb") as here:
        try:
            while os.copy_file_range(there.fileno(), here.fileno(), 1 << 30):
                pass
        except OSError:  # across file systems, on older kernels
            there.seek(0)
            here.truncate(0)
            here.seek(0)
            shutil.copyfileobj(there, here, 1 << 20)
    shutil.copystat(source, copy)
"""
_LONGEST_COPY_S = 86_400.0


class BackupFailed(Exception):
    """The directory cannot be copied, or the copy is not whole; the message says why."""


def copy_files(root: Path, names: Iterable[Path], part: Path) -> list[str]:
    """Copies files with their folders. Returns those that were removed meanwhile. Raises BackupFailed."""
    gone: list[str] = []
    for folder, group in groupby(sorted(names, key=lambda n: n.parent), key=lambda n: n.parent):
        (part / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        files = [str(root / name) for name in group]
        for at in range(0, len(files), _FILES_AT_ONCE):
            copier = [sys.executable, "-ISc", _COPIER, str(part / folder), *files[at : at + _FILES_AT_ONCE]]
            status, absent, errors = run_command(copier, _LONGEST_COPY_S)
            if status:
                raise BackupFailed(f"a file could not be copied: {errors.strip().rpartition(chr(10))[2][:300]}")
            gone += absent.splitlines()
    return gone


def make_durable(part: Path) -> None:
    """Waits until a folder and all of its files are on the disk."""
    for folder, _, files in os.walk(part):
        for name in files:
            descriptor = os.open(Path(folder) / name, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        sync_directory(Path(folder))
