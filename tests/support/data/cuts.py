"""The state of a disk after a process ends at a given step of a change.

The whole directory is copied at every step that `index.storage.steps` reports. A copy equals the state after `kill -9`
at that moment, because written data is in the page cache and nothing is cleaned up. A test opens each copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from index.storage.steps import watched


def cut(change: Callable[[], object], root: Path, folder: Path) -> list[Path]:
    """Makes a change in `root`. Returns copies of it in `folder`, one for each step."""
    copies: list[Path] = []

    def at_step(name: str) -> None:
        target = folder / f"{len(copies):03d}-{''.join(c if c.isalnum() else '-' for c in name)[:60]}"
        copies.append(copy_of(root, target))

    with watched(at_step):
        change()
    return copies


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a directory at this moment."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns("*.db-shm"))
    return target
