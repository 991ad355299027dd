"""A copy of the project in which one file at a time is mutated, so that the project itself is never touched."""

from __future__ import annotations

import compileall
import hashlib
import os
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.mutation.rooms import ROOT

# Compiled files say of which second their source is: here its content gives the second, and a mutated file is newer.
_LONG_AGO, _SECONDS = 1_000_000_000, 500_000_000


class Tree:
    """The copy. digest: of all that is in it."""

    def __init__(self, folder: Path) -> None:
        """Copies what git knows, or would add, of the project, and compiles it. What pictures and models the tests find
        beside the project they find beside the copy."""
        self.folder, digest = folder, hashlib.sha256()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        names = sorted(name for name in names if name and (ROOT / name).is_file())
        for name in names:
            content = (ROOT / name).read_bytes()
            digest.update(f"{name}\0{zlib.crc32(content)}\0".encode())
            _put(folder / name, content)
        for left in set(_files(folder)) - set(names):
            (folder / left).unlink()
        self.digest = digest.hexdigest()
        beside, shared = folder.parent / "shared", ROOT.parent / "shared"
        if shared.exists() and not beside.exists():
            beside.symlink_to(shared)
        for package in ("index", "service", "tests"):
            compileall.compile_dir(folder / package, quiet=2)

    @contextmanager
    def mutated(self, file: str, source: str) -> Iterator[None]:
        """The copy with another source in the place of one file's."""
        target = self.folder / file
        original = target.read_bytes()
        target.write_text(source)
        try:
            yield
        finally:
            _put(target, original)


def _put(target: Path, content: bytes) -> None:
    second = _LONG_AGO + zlib.crc32(content) % _SECONDS
    if not (target.exists() and target.stat().st_mtime == second and target.read_bytes() == content):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (second, second))


def _files(folder: Path) -> Iterator[str]:
    """What lies in the copy, compiled files left out."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and ".hypothesis" not in path.parts:
            yield str(path.relative_to(folder))
