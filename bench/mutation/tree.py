"""A copy of the project in which one file at a time is mutated, so that the project itself is never touched."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.mutation.rooms import ROOT

# Compiled files say from which second of which source they are. A mutated file is always of another second.
_LONG_AGO = 1_000_000_000


class Tree:
    """The copy."""

    def __init__(self, folder: Path) -> None:
        """Copies what git knows, or would add, of the project, and compiles it. What pictures and models the tests find
        beside the project they find beside the copy."""
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                os.utime(target, (_LONG_AGO, _LONG_AGO))
        beside, shared = folder.parent / "shared", ROOT.parent / "shared"
        if shared.exists() and not beside.exists():
            beside.symlink_to(shared)
        for package in ("index", "service", "tests"):
            compileall.compile_dir(folder / package, quiet=2)

    @contextmanager
    def mutated(self, file: str, source: str) -> Iterator[None]:
        """The copy with another source in the place of one file's."""
        target = self.folder / file
        original = target.read_text()
        target.write_text(source)
        try:
            yield
        finally:
            target.write_text(original)
            os.utime(target, (_LONG_AGO, _LONG_AGO))
